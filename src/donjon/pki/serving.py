"""A serving certificate with an authority of its own, which signs this one certificate and nothing else.

The authority's key is an argument that nobody keeps: when the certificate is made, no one can sign a second one, so that whoever
steals what a Secret holds has a webhook's certificate and no authority.
"""

import hmac
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from donjon.errors import Malformed
from donjon.findings import Finding
from donjon.pki.intel import Window

BACKDATE = timedelta(hours=1)  # by which clocks of a cluster may differ
MAX_PEM = 64 << 10  # bytes; ours have less than one KiB each
SOON = timedelta(days=1)
SOON_PART = 6  # of a short life: whoever renews does so before its last sixth

LONGEST_NAME = 64  # characters of a common name (RFC 5280, appendix A.1)
_AUTHORITY, _LEAF = "donjon authority", "donjon"
_END = b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingAuthority:
    """The certificate authority of one serving certificate, which its clients are to trust."""

    pem: bytes
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCertificate:
    """A certificate to serve with, in PEM, and when it is good."""

    certificate: bytes
    key: bytes
    authority: ServingAuthority
    issued_at: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What a new certificate is made of: two keys and two serial numbers that nobody has used."""

    authority_key: EllipticCurvePrivateKey
    key: EllipticCurvePrivateKey
    authority_serial: int
    serial: int


def issue(names: Sequence[str], fresh: Fresh, moment: datetime, lifetime: timedelta) -> ServingCertificate:
    """A certificate for these host names or addresses, good from a little before the moment until a lifetime after it."""
    issued_at = moment.replace(microsecond=0)
    begins, ends = issued_at - BACKDATE, issued_at + lifetime
    issuer = _name(f"{_AUTHORITY} {fresh.authority_serial:x}"[:LONGEST_NAME])
    builder = x509.CertificateBuilder().issuer_name(issuer).not_valid_before(begins).not_valid_after(ends)
    authority_id = x509.SubjectKeyIdentifier.from_public_key(fresh.authority_key.public_key())
    authority = (
        builder.subject_name(issuer)
        .public_key(fresh.authority_key.public_key())
        .serial_number(fresh.authority_serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(authority_id, critical=False)
        .sign(fresh.authority_key, hashes.SHA256())
    )
    leaf = (
        builder.subject_name(_name(_LEAF))
        .public_key(fresh.key.public_key())
        .serial_number(fresh.serial)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id), critical=False)
        .sign(fresh.authority_key, hashes.SHA256())
    )
    key = fresh.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ServingCertificate(
        certificate=leaf.public_bytes(serialization.Encoding.PEM),
        key=key,
        authority=ServingAuthority(pem=authority.public_bytes(serialization.Encoding.PEM), ends=ends),
        issued_at=issued_at,
        ends=ends,
    )


def parse(certificate: bytes, key: bytes, authority: bytes, names: Sequence[str]) -> ServingCertificate:
    """The certificate that these PEM texts hold; raises `Malformed` DJ146 unless they belong together and are for these names."""
    leaf, signer = _certificate(certificate), _certificate(authority)
    signers_authority = _authority_of(authority, signer)
    try:
        leaf.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise Malformed("DJ146", "certificate: its authority did not sign it") from error
    if not hmac.compare_digest(_public(_key(key).public_key()), _public(leaf.public_key())):
        raise Malformed("DJ146", "certificate: the key is another one's")
    if missing := set(map(_general, names)) - set(_names(leaf)):
        raise Malformed("DJ146", f"certificate: it is not for {', '.join(str(name.value) for name in missing)}")
    return ServingCertificate(
        certificate=certificate,
        key=key,
        authority=signers_authority,
        issued_at=leaf.not_valid_before_utc + BACKDATE,
        ends=min(leaf.not_valid_after_utc, signers_authority.ends),
    )


def parse_authority(pem: bytes) -> ServingAuthority:
    """The one authority in that PEM text; raises `Malformed` DJ146."""
    return _authority_of(pem, _certificate(pem))


def _authority_of(pem: bytes, certificate: x509.Certificate) -> ServingAuthority:
    return ServingAuthority(pem=pem.strip() + b"\n", ends=certificate.not_valid_after_utc)


def parse_authorities(pem: bytes) -> tuple[ServingAuthority, ...]:
    """All authorities in that PEM text, in its order; raises `Malformed` DJ146."""
    parts = [part + _END for part in pem.split(_END)[:-1]]
    return tuple(parse_authority(part) for part in parts)


def window_of(chain: bytes) -> Window:
    """From when until when the first certificate of a chain in PEM is good; raises `Malformed` DJ146."""
    try:
        leaf = x509.load_pem_x509_certificates(_check_size(chain))[0]
    except ValueError as error:
        raise Malformed("DJ146", "certificate: expected one in PEM") from error
    return Window(begins=leaf.not_valid_before_utc, ends=leaf.not_valid_after_utc)


def appraise(window: Window, moment: datetime) -> Finding | None:
    """What is amiss with a serving certificate's dates: an error where clients refuse it now, a warning where they soon will."""
    if moment < window.begins:
        return _date(
            Finding.error, f"begins {window.begins:%FT%TZ}", "clients refuse it until then", "see that the clock is right"
        )
    if moment > window.ends:
        return _date(Finding.error, f"ended {window.ends:%FT%TZ}", "clients refuse it", "renew it")
    if moment >= window.ends - min(SOON, (window.ends - window.begins) / SOON_PART):
        return _date(Finding.warning, f"ends {window.ends:%FT%TZ}", "from then on clients refuse it", "renew it")
    return None


def _date(severity: Callable[[str, str, str, str, str], Finding], observation: str, why: str, do: str) -> Finding:
    return severity("DJ149", "serving certificate", observation, why, do)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(leaf: x509.Certificate) -> Sequence[x509.GeneralName]:
    try:
        return list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, ValueError):
        return []


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        (certificate,) = x509.load_pem_x509_certificates(_check_size(pem))
    except ValueError as error:
        raise Malformed("DJ146", "certificate: expected one in PEM") from error
    return certificate


def _key(pem: bytes) -> EllipticCurvePrivateKey:
    try:
        private_key = serialization.load_pem_private_key(_check_size(pem), password=None)
    except (ValueError, TypeError) as error:  # A TypeError where it is encrypted.
        raise Malformed("DJ146", "key: expected one in PEM, without a password") from error
    if not isinstance(private_key, EllipticCurvePrivateKey):
        raise Malformed("DJ146", "key: expected one of an elliptic curve")
    return private_key


def _check_size(pem: bytes) -> bytes:
    if len(pem) > MAX_PEM:
        raise Malformed("DJ146", f"PEM: {len(pem)} bytes, expected at most {MAX_PEM}")
    return pem


def _public(key: object) -> bytes:
    if not hasattr(key, "public_bytes"):
        return b""
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded
