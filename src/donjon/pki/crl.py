"""Certificate revocation lists: proved by their issuer's signature over the bytes received, and only then read.

Source: RFC 5280, section 5; Intel SGX PCK Certificate and CRL Profile Specification, section 5.
"""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import SignatureAlgorithmOID

from donjon.errors import Malformed, Untrusted
from donjon.pki.intel import Certificate, CertificateRole, Window

MAX_CRL = 1 << 20  # bytes; the longest of Intel's has 7 KiB

_PARTIAL = {x509.DeltaCRLIndicator.oid: "a delta indicator", x509.IssuingDistributionPoint.oid: "an issuing distribution point"}
"""What says that a list is not the whole list, critical or not (RFC 5280, 5.2.4 and 5.2.5)."""

_SEQUENCE = b"\x30"
_SHORT = 0x80  # lengths below it are one byte (X.690, 8.1.3)


@asn1.sequence
class _SignedStructure:
    """What certificates and CRLs are alike in: a body, an algorithm, and the signature over the body."""

    body: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


@dataclass(frozen=True, slots=True, kw_only=True)
class Crl:
    """A list that was proved: `prove` alone makes one."""

    issuer: CertificateRole
    serials: frozenset[int] = field(repr=False)
    window: Window  # from thisUpdate to nextUpdate
    number: int


def prove(der: bytes, issuer: Certificate) -> Crl:
    """The list, signed by that issuer; raises `Malformed` DJ206, and `Untrusted` DJ225 where it is another's or has no number."""
    _check_signature(der, issuer)
    try:
        crl = x509.load_der_x509_crl(der)
        entries = frozenset(each.serial_number for each in crl)
        begins, ends = crl.last_update_utc, crl.next_update_utc
        extensions = {each.oid: each for each in crl.extensions}
        algorithm, issuer_name = crl.signature_algorithm_oid, crl.issuer
    except (ValueError, TypeError, UserWarning, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise Malformed("DJ206", f"CRL of {issuer.role}: cannot be read: {error}") from error
    if ends is None:
        raise Untrusted("DJ225", f"CRL of {issuer.role}: no nextUpdate")
    if algorithm != SignatureAlgorithmOID.ECDSA_WITH_SHA256 or issuer_name != issuer.handle.subject:
        raise Untrusted(
            "DJ225", f"CRL: issued by {issuer_name.rfc4514_string()!r}, expected {issuer.role} with ecdsa-with-SHA256"
        )
    return Crl(issuer=issuer.role, serials=entries, window=Window(begins=begins, ends=ends), number=_number(extensions, issuer))


def _check_signature(der: bytes, issuer: Certificate) -> None:
    if len(der) > MAX_CRL:
        raise Malformed("DJ206", f"CRL: {len(der)} bytes, expected at most {MAX_CRL}")
    try:
        structure = asn1.decode_der(_SignedStructure, der)
    except ValueError as error:
        raise Malformed("DJ206", f"CRL of {issuer.role}: no DER of one: {error}") from error
    if structure.signature.padding_bits():
        raise Malformed("DJ206", f"CRL of {issuer.role}: its signature ends within a byte")
    if not issuer.key.verifies_der(structure.signature.as_bytes(), _whole(structure.body)):
        raise Untrusted("DJ225", f"CRL: {issuer.role} did not sign it")


def _whole(body: asn1.TLV) -> bytes:
    """The body with its head, as it stands in the DER; DER has one way to write a length."""
    length = len(body.data)
    if length < _SHORT:
        return _SEQUENCE + bytes([length]) + bytes(body.data)
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return _SEQUENCE + bytes([_SHORT | len(digits)]) + digits + bytes(body.data)


def _number(extensions: dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]], issuer: Certificate) -> int:
    """The CRL number, where the extensions are those that Intel's CRLs have, and others that take nothing from the list."""
    if partial := [name for oid, name in _PARTIAL.items() if oid in extensions]:
        raise Untrusted("DJ225", f"CRL of {issuer.role}: has {partial[0]}; expected the whole list of its issuer")
    number, key = extensions.pop(x509.CRLNumber.oid, None), extensions.pop(x509.AuthorityKeyIdentifier.oid, None)
    if number is None or key is None or any(each.critical for each in extensions.values()):
        raise Untrusted("DJ225", f"CRL of {issuer.role}: expected a CRL number, an authority key identifier and nothing critical")
    own = issuer.handle.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    if not isinstance(key.value, x509.AuthorityKeyIdentifier) or key.value.key_identifier != own:
        raise Untrusted("DJ225", f"CRL: names another key than that of {issuer.role}")
    assert isinstance(number.value, x509.CRLNumber)
    return number.value.crl_number
