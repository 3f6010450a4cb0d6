"""What is true about a quote: the steps of Intel's verification, and what Intel's own library leaves out.

Untrue is an error (`Untrusted`). Old, revoked or in debug mode is true, and `acceptance` decides about it; so is a document
past its nextUpdate. Certificates outside their window and dates in the future are refused here.

Source: Intel SGX DCAP quote verification library, PckCertVerifier and QuoteVerifier.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from donjon.attestation import tcb
from donjon.attestation.memory import CertifiedPlatform, Memory, PlatformBoundKey, digest
from donjon.attestation.quote import Quote
from donjon.attestation.tcb import TcbVerdict
from donjon.collateral.identity import QeIdentity
from donjon.collateral.tcb_info import TcbInfo
from donjon.collateral.trusted import TrustedCollateral, check_not_revoked
from donjon.errors import Unavailable, Untrusted
from donjon.pki import intel, p256, pck, pem
from donjon.pki.intel import Certificate, CertificateRole
from donjon.pki.p256 import PublicKey
from donjon.pki.pck import PckPlatform
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport

_CHAIN = 3  # PCK certificate, its authority, the root
_HASH = 32
_PCK = frozenset({CertificateRole.PCK})
_BEHIND = 2  # bytes behind a chain that is remembered as it is: a line break, a NUL, or both
_NONE = Memory(0)  # keeps nothing


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


def verify(quote: Quote, collateral: TrustedCollateral, moment: datetime, memory: Memory | None = None) -> VerifiedQuote:
    """What is true about that quote at that moment (with a time zone), by that collateral and under its root.

    With a memory, what it holds is not proved again. Raises `Untrusted` DJ220 to DJ244, `Malformed` DJ204 to DJ208 for
    certificates, and `Unavailable` DJ203 where neither the quote nor the collateral has the PCK certificate's chain.
    """
    memory = _NONE if memory is None else memory
    # 1. The collateral holds at this moment: no certificate outside its window, no date in the future.
    _check_moment(collateral, moment)
    # 2. The attestation key is vouched for: by the quoting enclave, that by the platform's key, and that by a chain to the root.
    bound_key = _prove_attestation_key(quote, collateral, memory)
    # 3. Nothing of that chain is outside its window or revoked.
    _check_chain(bound_key.certified_platform, collateral, moment)
    # 4. The collateral speaks of this platform, quoting enclave and TDX module; what Intel says of their TCB.
    verdict_key = (bound_key.judged_by, collateral.digest, quote.tee, quote.td_identity)
    verdict = memory.verdicts.get(verdict_key) or _verdict(quote, bound_key, collateral)
    # 5. The quote is the attestation key's. Of one that is not, what it says of a module is nothing to be remembered.
    if not bound_key.verifies(quote.signature, quote.signed_data):
        raise Untrusted("DJ243", "quote: the attestation key did not sign it")
    if memory.verdicts.get(verdict_key) is None:
        memory.verdicts.keep(verdict_key, verdict)
    return VerifiedQuote(
        quote=quote,
        platform=bound_key.certified_platform.platform,
        tcb=verdict,
        moment=moment,
        outside_validity=_outside_validity(collateral, moment),
        expires=min(bound_key.certified_platform.ends, collateral.expires),
        collateral=collateral,
    )


def _check_moment(collateral: TrustedCollateral, moment: datetime) -> None:
    if moment in collateral.window:
        return
    for certificate in (collateral.tcb_info_signer, collateral.qe_identity_signer, collateral.pck_ca):
        intel.check_window(certificate.role, certificate.window.begins, certificate.window.ends, moment)
    for name, begins in collateral.issue_dates().items():
        if moment < begins:
            raise Untrusted("DJ226", f"{name}: dated {begins:%FT%TZ}, which is after {moment:%FT%TZ}")


def _prove_attestation_key(quote: Quote, collateral: TrustedCollateral, memory: Memory) -> PlatformBoundKey:
    """The attestation key, certified, and bound to the platform by its quoting enclave."""
    chain = b"" if quote.carries_chain else _chain_of(quote, collateral)
    memory_key = digest(collateral.root_digest, quote.version, quote.endorsement, chain)
    if (bound_key := memory.bound_keys.get(memory_key)) is not None:
        return bound_key
    certified_platform, key, usual = _prove_pck_certificate(chain or quote.certification.content, collateral, memory)
    _check_binding(quote, key)
    platform = certified_platform.platform
    judged_by = (platform.fmspc, platform.pce_id, platform.components, platform.pce_svn, quote.qe_identity)
    bound_key = PlatformBoundKey(p256.parse(quote.attestation_key).handle, certified_platform, judged_by)
    return memory.keep_bound_key(memory_key, bound_key) if usual else bound_key


def _chain_of(quote: Quote, collateral: TrustedCollateral) -> bytes:
    if collateral.pck_certificate_chain is None:
        certification_data = f"certification data {quote.certification.kind.value} ({quote.certification.kind.name})"
        raise Unavailable("DJ203", f"PCK certificate: the quote has {certification_data} and carries no chain")
    return collateral.pck_certificate_chain


def _prove_pck_certificate(
    chain: bytes, collateral: TrustedCollateral, memory: Memory
) -> tuple[CertifiedPlatform, PublicKey, bool]:
    """The PCK certificate of that chain, proved up to the root, its key, and whether the text is as chains usually are written.

    In any other layout it is as good, and known by its usual one: whoever lays it out anew has it read anew, and makes no entry.
    """
    bare = chain.rstrip(pem.AFTER)
    memory_key = digest(collateral.root_digest, 0, bare)
    if (certified_platform := memory.certified_platforms.get(memory_key)) is not None:
        return certified_platform, memory.key_of(certified_platform), _ends_soon(chain, bare)
    leaf, above = _read(bare, collateral)
    usual = pem.encode((leaf,)) + (collateral.pck_ca_chain if above is None else pem.encode(above).rstrip(pem.AFTER))
    if usual != bare:
        memory_key = digest(collateral.root_digest, 0, usual)
        if (certified_platform := memory.certified_platforms.get(memory_key)) is not None:
            return certified_platform, memory.key_of(certified_platform), False
    ca = _prove_ca(above, collateral, memory)
    certificate = intel.prove_certificate(leaf, ca, _PCK)
    platform = pck.parse(certificate, ca.role)
    window = certificate.window
    certified_platform = CertifiedPlatform(certificate.key.raw, certificate.serial, window.begins, window.ends, ca, platform)
    return memory.keep_platform(memory_key, certified_platform), certificate.key, usual == bare and _ends_soon(chain, bare)


def _ends_soon(chain: bytes, bare: bytes) -> bool:
    return len(chain) - len(bare) <= _BEHIND


def _read(chain: bytes, collateral: TrustedCollateral) -> tuple[bytes, tuple[bytes, bytes] | None]:
    """The DER of the PCK certificate, and of those above it unless they are the collateral's."""
    first, _, above = chain.partition(pem.END)
    if above == collateral.pck_ca_chain:
        (leaf,) = pem.parse(first + pem.END, 1)
        return leaf, None
    leaf, authority, top = pem.parse(chain, _CHAIN)
    same = (authority, top) == (collateral.pck_ca.der, collateral.root.der)
    return leaf, None if same else (authority, top)


