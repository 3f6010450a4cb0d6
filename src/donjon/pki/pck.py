"""What a PCK certificate says of its platform: Intel's extension 1.2.840.113741.1.13.1, read in full.

Source: Intel SGX PCK Certificate and CRL Profile Specification, section 1.3.5 ("SGX Extensions").
"""

from dataclasses import dataclass, field
from enum import IntEnum
from operator import attrgetter
from typing import Protocol, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1

from donjon.errors import Malformed
from donjon.pki.intel import Certificate, CertificateRole, common_name, issuer_of, read
from donjon.sgx.platform import Ca

SGX_EXTENSIONS = "1.2.840.113741.1.13.1"
COMPONENTS = 16
MAX_EXTENSION = 2 << 10  # bytes; Intel's have less than 600

_OID = x509.ObjectIdentifier(SGX_EXTENSIONS)
_ENUMERATED = b"\x0a"
_MAX_SVN, _MAX_PCE_SVN = 0xFF, 0xFFFF
_PLACES = (*map(str, range(1, 8)), *(f"2.{number}" for number in range(1, 19)), *(f"7.{number}" for number in range(1, 4)))
_OIDS = {place: x509.ObjectIdentifier(f"{SGX_EXTENSIONS}.{place}") for place in _PLACES}

T = TypeVar("T", covariant=True)  # noqa: PLC0105 - the usual name of a type.


class _Element(Protocol[T]):
    """A pair of an OID and a value."""

    id: x509.ObjectIdentifier

    @property
    def value(self) -> T: ...


