"""What is true about a quote: the steps of Intel's verification, and what Intel's own library leaves out.

Untrue is an error (`Untrusted`). Old, revoked or in debug mode is true, and `acceptance` decides about it; so is a document
past its nextUpdate. Certificates outside their window and dates in the future are refused here.

Source: Intel SGX DCAP quote verification library, PckCertVerifier and QuoteVerifier.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from donjon.attestation import tcb
from donjon.attestation.quote import Quote
from donjon.attestation.tcb import TcbVerdict
from donjon.collateral.identity import QeIdentity
from donjon.collateral.tcbinfo import TcbInfo
from donjon.collateral.trusted import TrustedCollateral, check_not_revoked
from donjon.errors import Unavailable, Untrusted
from donjon.pki import intel, p256, pck, pem
from donjon.pki.intel import Certificate, Role
from donjon.pki.pck import PckPlatform
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport

_CHAIN = 3  # PCK certificate, its authority, the root
_HASH = 32
_PCK = frozenset({Role.PCK})


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedQuote:
    """A quote and everything that was proved of it at a moment: `verify` alone makes one."""

    quote: Quote
    platform: PckPlatform
    tcb: TcbVerdict
    moment: datetime
    outside_validity: tuple[str, ...]  # documents past their nextUpdate at the moment
    expires: datetime  # when the first of the certificates and documents ends that this rests on
    collateral: TrustedCollateral = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """Who certified the key that signed the quoting enclave's report, and for which platform."""

    pck: Certificate
    ca: Certificate
    platform: PckPlatform


def verify(quote: Quote, collateral: TrustedCollateral, moment: datetime) -> VerifiedQuote:
    """What is true about that quote at that moment (with a time zone), by that collateral and under its root.

    Raises `Untrusted` DJ220 to DJ244, `Malformed` DJ204 to DJ208 for certificates, and `Unavailable` DJ203 where neither the
    quote nor the collateral has the PCK certificate's chain.
    """
    # 1. The collateral holds at this moment: no certificate outside its window, no date in the future.
    _check_moment(collateral, moment)
    # 2. The PCK certificate: chain to the root, window, not revoked by either list.
    certified = _certified(quote, collateral)
    _check_chain(certified, collateral, moment)
    # 3. The collateral speaks of this platform, and of the TDX module it runs.
    _check_platform(quote, certified.platform, collateral)
    if isinstance(quote.body, TdReport):
        _check_module(quote.body, collateral.tcb_info)
    # 4. The quoting enclave: its report is the platform's, binds the attestation key, and is that of Intel's enclave.
    _check_binding(quote, certified.pck.key)
    _check_enclave(quote.qe_report, collateral.qe_identity)
    # 5. The quote is the attestation key's.
    if not p256.parse(quote.attestation_key).verifies(quote.signature, quote.signed):
        raise Untrusted("DJ243", "quote: the attestation key did not sign it")
    # 6. What Intel says of the TCB.
    verdict = tcb.judge(certified.platform, quote.qe_report, quote.body, collateral)
    return VerifiedQuote(
        quote=quote,
        platform=certified.platform,
        tcb=verdict,
        moment=moment,
        outside_validity=tuple(name for name, ends in collateral.next_updates().items() if moment > ends),
        expires=_expires(certified, collateral),
        collateral=collateral,
    )


def _check_moment(collateral: TrustedCollateral, moment: datetime) -> None:
    for certificate in (collateral.tcb_info_signer, collateral.qe_identity_signer, collateral.pck_ca):
        intel.check_window(certificate, moment)
    for name, begins in collateral.dated().items():
        if moment < begins:
            raise Untrusted("DJ226", f"{name}: dated {begins:%FT%TZ}, which is after {moment:%FT%TZ}")


