"""One document of collateral, proved apart from all others: what a cache keeps and serves.

`trusted` proves what one verification needs together; a cache holds documents of many platforms, each fetched at its own time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from donjon.collateral import identity, plan, tcb_info, tcbnumbers
from donjon.collateral.bundle import der, unwrapped
from donjon.collateral.high_water import Channel
from donjon.collateral.plan import Answer, Edition, Request
from donjon.collateral.tcb_info import MAX_EVALUATION
from donjon.collateral.tcbnumbers import TcbNumbers
from donjon.collateral.trusted import SIGNER, check_not_revoked, check_signed, issued_by_root
from donjon.errors import Malformed, Untrusted
from donjon.formats import strict_json
from donjon.formats.strict_json import Members
from donjon.pki import crl, intel
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor, Certificate, Role
from donjon.sgx.platform import Ca, Tee

_ANY_CHAIN = intel.PCK_CAS | SIGNER
_QVE = "QVE"
_NAMES = {"tcb": "tcbInfo", "tcbevaluationdatanumbers": "tcbEvaluationDataNumbers"}  # by the end of their paths
_EDITION = re.compile(rf"{plan.NUMBER}=([1-9][0-9]{{0,9}})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that is what the request asks for: `prove` and `prove_root_crl` alone make one."""

    request: Request
    body: bytes = field(repr=False)  # as it came; CRLs in DER
    chain: bytes = field(repr=False)  # PEM: the signer, the root
    dated: datetime  # issueDate or thisUpdate
    evaluation_number: int  # 0 for CRLs
    expires: datetime  # when nextUpdate is, or the first certificate above it ends
    serials: frozenset[int] = field(repr=False)  # of the certificates that a CRL names; none in others


def prove_root_crl(answer: Answer, anchor: Anchor) -> tuple[Document, Crl]:
    """The list of what the root has revoked; the chain is any of the root's own, since Intel hands out none with the list.

    Raises `Malformed`, and `Untrusted` DJ220 to DJ225.
    """
    _, root = issued_by_root(answer.chain, anchor, _ANY_CHAIN, None)
    body = der(answer.body)
    revoked = crl.prove(body, root)
    check_not_revoked(root.role, root.serial, revoked)
    return _document(plan.root_ca_crl(), Answer(body=body, chain=answer.chain), _Read(revoked), root), revoked


def prove(request: Request, answer: Answer, revoked: Crl, anchor: Anchor) -> Document:
    """What that answer holds, if it is what the request asks for, under that root and nothing of it revoked.

    Raises `Malformed`; `Untrusted` DJ220 to DJ225, DJ230, and DJ510 for another document than the one asked for.
    """
    if request.path.endswith("/pckcrl"):
        return _pck_crl(request, answer, revoked, anchor)
    signer = _unrevoked(answer.chain, anchor, SIGNER, revoked)
    name = _NAMES.get(request.path.rpartition("/")[2], "enclaveIdentity")
    signed = unwrapped(answer.body, name)
    check_signed(name, signed.text, signed.signature, signer)
    read = _read(request, signed.text)
    if request.query.get(plan.NUMBER, str(read.number)) != str(read.number):
        raise Untrusted("DJ510", f"{name}: of evaluation number {read.number}, asked for {request.query[plan.NUMBER]}")
    return _document(request, answer, read, signer)


def check_not_older(found: Document, held: Document | None) -> None:
    """Raises `Untrusted` DJ513 where the document is older than the one that is held."""
    if held is not None and (found.evaluation_number, found.dated) < (held.evaluation_number, held.dated):
        told = f"of {held.dated:%FT%TZ}: {found.request.name()}, {found.dated:%FT%TZ}"
        raise Untrusted("DJ513", f"collateral: older than what is here, {told}")


def _pck_crl(request: Request, answer: Answer, revoked: Crl, anchor: Anchor) -> Document:
    authority = _unrevoked(answer.chain, anchor, intel.PCK_CAS, revoked)
    if request.query["ca"] != _AUTHORITIES[authority.role]:
        raise Untrusted("DJ510", f"PCK CRL: by {authority.role}, asked for that of ca={request.query['ca']}")
    body = der(answer.body)
    return _document(request, Answer(body=body, chain=answer.chain), _Read(crl.prove(body, authority)), authority)


_AUTHORITIES = {Role.PROCESSOR_CA: str(Ca.PROCESSOR), Role.PLATFORM_CA: str(Ca.PLATFORM)}


class _Read:
    """What of a proved text a cache goes by."""

    def __init__(self, stated: Crl | tcb_info.TcbInfo | identity.QeIdentity | TcbNumbers | Members) -> None:
        self.serials: frozenset[int] = frozenset()
        match stated:
            case Crl():
                self.serials = stated.serials
                self.dated, self.ends, self.number = stated.window.begins, stated.window.ends, 0
            case Members():
                self.dated, self.ends = stated.date("issueDate"), stated.date("nextUpdate")
                self.number = stated.number("tcbEvaluationDataNumber", MAX_EVALUATION)
            case _:
                self.dated, self.ends, self.number = stated.issued, stated.next_update, stated.evaluation_number