class SgxType(IntEnum):
    """How a platform protects its EPC."""

    STANDARD = 0
    SCALABLE = 1
    SCALABLE_WITH_INTEGRITY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What a platform with several packages states of itself."""

    dynamic_platform: bool  # packages can be added
    cached_keys: bool  # Intel keeps the platform's root keys
    smt_enabled: bool  # hyper-threading


@dataclass(frozen=True, slots=True, kw_only=True)
class PckPlatform:
    """The platform of a PCK certificate, and the TCB for which Intel certified it."""

    ca: Ca
    ppid: bytes = field(repr=False)  # 16 bytes; it names one machine for ever
    components: bytes  # 16 SVNs
    pce_svn: int
    cpu_svn: bytes  # 16 bytes, as the processor has it
    pce_id: bytes  # 2 bytes
    fmspc: bytes  # 6 bytes
    sgx_type: SgxType
    platform_instance_id: bytes | None  # 16 bytes, of the platform CA's certificates alone
    flags: Flags | None  # 〃


@asn1.sequence
class _Octets:
    id: x509.ObjectIdentifier
    value: bytes


@asn1.sequence
class _Integer:
    id: x509.ObjectIdentifier
    value: int


@asn1.sequence
class _Flag:
    id: x509.ObjectIdentifier
    value: bool


@asn1.sequence
class _Enumerated:
    id: x509.ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class _TcbValues:
    c1: _Integer
    c2: _Integer
    c3: _Integer
    c4: _Integer
    c5: _Integer
    c6: _Integer
    c7: _Integer
    c8: _Integer
    c9: _Integer
    c10: _Integer
    c11: _Integer
    c12: _Integer
    c13: _Integer
    c14: _Integer
    c15: _Integer
    c16: _Integer
    pce_svn: _Integer
    cpu_svn: _Octets


@asn1.sequence
class _Tcb:
    id: x509.ObjectIdentifier
    value: _TcbValues


@asn1.sequence
class _FlagValues:
    dynamic_platform: _Flag
    cached_keys: _Flag
    smt_enabled: _Flag


@asn1.sequence
class _Configuration:
    id: x509.ObjectIdentifier
    value: _FlagValues


@asn1.sequence
class _SgxExtensions:
    ppid: _Octets
    tcb: _Tcb
    pce_id: _Octets
    fmspc: _Octets
    sgx_type: _Enumerated
    platform_instance_id: _Octets | None
    configuration: _Configuration | None


_COMPONENTS = attrgetter(*(f"c{number}" for number in range(1, COMPONENTS + 1)))
_COMPONENT_IDS = [_OIDS[f"2.{number}"] for number in range(1, COMPONENTS + 1)]


def parse(certificate: Certificate, issuer: CertificateRole) -> PckPlatform:
    """What that PCK certificate says, in the form that its authority uses: five elements, or seven; raises `Malformed` DJ208."""
    return _platform(certificate.handle, issuer)


def parse_unverified(der: bytes) -> PckPlatform:
    """What a PCK certificate says that nobody has proved: enough to look for collateral. Raises `Malformed` DJ205 or DJ208."""
    handle = read(der)
    issuer = (
        CertificateRole.PLATFORM_CA
        if common_name(issuer_of(handle)).endswith(CertificateRole.PLATFORM_CA)
        else CertificateRole.PROCESSOR_CA
    )
    return _platform(handle, issuer)


def _platform(handle: x509.Certificate, issuer: CertificateRole) -> PckPlatform:
    try:
        extensions = asn1.decode_der(_SgxExtensions, _extension(handle))
    except ValueError as error:
        raise Malformed("DJ208", f"PCK certificate: SGX extension: {error}") from error
    tcb = _of(extensions.tcb, "2")
    platform_instance_id, flags = _of_platform_ca(extensions, issuer)
    return PckPlatform(
        ca=Ca.PROCESSOR if issuer is CertificateRole.PROCESSOR_CA else Ca.PLATFORM,
        ppid=_octets(extensions.ppid, "1", 16),
        components=_components(tcb),
        pce_svn=_integer(tcb.pce_svn, "2.17", _MAX_PCE_SVN),
        cpu_svn=_octets(tcb.cpu_svn, "2.18", 16),
        pce_id=_octets(extensions.pce_id, "3", 2),
        fmspc=_octets(extensions.fmspc, "4", 6),
        sgx_type=_sgx_type(extensions.sgx_type),
        platform_instance_id=platform_instance_id,
        flags=flags,
    )


def _extension(handle: x509.Certificate) -> bytes:
    try:
        value = handle.extensions.get_extension_for_oid(_OID).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise Malformed("DJ208", f"PCK certificate: SGX extension: {error}") from error
    content = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    if len(content) > MAX_EXTENSION:
        raise Malformed("DJ208", f"PCK certificate: SGX extension: {len(content)} bytes, expected at most {MAX_EXTENSION}")
    return content


def _of_platform_ca(extensions: _SgxExtensions, issuer: CertificateRole) -> tuple[bytes | None, Flags | None]:
    """The two elements that the platform CA writes, and only it."""
    identity, configuration = extensions.platform_instance_id, extensions.configuration
    if issuer is CertificateRole.PLATFORM_CA and identity is not None and configuration is not None:
        values = _of(configuration, "7")
        return _octets(identity, "6", 16), Flags(
            dynamic_platform=_of(values.dynamic_platform, "7.1"),
            cached_keys=_of(values.cached_keys, "7.2"),
            smt_enabled=_of(values.smt_enabled, "7.3"),
        )
    if issuer is CertificateRole.PROCESSOR_CA and identity is None and configuration is None:
        return None, None
    raise Malformed("DJ208", f"PCK certificate: SGX extension: its elements are not those that {issuer} writes")


def _of(element: _Element[T], place: str) -> T:
    """The value of an element, which has the OID of that place."""
    if element.id != _OIDS[place]:
        raise Malformed(
            "DJ208", f"PCK certificate: SGX extension: found {element.id.dotted_string} in place of {SGX_EXTENSIONS}.{place}"
        )
    return element.value


def _components(tcb: _TcbValues) -> bytes:
    """The 16 SVNs, each in its place."""
    elements: tuple[_Integer, ...] = _COMPONENTS(tcb)
    if [each.id for each in elements] != _COMPONENT_IDS:
        raise Malformed("DJ208", "PCK certificate: SGX extension: TCB components out of place")
    try:
        return bytes([each.value for each in elements])
    except ValueError as error:
        raise Malformed("DJ208", f"PCK certificate: SGX extension: a TCB component beyond {_MAX_SVN}") from error


def _octets(element: _Octets, place: str, length: int) -> bytes:
    value = _of(element, place)
    if len(value) != length:
        raise Malformed("DJ208", f"PCK certificate: SGX extension: {len(value)} bytes in .{place}, expected {length}")
    return value


def _integer(element: _Integer, place: str, maximum: int) -> int:
    value = _of(element, place)
    if not 0 <= value <= maximum:
        raise Malformed("DJ208", f"PCK certificate: SGX extension: {value} in .{place}, expected 0 to {maximum}")
    return value


def _sgx_type(element: _Enumerated) -> SgxType:
    value = _of(element, "5")
    try:
        if value.tag_bytes == _ENUMERATED and len(value.data) == 1:
            return SgxType(value.data[0])
    except ValueError as error:
        raise Malformed("DJ208", f"PCK certificate: SGX extension: SGX type {value.data[0]}, expected 0 to 2") from error
    raise Malformed("DJ208", "PCK certificate: SGX extension: SGX type is no ENUMERATED of one byte")