def _prove_ca(above: tuple[bytes, bytes] | None, collateral: TrustedCollateral, memory: Memory) -> Certificate:
    """Who issued the PCK certificate, one object for all that it issued; what the collateral has proved is not proved again."""
    authority, top = above or (collateral.pck_ca.der, collateral.root.der)
    memory_key = digest(collateral.root_digest, 1, top, authority)
    if (ca := memory.authorities.get(memory_key)) is not None:
        return ca
    if above is None:
        return memory.authorities.keep(memory_key, collateral.pck_ca)
    root = collateral.root if top == collateral.root.der else intel.prove_root(top, collateral.anchor)
    return memory.authorities.keep(memory_key, intel.prove_certificate(authority, root, intel.PCK_CAS))


def _check_chain(certified_platform: CertifiedPlatform, collateral: TrustedCollateral, moment: datetime) -> None:
    intel.check_window(CertificateRole.PCK, certified_platform.begins, certified_platform.ends, moment)
    if certified_platform.ca is not collateral.pck_ca and certified_platform.ca.key != collateral.pck_ca.key:
        actual, expected = collateral.pck_ca.role, certified_platform.ca.role
        raise Untrusted("DJ231", f"pck_crl: of {actual}, expected that of {expected}, which certified the platform")
    check_not_revoked(certified_platform.ca.role, certified_platform.ca.serial, collateral.root_ca_crl)
    check_not_revoked(CertificateRole.PCK, certified_platform.serial, collateral.pck_crl)