def _certified(quote: Quote, collateral: TrustedCollateral) -> Certified:
    carried = quote.certification.carries_chain
    chain = quote.certification.content if carried else collateral.pck_certificate_chain
    if chain is None:
        kind = quote.certification.kind
        raise Unavailable(
            "DJ203", f"PCK certificate: the quote has certification data {kind.value} ({kind.name}) and carries no chain"
        )
    leaf, authority, top = pem.parse(chain, _CHAIN)
    root = intel.root(top, collateral.anchor)
    ca = collateral.pck_ca if authority == collateral.pck_ca.der else intel.issued(authority, root, intel.PCK_CAS)
    certificate = intel.issued(leaf, ca, _PCK)
    return Certified(pck=certificate, ca=ca, platform=pck.parse(certificate, ca.role))


def _check_chain(certified: Certified, collateral: TrustedCollateral, moment: datetime) -> None:
    intel.check_window(certified.pck, moment)
    if certified.ca.key != collateral.pck_ca.key:
        raise Untrusted(
            "DJ231", f"pck_crl: of {collateral.pck_ca.role}, expected that of {certified.ca.role}, which certified the platform"
        )
    check_not_revoked(certified.ca, collateral.root_ca_crl)
    check_not_revoked(certified.pck, collateral.pck_crl)


def _check_platform(quote: Quote, platform: PckPlatform, collateral: TrustedCollateral) -> None:
    info = collateral.tcb_info
    if info.tee is not quote.tee:
        raise Untrusted("DJ233", f"collateral: of {info.tee}, expected that of {quote.tee}")
    if (info.fmspc, info.pce_id) != (platform.fmspc, platform.pce_id):
        found, expected = f"{info.fmspc.hex()}, {info.pce_id.hex()}", f"{platform.fmspc.hex()}, {platform.pce_id.hex()}"
        raise Untrusted("DJ231", f"tcb_info: of FMSPC and PCEID {found}, expected {expected}")


def _check_module(body: TdReport, info: TcbInfo) -> None:
    module = tcb.module_of(body.tee_tcb_svn, info)
    if module is None:
        raise Untrusted("DJ244", f"TDX module: version {body.tee_tcb_svn[1]}, of which the TCB info states nothing")
    if body.mr_signer_seam != module.mr_signer:
        raise Untrusted("DJ244", f"TDX module: mr_signer_seam is {body.mr_signer_seam.hex()}, expected {module.mr_signer.hex()}")
    if any(body.seam_attributes) or body.seam_attributes != module.attributes:
        raise Untrusted("DJ244", f"TDX module: seam_attributes are {body.seam_attributes.hex()}, expected zero")


def _check_binding(quote: Quote, key: p256.PublicKey) -> None:
    if not key.verifies(quote.qe_report_signature, quote.qe_report.raw):
        raise Untrusted("DJ240", "QE report: the PCK certificate's key did not sign it")
    bound = hashlib.sha256(quote.attestation_key + quote.qe_authentication_data).digest()
    if quote.qe_report.report_data != bound + bytes(_HASH):
        raise Untrusted("DJ241", "QE report: its report data does not bind the attestation key")


def _check_enclave(report: ReportBody, identity: QeIdentity) -> None:
    checks = (
        ("misc_select", _masked(report.misc_select, identity.misc_select_mask), identity.misc_select),
        ("attributes", _masked(report.attributes, identity.attributes_mask), identity.attributes),
        ("mr_signer", report.mr_signer, identity.mr_signer),
        ("isv_prod_id", report.isv_prod_id.to_bytes(2, "big"), identity.isv_prod_id.to_bytes(2, "big")),
    )
    for name, found, expected in checks:
        if found != expected:
            raise Untrusted("DJ242", f"QE report: {name} is {found.hex()}, expected {expected.hex()}")


def _masked(found: bytes, mask: bytes) -> bytes:
    return bytes(one & other for one, other in zip(found, mask, strict=True))


def _expires(certified: Certified, collateral: TrustedCollateral) -> datetime:
    certificates = (certified.pck, collateral.tcb_info_signer, collateral.qe_identity_signer, collateral.pck_ca)
    return min(*(each.window.ends for each in certificates), *collateral.next_updates().values())
