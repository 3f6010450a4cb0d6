"""One document of collateral, proved apart from all others: what a cache keeps and serves.

`trusted` proves what one verification needs together; a cache holds documents of many platforms, each fetched at its own time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from donjon.collateral import identity, plan, tcb_info, tcbnumbers
from donjon.collateral.bundle import der, unwrap
from donjon.collateral.plan import Answer, Channel, CollateralKind, CollateralRequest, Edition
from donjon.collateral.tcb_info import MAX_EVALUATION
from donjon.collateral.tcbnumbers import TcbNumbers
from donjon.collateral.trusted import SIGNER, check_not_revoked, check_signature, prove_under_root
from donjon.errors import Malformed, Untrusted
from donjon.formats import strict_json
from donjon.formats.strict_json import Members
from donjon.pki import crl, intel
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor, Certificate, CertificateRole
from donjon.sgx.platform import Ca, Tee

_ANY_CHAIN = intel.PCK_CAS | SIGNER
_QVE = "QVE"
_VERSION = 3  # of TCB info
_EDITION = re.compile(rf"{plan.NUMBER}=([1-9][0-9]{{0,9}})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that is what the request asks for: `prove` and `prove_root_crl` alone make one."""

    request: CollateralRequest
    body: bytes = field(repr=False)  # as it came; CRLs in DER
    chain: bytes = field(repr=False)  # PEM: the signer, the root
    issue_date: datetime  # issueDate or thisUpdate
    evaluation_number: int  # 0 for CRLs
    expires: datetime  # when nextUpdate is, or the first certificate above it ends
    serials: frozenset[int] = field(repr=False)  # of the certificates that a CRL names; none in others


def prove_root_crl(answer: Answer, anchor: Anchor) -> tuple[Document, Crl]:
    """The list of what the root has revoked; the chain is any of the root's own, since Intel hands out none with the list.

    Raises `Malformed`, and `Untrusted` DJ220 to DJ225.
    """
    _, root = prove_under_root(answer.chain, anchor, _ANY_CHAIN, None)
    body = der(answer.body)
    root_crl = crl.prove(body, root)
    check_not_revoked(root.role, root.serial, root_crl)
    return _document(plan.root_ca_crl(), Answer(body=body, chain=answer.chain), _Metadata(root_crl), root), root_crl


def prove(request: CollateralRequest, answer: Answer, root_crl: Crl, anchor: Anchor) -> Document:
    """What that answer holds, if it is what the request asks for, under that root and nothing of it revoked.

    Raises `Malformed`; `Untrusted` DJ220 to DJ225, DJ230, and DJ510 for another document than the one asked for.
    """
    if request.kind is CollateralKind.PCK_CRL:
        return _pck_crl(request, answer, root_crl, anchor)
    signer = _prove_signer(answer.chain, anchor, SIGNER, root_crl)
    name, read = _SIGNED_TEXTS[request.kind]
    signed_text = unwrap(answer.body, name)
    check_signature(name, signed_text.text, signed_text.signature, signer)
    metadata = read(request, signed_text.text)
    if request.query.get(plan.NUMBER, str(metadata.number)) != str(metadata.number):
        raise Untrusted("DJ510", f"{name}: of evaluation number {metadata.number}, asked for {request.query[plan.NUMBER]}")
    return _document(request, answer, metadata, signer)


def check_not_older(candidate: Document, current: Document | None) -> None:
    """Raises `Untrusted` DJ513 where the document is older than the one that is held."""
    if current is not None and (candidate.evaluation_number, candidate.issue_date) < (
        current.evaluation_number,
        current.issue_date,
    ):
        dates = f"of {current.issue_date:%FT%TZ}: {candidate.request.name()}, {candidate.issue_date:%FT%TZ}"
        raise Untrusted("DJ513", f"collateral: older than what is here, {dates}")


def _pck_crl(request: CollateralRequest, answer: Answer, root_crl: Crl, anchor: Anchor) -> Document:
    authority = _prove_signer(answer.chain, anchor, intel.PCK_CAS, root_crl)
    if request.query["ca"] != _AUTHORITIES[authority.role]:
        raise Untrusted("DJ510", f"PCK CRL: by {authority.role}, asked for that of ca={request.query['ca']}")
    body = der(answer.body)
    return _document(request, Answer(body=body, chain=answer.chain), _Metadata(crl.prove(body, authority)), authority)


_AUTHORITIES = {CertificateRole.PROCESSOR_CA: str(Ca.PROCESSOR), CertificateRole.PLATFORM_CA: str(Ca.PLATFORM)}


class _Metadata:
    """What of a proved text a cache goes by."""

    def __init__(self, content: Crl | tcb_info.TcbInfo | identity.QeIdentity | TcbNumbers | Members) -> None:
        self.serials: frozenset[int] = frozenset()
        match content:
            case Crl():
                self.serials = content.serials
                self.issue_date, self.ends, self.number = content.window.begins, content.window.ends, 0
            case Members():
                self.issue_date, self.ends = content.date("issueDate"), content.date("nextUpdate")
                self.number = content.number("tcbEvaluationDataNumber", MAX_EVALUATION)
            case _:
                self.issue_date, self.ends, self.number = content.issue_date, content.next_update, content.evaluation_number


