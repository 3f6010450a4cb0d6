"""The PCK certificates of one platform, as Intel's service hands them out, proved before anything of them is kept or served.

Source: Intel SGX PCS API v4, "Get PCK Certificates"; Intel SGX PCK Certificate and CRL Profile Specification, 1.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from donjon.collateral.selection import Tcb
from donjon.collateral.trusted import check_not_revoked, prove_under_root
from donjon.errors import Malformed, Untrusted
from donjon.formats import strict_json
from donjon.formats.strict_json import Members
from donjon.pki import intel, pck, pem
from donjon.pki.crl import Crl
from donjon.pki.intel import PCK_CAS, Anchor, CertificateRole, Window
from donjon.pki.pck import PckPlatform
from donjon.sgx.platform import Ca

MAX_CERTIFICATES = 128  # of one platform; Intel issues one for each level of its TCB info, with and without hyper-threading

_MAX_PEM = 4 << 10  # characters of a certificate in percent-encoded PEM; Intel's have 2,300
_NOT_AVAILABLE = "Not available"


@dataclass(frozen=True, slots=True, kw_only=True)
class PckCertificateOffer:
    """What a service answered: certificates in PEM, and how many it cannot give."""

    certificates: tuple[bytes, ...]
    unavailable: int  # TCBs that are certified and whose certificate Intel does not have now


@dataclass(frozen=True, slots=True, kw_only=True)
class PckCertificate:
    """A PCK certificate that was proved up to the root."""

    pem: bytes = field(repr=False)
    serial: int
    window: Window  # in which it and everything above it is good
    tcb: Tcb
    platform: PckPlatform = field(repr=False)

    @property
    def tcbm(self) -> str:
        """The TCB for which it is good, as Intel's services write it: CPUSVN and PCESVN, little-endian, 36 hexadecimal digits."""
        return (self.platform.cpu_svn + self.tcb.pce_svn.to_bytes(2, "little")).hex().upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class PckCertificates:
    """All PCK certificates of one platform: `prove` alone makes them."""

    certificates: tuple[PckCertificate, ...]
    chain: bytes = field(repr=False)  # PEM: the CA, the root
    ca: Ca
    fmspc: bytes
    pce_id: bytes
    ppid: bytes = field(repr=False)


def parse_offer(text: bytes) -> PckCertificateOffer:
    """The certificates in an answer to `pckcerts`; raises `Malformed` DJ210 or DJ211, `Untrusted` DJ570 for a false `tcbm`."""
    return read(strict_json.parse_list(text, "pckcerts", MAX_CERTIFICATES))


def single(text: bytes) -> tuple[bytes, ...]:
    """The one certificate in an answer to `pckcert`; raises `Malformed` DJ204."""
    return (pem.encode(pem.parse(text, 1)),)


def read(entries: Sequence[Members]) -> PckCertificateOffer:
    """The certificates in those entries, each for the TCB that is stated of it; raises as `parse_offer` does."""
    pairs = [(each.octets("tcbm", 18).hex().upper(), each.text("cert")) for each in entries]
    available = [(tcbm, _certificate(cert)) for tcbm, cert in pairs if cert != _NOT_AVAILABLE]
    for tcbm, der in available:
        _check_tcbm(tcbm, pck.parse_unverified(der))
    return PckCertificateOffer(
        certificates=tuple(pem.encode((der,)) for _, der in available), unavailable=len(pairs) - len(available)
    )


def _certificate(text: str) -> bytes:
    if len(text) > _MAX_PEM:
        raise Malformed("DJ211", f"pckcerts: cert: {len(text)} characters, expected at most {_MAX_PEM}")
    return pem.parse(strict_json.unescape(text), 1)[0]


def _check_tcbm(tcbm: str, platform: PckPlatform) -> None:
    """A quoting enclave makes its key for the TCB that it is told: for another one, its quotes would not fit the certificate."""
    actual = (platform.cpu_svn + platform.pce_svn.to_bytes(2, "little")).hex().upper()
    if tcbm != actual:
        raise Untrusted("DJ570", f"pckcerts: a certificate for the TCB {actual}, stated to be for {tcbm}")


def prove(certificates: Sequence[bytes], chain: bytes, pce_id: bytes, root_crl: Crl, anchor: Anchor) -> PckCertificates:
    """What Intel certified of that one platform; the list is that of the root.

    Raises `Malformed`; `Untrusted` DJ220 to DJ224, and DJ570 for certificates of several platforms or of another PCE.
    """
    authority, root = prove_under_root(chain, anchor, PCK_CAS, None)
    for above in (root, authority):
        check_not_revoked(above.role, above.serial, root_crl)
    if not 0 < len(certificates) <= MAX_CERTIFICATES:
        raise Malformed("DJ211", f"pckcerts: {len(certificates)} certificates, expected 1 to {MAX_CERTIFICATES}")
    pck_certificates = tuple(_prove_certificate(each, authority) for each in certificates)
    first = pck_certificates[0].platform
    for each in pck_certificates:
        _check_same(each.platform, first, pce_id)
    fmspc, ppid = first.fmspc, first.ppid
    return PckCertificates(certificates=pck_certificates, chain=chain, ca=first.ca, fmspc=fmspc, pce_id=pce_id, ppid=ppid)


def _prove_certificate(certificate: bytes, authority: intel.Certificate) -> PckCertificate:
    issued = intel.prove_certificate(pem.parse(certificate, 1)[0], authority, frozenset({CertificateRole.PCK}))
    platform = pck.parse(issued, authority.role)
    if platform.cpu_svn != platform.components:
        actual = f"CPUSVN {platform.cpu_svn.hex()} and components {platform.components.hex()}"
        raise Untrusted("DJ570", f"PCK certificate: {actual} differ; TCB type 0 has them alike")
    tcb = Tcb(components=platform.components, pce_svn=platform.pce_svn)
    return PckCertificate(pem=certificate, serial=issued.serial, window=issued.window, tcb=tcb, platform=platform)


def _check_same(platform: PckPlatform, first: PckPlatform, pce_id: bytes) -> None:
    if (platform.ppid, platform.fmspc) != (first.ppid, first.fmspc):
        raise Untrusted("DJ570", "PCK certificates: of several platforms, expected those of one")
    if platform.pce_id != pce_id:
        raise Untrusted("DJ570", f"PCK certificate: of the PCE {platform.pce_id.hex()}, asked for {pce_id.hex()}")
