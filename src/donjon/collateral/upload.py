"""What an administrator brings to a cache: PCK certificates of platforms, and the collateral that belongs to them.

Source: intel/confidential-computing.tee.dcap.pccs, service/services/pccs_schemas.js (version 4) and platformCollateralService.js;
PccsAdminTool, which writes such files. Appraisal policies are left out: nobody signs them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from donjon.collateral import pck_certificates, plan, platforms
from donjon.collateral.plan import Answer, Channel, CollateralRequest
from donjon.collateral.platforms import Registration, StoredPlatform
from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.formats.strict_json import Members
from donjon.pki import pck, pem
from donjon.sgx.platform import Ca, Tee

MAX_UPLOAD = 2 << 20  # bytes
MAX_PLATFORMS = 1000  # of one upload

_VERSION = 4
_PCK_CHAIN = plan.PCK_CHAIN_HEADER
_TCB_CHAIN, _IDENTITY_CHAIN = "TCB-Info-Issuer-Chain", "SGX-Enclave-Identity-Issuer-Chain"
_CRLS = {"processorCrl": Ca.PROCESSOR, "platformCrl": Ca.PLATFORM}
_TEES = {"sgx_tcbinfo": Tee.SGX, "tdx_tcbinfo": Tee.TDX}
_CHANNELS = {"": Channel.STANDARD, "_early": Channel.EARLY}
_IDENTITIES: Mapping[str, Callable[[Channel], CollateralRequest]] = {
    "qeidentity": lambda channel: plan.qe_identity(Tee.SGX, channel),
    "tdqeidentity": lambda channel: plan.qe_identity(Tee.TDX, channel),
    "qveidentity": plan.qve_identity,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The documents and platforms of one upload; nothing is proved."""

    answers: Mapping[str, Answer]  # by the names of their requests
    platforms: tuple[StoredPlatform, ...]


def parse(text: bytes, moment: datetime) -> Upload:
    """What an upload of that moment holds.

    Raises `Malformed` DJ204, DJ205, DJ208, DJ210 or DJ211, and DJ575 for certificates without what belongs to them; `Untrusted`
    DJ570 for a certificate that is said to be for another TCB.
    """
    whole = strict_json.parse(text, "upload", MAX_UPLOAD, values=MAX_UPLOAD)
    collaterals = whole.member("collaterals")
    if collaterals.number("version", _VERSION) != _VERSION:
        raise Malformed(
            "DJ211", f"{collaterals.subject}: version: expected {_VERSION}: the documents of others have another form"
        )
    registrations = [platforms.registration(each) for each in _read_objects(whole, "platforms", MAX_PLATFORMS)]
    pck_entries = _read_objects(collaterals, "pck_certs", MAX_PLATFORMS)
    stored_platforms = tuple(_platform(each, collaterals.member("certificates"), registrations, moment) for each in pck_entries)
    return Upload(answers=dict(_answers(collaterals)), platforms=stored_platforms)


def _read_objects(owner: Members, name: str, count: int) -> list[Members]:
    """The objects of a list, which may be empty."""
    value = owner.content.get(name)
    if isinstance(value, list) and len(value) <= count:
        return owner.members(name) if value else []
    raise Malformed("DJ211", f"{owner.subject}: {name}: expected a list of at most {count} objects")


def _platform(entry: Members, chains: Members, registrations: list[Registration], moment: datetime) -> StoredPlatform:
    offered = pck_certificates.read(_read_objects(entry, "certs", pck_certificates.MAX_CERTIFICATES))
    if not offered.certificates:
        raise Malformed("DJ575", f"{entry.subject}: a platform without PCK certificates")
    own_registration = platforms.registration(entry)
    return StoredPlatform(
        registration=next((each for each in registrations if each.name == own_registration.name), own_registration),
        certificates=offered.certificates,
        chain=_chain(chains, pck.parse_unverified(pem.parse(offered.certificates[0], 1)[0]).ca),
        fetched_at=moment,
        unavailable=offered.unavailable,
        whole=True,
    )


def _chain(chains: Members, ca: Ca) -> bytes:
    """The issuers of what that authority signed."""
    pck_chains = chains.member(_PCK_CHAIN)
    if not pck_chains.content.get(ca.upper()):
        raise Malformed("DJ575", f"{pck_chains.subject}: no {ca.upper()}, expected the chain of who issued the PCK certificates")
    return strict_json.unescape(pck_chains.text(ca.upper()))


def _answers(collaterals: Members) -> Iterator[tuple[str, Answer]]:
    chains = collaterals.member("certificates")
    for request, body, chain in (
        *_tcb_infos(collaterals, chains),
        *_identities(collaterals, chains),
        *_lists(collaterals, chains),
    ):
        yield request.name(), Answer(body=body, chain=chain)


def _tcb_infos(collaterals: Members, chains: Members) -> Iterator[tuple[CollateralRequest, bytes, bytes]]:
    for entry in _read_objects(collaterals, "tcbinfos", MAX_PLATFORMS):
        for (name, tee), (ending, channel) in ((each, to) for each in _TEES.items() for to in _CHANNELS.items()):
            if entry.content.get(name + ending) is not None:
                request = plan.tcb_info(tee, entry.octets("fmspc", 6), channel)
                yield request, _encode_signed_text(entry.member(name + ending)), strict_json.unescape(chains.text(_TCB_CHAIN))


def _encode_signed_text(document: Members) -> bytes:
    """The document as Intel signs it, which is how its own cache writes it: without spaces, in its order."""
    return json.dumps(document.content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _identities(collaterals: Members, chains: Members) -> Iterator[tuple[CollateralRequest, bytes, bytes]]:
    for (name, request), (ending, channel) in ((each, to) for each in _IDENTITIES.items() for to in _CHANNELS.items()):
        if collaterals.content.get(name + ending):
            text = collaterals.text(name + ending).encode("utf-8", "replace")
            yield request(channel), text, strict_json.unescape(chains.text(_IDENTITY_CHAIN))


def _lists(collaterals: Members, chains: Members) -> Iterator[tuple[CollateralRequest, bytes, bytes]]:
    crls = collaterals.member("pckcacrl") if collaterals.content.get("pckcacrl") is not None else Members("pckcacrl", {})
    for name, ca in _CRLS.items():
        if crls.content.get(name):
            yield plan.pck_crl(ca), _hexadecimal(crls, name), _chain(chains, ca)
    if collaterals.content.get("rootcacrl"):
        any_chain = next((each for each in _every_chain(chains)), None)
        if any_chain is None:
            raise Malformed("DJ575", f"{chains.subject}: the root's revocation list without any chain that ends in the root")
        yield plan.root_ca_crl(), _hexadecimal(collaterals, "rootcacrl"), any_chain


def _every_chain(chains: Members) -> Iterator[bytes]:
    pck_chains = chains.member(_PCK_CHAIN)
    yield from (_chain(chains, ca) for ca in Ca if pck_chains.content.get(ca.upper()))
    yield from (strict_json.unescape(chains.text(name)) for name in (_TCB_CHAIN, _IDENTITY_CHAIN) if chains.content.get(name))


def _hexadecimal(owner: Members, name: str) -> bytes:
    return owner.octets(name, (len(owner.text(name)) + 1) // 2)