def _verdict(quote: Quote, bound_key: PlatformBoundKey, collateral: TrustedCollateral) -> TcbVerdict:
    """What Intel says of the TCB, where its documents are of this platform, quoting enclave and TDX module."""
    platform = bound_key.certified_platform.platform
    _check_platform(quote, platform, collateral)
    if isinstance(body := quote.body, TdReport):
        _check_module(body, collateral.tcb_info)
    _check_enclave(quote.qe_report, collateral.qe_identity)
    return tcb.judge(platform, quote.qe_report, body, collateral)


def _check_platform(quote: Quote, platform: PckPlatform, collateral: TrustedCollateral) -> None:
    info = collateral.tcb_info
    if info.tee is not quote.tee:
        raise Untrusted("DJ233", f"collateral: of {info.tee}, expected that of {quote.tee}")
    if (info.fmspc, info.pce_id) != (platform.fmspc, platform.pce_id):
        actual, expected = f"{info.fmspc.hex()}, {info.pce_id.hex()}", f"{platform.fmspc.hex()}, {platform.pce_id.hex()}"
        raise Untrusted("DJ231", f"tcb_info: of FMSPC and PCEID {actual}, expected {expected}")


def _check_module(body: TdReport, info: TcbInfo) -> None:
    module = tcb.module_of(body.tee_tcb_svn, info)
    if module is None:
        raise Untrusted("DJ244", f"TDX module: version {body.tee_tcb_svn[1]}, of which the TCB info states nothing")
    if body.mr_signer_seam != module.mr_signer:
        raise Untrusted("DJ244", f"TDX module: mr_signer_seam is {body.mr_signer_seam.hex()}, expected {module.mr_signer.hex()}")
    if any(body.seam_attributes) or body.seam_attributes != module.attributes:
        raise Untrusted("DJ244", f"TDX module: seam_attributes are {body.seam_attributes.hex()}, expected zero")


def _check_binding(quote: Quote, key: PublicKey) -> None:
    if not key.verifies(quote.qe_report_signature, quote.qe_report.raw):
        raise Untrusted("DJ240", "QE report: the PCK certificate's key did not sign it")
    key_hash = hashlib.sha256(quote.attestation_key + quote.qe_authentication_data).digest()
    if quote.qe_report.report_data != key_hash + bytes(_HASH):
        raise Untrusted("DJ241", "QE report: its report data does not bind the attestation key")


def _check_enclave(report: ReportBody, identity: QeIdentity) -> None:
    checks = (
        ("misc_select", _mask(report.misc_select, identity.misc_select_mask), identity.misc_select),
        ("attributes", _mask(report.attributes, identity.attributes_mask), identity.attributes),
        ("mr_signer", report.mr_signer, identity.mr_signer),
        ("isv_prod_id", report.isv_prod_id.to_bytes(2, "big"), identity.isv_prod_id.to_bytes(2, "big")),
    )
    for name, actual, expected in checks:
        if actual != expected:
            raise Untrusted("DJ242", f"QE report: {name} is {actual.hex()}, expected {expected.hex()}")


def _mask(value: bytes, mask: bytes) -> bytes:
    return bytes(one & other for one, other in zip(value, mask, strict=True))


def _outside_validity(collateral: TrustedCollateral, moment: datetime) -> tuple[str, ...]:
    if moment <= collateral.fresh_until:
        return ()
    return tuple(name for name, ends in collateral.next_updates().items() if moment > ends)