def _read(request: Request, text: bytes) -> _Read:
    """The text of a TCB info or identity; raises `Untrusted` DJ510 unless it is the one that was asked for."""
    return next(read for path, read in _READERS.items() if request.path == path)(request, text)


def _tcb_info(tee: Tee, version: int) -> Callable[[Request, bytes], _Read]:
    def read(request: Request, text: bytes) -> _Read:
        found = tcb_info.parse(text)
        if (found.tee, found.version, found.fmspc.hex().upper()) != (tee, version, request.query["fmspc"]):
            told = f"version {found.version} of {found.tee} {found.fmspc.hex()}"
            raise Untrusted("DJ510", f"tcbInfo: {told}, asked for version {version} of {tee} {request.query['fmspc']}")
        return _Read(found)

    return read


def _qe_identity(tee: Tee) -> Callable[[Request, bytes], _Read]:
    def read(_: Request, text: bytes) -> _Read:
        found = identity.parse(text)
        if found.tee is not tee:
            raise Untrusted("DJ510", f"enclaveIdentity: of the quoting enclave of {found.tee}, asked for that of {tee}")
        return _Read(found)

    return read


def _tcb_numbers(tee: Tee) -> Callable[[Request, bytes], _Read]:
    def read(_: Request, text: bytes) -> _Read:
        found = tcbnumbers.parse(text)
        if found.tee is not tee:
            raise Untrusted("DJ510", f"tcbEvaluationDataNumbers: of {found.tee}, asked for those of {tee}")
        return _Read(found)

    return read


def _qve_identity(_: Request, text: bytes) -> _Read:
    found = strict_json.parse(text, "enclaveIdentity")
    if found.text("id") != _QVE:
        raise Untrusted("DJ510", f"enclaveIdentity: of {found.text('id')[:20]!r}, asked for {_QVE}")
    return _Read(found)


_READERS: Mapping[str, Callable[[Request, bytes], _Read]] = {
    "/sgx/certification/v4/tcb": _tcb_info(Tee.SGX, 3),
    "/tdx/certification/v4/tcb": _tcb_info(Tee.TDX, 3),
    "/sgx/certification/v4/qe/identity": _qe_identity(Tee.SGX),
    "/tdx/certification/v4/qe/identity": _qe_identity(Tee.TDX),
    "/sgx/certification/v4/qve/identity": _qve_identity,
    "/sgx/certification/v4/tcbevaluationdatanumbers": _tcb_numbers(Tee.SGX),
    "/tdx/certification/v4/tcbevaluationdatanumbers": _tcb_numbers(Tee.TDX),
}


def prove_all(answers: Mapping[str, Answer], anchor: Anchor) -> dict[str, Document]:
    """Every document by its name, all proved under one list of the root's, which must be among them.

    Raises as `prove` does, and `Malformed` DJ511 where the list is missing or a name is none.
    """
    root = plan.root_ca_crl().name()
    if root not in answers:
        raise Malformed("DJ511", "collateral: without the root's revocation list nothing of it is proved")
    listed, revoked = prove_root_crl(answers[root], anchor)
    others = {name: prove(named(name), answer, revoked, anchor) for name, answer in answers.items() if name != root}
    return {root: listed, **others}


def named(name: str) -> Request:
    """The request that has this name; raises `Malformed` DJ511 where no cache keeps such a document."""
    number = _EDITION.search(name)
    editions = [*Channel, *([] if number is None else [int(number[1])])]
    for request in _everything(name.partition("fmspc=")[2][:12], editions):
        if request.name() == name:
            return request
    raise Malformed("DJ511", f"stored collateral: {name[:80]!r}: no document is kept under that name")


def _everything(fmspc: str, editions: Sequence[Edition]) -> list[Request]:
    """Every document of a family of platforms, and those of all."""
    try:
        family = bytes.fromhex(fmspc)
    except ValueError:
        family = b""
    tcb_infos = [plan.tcb_info(tee, family, edition) for tee in Tee for edition in editions]
    identities = [plan.qe_identity(tee, edition) for tee in Tee for edition in editions]
    others = [*map(plan.qve_identity, editions), *map(plan.tcb_numbers, Tee)]
    return [*tcb_infos, *identities, *others, *(plan.pck_crl(ca) for ca in Ca), plan.root_ca_crl()]


def _unrevoked(chain: bytes, anchor: Anchor, roles: frozenset[Role], revoked: Crl) -> Certificate:
    certificate, root = issued_by_root(chain, anchor, roles, None)
    for each in (root, certificate):
        check_not_revoked(each.role, each.serial, revoked)
    return certificate


def _document(request: Request, answer: Answer, read: _Read, signer: Certificate) -> Document:
    return Document(
        request=request,
        body=answer.body,
        chain=answer.chain,
        dated=read.dated,
        evaluation_number=read.number,
        expires=min(read.ends, signer.window.ends),
        serials=read.serials,
    )