def _tcb_info(request: CollateralRequest, text: bytes) -> _Metadata:
    info = tcb_info.parse(text)
    if (info.tee, info.version, info.fmspc.hex().upper()) != (request.tee, _VERSION, request.query["fmspc"]):
        actual = f"version {info.version} of {info.tee} {info.fmspc.hex()}"
        expectation = f"version {_VERSION} of {request.tee} {request.query['fmspc']}"
        raise Untrusted("DJ510", f"tcbInfo: {actual}, asked for {expectation}")
    return _Metadata(info)


def _qe_identity(request: CollateralRequest, text: bytes) -> _Metadata:
    qe_identity = identity.parse(text)
    if qe_identity.tee is not request.tee:
        raise Untrusted("DJ510", f"enclaveIdentity: of the quoting enclave of {qe_identity.tee}, asked for that of {request.tee}")
    return _Metadata(qe_identity)


def _tcb_numbers(request: CollateralRequest, text: bytes) -> _Metadata:
    numbers = tcbnumbers.parse(text)
    if numbers.tee is not request.tee:
        raise Untrusted("DJ510", f"tcbEvaluationDataNumbers: of {numbers.tee}, asked for those of {request.tee}")
    return _Metadata(numbers)


def _qve_identity(_: CollateralRequest, text: bytes) -> _Metadata:
    qve_identity = strict_json.parse(text, "enclaveIdentity")
    if qve_identity.text("id") != _QVE:
        raise Untrusted("DJ510", f"enclaveIdentity: of {qve_identity.text('id')[:20]!r}, asked for {_QVE}")
    return _Metadata(qve_identity)


_SIGNED_TEXTS: Mapping[CollateralKind, tuple[str, Callable[[CollateralRequest, bytes], _Metadata]]] = {
    CollateralKind.TCB_INFO: ("tcbInfo", _tcb_info),
    CollateralKind.QE_IDENTITY: ("enclaveIdentity", _qe_identity),
    CollateralKind.QVE_IDENTITY: ("enclaveIdentity", _qve_identity),
    CollateralKind.TCB_NUMBERS: ("tcbEvaluationDataNumbers", _tcb_numbers),
}
"""The member that is signed, and what reads it; a reader raises `Untrusted` DJ510 unless it is what was asked for."""


def prove_all(answers: Mapping[str, Answer], anchor: Anchor) -> dict[str, Document]:
    """Every document by its name, all proved under one list of the root's, which must be among them.

    Raises as `prove` does, and `Malformed` DJ511 where the list is missing or a name is none.
    """
    root = plan.root_ca_crl().name()
    if root not in answers:
        raise Malformed("DJ511", "collateral: without the root's revocation list nothing of it is proved")
    document, root_crl = prove_root_crl(answers[root], anchor)
    others = {name: prove(find_request(name), answer, root_crl, anchor) for name, answer in answers.items() if name != root}
    return {root: document, **others}


def find_request(name: str) -> CollateralRequest:
    """The request that has this name; raises `Malformed` DJ511 where no cache keeps such a document."""
    number = _EDITION.search(name)
    editions = [*Channel, *([] if number is None else [int(number[1])])]
    for request in _everything(name.partition("fmspc=")[2][:12], editions):
        if request.name() == name:
            return request
    raise Malformed("DJ511", f"stored collateral: {name[:80]!r}: no document is kept under that name")


def _everything(fmspc: str, editions: Sequence[Edition]) -> list[CollateralRequest]:
    """Every document of a family of platforms, and those of all."""
    try:
        family = bytes.fromhex(fmspc)
    except ValueError:
        family = b""
    tcb_infos = [plan.tcb_info(tee, family, edition) for tee in Tee for edition in editions]
    identities = [plan.qe_identity(tee, edition) for tee in Tee for edition in editions]
    others = [*map(plan.qve_identity, editions), *map(plan.tcb_numbers, Tee)]
    return [*tcb_infos, *identities, *others, *(plan.pck_crl(ca) for ca in Ca), plan.root_ca_crl()]


def _prove_signer(chain: bytes, anchor: Anchor, roles: frozenset[CertificateRole], root_crl: Crl) -> Certificate:
    certificate, root = prove_under_root(chain, anchor, roles, None)
    for each in (root, certificate):
        check_not_revoked(each.role, each.serial, root_crl)
    return certificate


def _document(request: CollateralRequest, answer: Answer, metadata: _Metadata, signer: Certificate) -> Document:
    return Document(
        request=request,
        body=answer.body,
        chain=answer.chain,
        issue_date=metadata.issue_date,
        evaluation_number=metadata.number,
        expires=min(metadata.ends, signer.window.ends),
        serials=metadata.serials,
    )
