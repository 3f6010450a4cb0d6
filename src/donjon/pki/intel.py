"""Intel's hierarchy: the root is pinned by its key, and every certificate below it is proved for the one role it may have.

`cryptography`'s verifier checks signature, names' chaining, dates, basicConstraints, keyUsage of authorities and unknown critical
extensions. What it lets through is checked here: the role by its exact common name (the root says whose hierarchy it is),
who issues which role, the curve, the signature algorithm, the path length, and that the key identifiers of issuer and issued
fit. No moment comes in: a certificate's window, its issuer's included, is a fact that the caller holds against his own.

Source: Intel SGX PCK Certificate and CRL Profile Specification, sections 1 to 4.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from donjon.errors import Malformed, Untrusted
from donjon.pki import p256, pem

MAX_CERTIFICATE = 8 << 10  # bytes; Intel's have less than 1.3 KiB


class CertificateRole(StrEnum):
    """What a certificate of the hierarchy is for; its exact common name is whose hierarchy that is, "Intel", and the value."""

    ROOT = "SGX Root CA"
    PROCESSOR_CA = "SGX PCK Processor CA"
    PLATFORM_CA = "SGX PCK Platform CA"
    TCB_SIGNING = "SGX TCB Signing"
    PCK = "SGX PCK Certificate"


PCK_CAS = frozenset({CertificateRole.PROCESSOR_CA, CertificateRole.PLATFORM_CA})

_ISSUERS: Mapping[CertificateRole, frozenset[CertificateRole]] = {
    CertificateRole.ROOT: frozenset({CertificateRole.ROOT}),
    CertificateRole.PROCESSOR_CA: frozenset({CertificateRole.ROOT}),
    CertificateRole.PLATFORM_CA: frozenset({CertificateRole.ROOT}),
    CertificateRole.TCB_SIGNING: frozenset({CertificateRole.ROOT}),
    CertificateRole.PCK: PCK_CAS,
}
_PATH_LENGTHS: Mapping[CertificateRole, int] = {
    CertificateRole.ROOT: 1,
    CertificateRole.PROCESSOR_CA: 0,
    CertificateRole.PLATFORM_CA: 0,
}
"""Of the authorities; the two other roles are no authorities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A root that is trusted, in whichever edition of its certificate it is shown."""

    subject: bytes  # DER of the name
    key: bytes  # X ‖ Y

    def digest(self) -> bytes:
        """What stands for this root among others: SHA-256, 32 bytes."""
        return hashlib.sha256(self.key + self.subject).digest()


INTEL = Anchor(
    subject=bytes.fromhex(
        "3068311a301806035504030c11496e74656c2053475820526f6f74204341311a3018060355040a0c11496e74656c20436f72706f726174696f6e"
        "3114301206035504070c0b53616e746120436c617261310b300906035504080c024341310b3009060355040613025553"
    ),
    key=bytes.fromhex(
        "0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5"
        "67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"
    ),
)
"""Intel SGX Root CA. Its certificates of 2018 to 2033 and of 2018 to 2049 have this name and this key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time, both ends included."""

    begins: datetime
    ends: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.begins <= moment <= self.ends

    def within(self, other: "Window") -> "Window":
        """What both have in common, which may be nothing."""
        return Window(begins=max(self.begins, other.begins), ends=min(self.ends, other.ends))


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that was proved, up to the root: `prove_root` and `prove_certificate` alone make one."""

    role: CertificateRole
    whose: str  # "Intel", or what stands before the root's role in its common name
    der: bytes = field(repr=False)
    serial: int
    key: p256.PublicKey
    window: Window  # in which it and everything above it is good
    handle: x509.Certificate = field(repr=False, compare=False)
    store: verification.Store = field(repr=False, compare=False)  # of it alone, which keeps its key ready for what it issued


def anchor(certificate: bytes) -> Anchor:
    """The root that this certificate, in PEM or DER, is of; raises `Malformed` DJ204, DJ205 or DJ207."""
    der = pem.parse(certificate, 1)[0] if certificate.startswith(b"-----") else certificate
    handle = read(der)
    return Anchor(subject=subject_of(handle).public_bytes(), key=p256.of(handle).raw)


def prove_root(der: bytes, trusted: Anchor) -> Certificate:
    """The root certificate of a chain; raises `Malformed`, and `Untrusted` DJ220 where it is not the one that is trusted."""
    handle = read(der)
    key, subject = p256.of(handle), subject_of(handle)
    name = common_name(subject)
    if key.raw != trusted.key or subject.public_bytes() != trusted.subject:
        raise Untrusted("DJ220", f"certificate chain: its root {name} is not the one that is trusted")
    whose, expected, rest = name.rpartition(f" {CertificateRole.ROOT}")
    if not expected or rest:
        raise Untrusted("DJ221", f"certificate chain: its root is {name!r}, expected a name that ends in {CertificateRole.ROOT}")
    _check_form(handle, CertificateRole.ROOT)
    if issuer_of(handle) != subject or not key.verifies_der(handle.signature, handle.tbs_certificate_bytes):
        raise Untrusted("DJ222", "root certificate: its key did not sign it")
    _check_extensions(handle, CertificateRole.ROOT)
    _check_identifiers(handle, handle)
    return _certificate(CertificateRole.ROOT, whose, der, handle, window_of(handle))


def prove_certificate(der: bytes, issuer: Certificate, roles: frozenset[CertificateRole]) -> Certificate:
    """The certificate in one of those roles that this issuer signed; raises `Malformed`, and `Untrusted` DJ221 or DJ222."""
    handle = read(der)
    role = _role(handle, issuer, roles)
    _check_form(handle, role)
    window = window_of(handle).within(issuer.window)
    policy = verification.PolicyBuilder().store(issuer.store).time(window.begins).max_chain_depth(0)
    policy = policy.extension_policies(ca_policy=_AUTHORITIES, ee_policy=_POLICIES[role])
    try:
        policy.build_client_verifier().verify(handle, [])
    except verification.VerificationError as error:
        raise Untrusted("DJ222", f"{role}: not a certificate that {issuer.role} issued: {error}") from error
    _check_identifiers(handle, issuer.handle)
    return _certificate(role, issuer.whose, der, handle, window)


def _certificate(role: CertificateRole, whose: str, der: bytes, handle: x509.Certificate, window: Window) -> Certificate:
    key, serial, store = p256.of(handle), handle.serial_number, verification.Store([handle])
    return Certificate(role=role, whose=whose, der=der, serial=serial, key=key, window=window, handle=handle, store=store)


def read(der: bytes) -> x509.Certificate:
    """A certificate of which nothing is proved; raises `Malformed` DJ205."""
    if len(der) > MAX_CERTIFICATE:
        raise Malformed("DJ205", f"certificate: {len(der)} bytes, expected at most {MAX_CERTIFICATE}")
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion, UserWarning) as error:  # The library warns of some; warnings may be errors.
        raise Malformed("DJ205", f"certificate: no X.509: {error}") from error
    if der[-len(certificate.signature) - 1]:  # The BIT STRING's unused bits, which the library does not look at.
        raise Malformed("DJ205", "certificate: its signature ends within a byte")
    return certificate


def _role(handle: x509.Certificate, issuer: Certificate, roles: frozenset[CertificateRole]) -> CertificateRole:
    name = _subject_common_name(handle)
    role = next((each for each in roles if f"{issuer.whose} {each}" == name), None)
    if role is None or issuer.role not in _ISSUERS[role]:
        expected = " or ".join(sorted(roles))
        raise Untrusted("DJ221", f"certificate chain: found {name!r} under {issuer.role}, expected {issuer.whose} {expected}")
    return role


_UNREADABLE = (ValueError, TypeError, UserWarning)
"""What the library has for names that are not what they say; it warns of some, and warnings may be errors."""


def subject_of(handle: x509.Certificate) -> x509.Name:
    """Whose certificate it is; raises `Malformed` DJ205."""
    try:
        return handle.subject
    except _UNREADABLE as error:
        raise Malformed("DJ205", f"certificate: a subject that cannot be read: {error}") from error


def issuer_of(handle: x509.Certificate) -> x509.Name:
    """Who is said to have issued it; raises `Malformed` DJ205."""
    try:
        return handle.issuer
    except _UNREADABLE as error:
        raise Malformed("DJ205", f"certificate: an issuer that cannot be read: {error}") from error


def common_name(name: x509.Name) -> str:
    """The one common name in it."""
    names = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else f"{len(names)} common names"


def _subject_common_name(handle: x509.Certificate) -> str:
    return common_name(subject_of(handle))


def _check_form(handle: x509.Certificate, role: CertificateRole) -> None:
    if handle.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise Untrusted(
            "DJ222", f"{role}: signed with {handle.signature_algorithm_oid.dotted_string}, expected ecdsa-with-SHA256"
        )


def window_of(handle: x509.Certificate) -> Window:
    """When a certificate of which nothing is proved says that it is good; raises `Malformed` DJ205."""
    try:
        return Window(begins=handle.not_valid_before_utc, ends=handle.not_valid_after_utc)
    except ValueError as error:
        raise Malformed("DJ205", f"certificate: dates that cannot be read: {error}") from error


def _check_extensions(handle: x509.Certificate, role: CertificateRole) -> None:
    """Of a root, which the library takes as it stands; of all others its verifier does this."""
    try:
        constraints = handle.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = handle.extensions.get_extension_for_class(x509.KeyUsage).value
        _check_constraints(role, constraints)
        _check_usage(role, usage)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise Untrusted("DJ222", f"{role}: {error}") from error
    understood = {x509.BasicConstraints.oid, x509.KeyUsage.oid}
    if unknown := [each.oid.dotted_string for each in handle.extensions if each.critical and each.oid not in understood]:
        raise Untrusted("DJ222", f"{role}: critical extensions that nobody here knows: {', '.join(unknown)}")


def _check_constraints(role: CertificateRole, constraints: x509.BasicConstraints) -> None:
    ca, length = role in _PATH_LENGTHS, _PATH_LENGTHS.get(role)
    if constraints.ca != ca or constraints.path_length != length:
        raise ValueError(f"basicConstraints {constraints.ca}, {constraints.path_length}, expected {ca}, {length}")


def _check_usage(role: CertificateRole, usage: x509.KeyUsage) -> None:
    signs = role in _PATH_LENGTHS
    if (usage.key_cert_sign, usage.crl_sign) != (signs, signs) or (not signs and not usage.digital_signature):
        raise ValueError("keyUsage is not that of its role")


def _policy(role: CertificateRole) -> verification.ExtensionPolicy:
    def constraints(_policy: verification.Policy, _of: x509.Certificate, value: x509.BasicConstraints) -> None:
        _check_constraints(role, value)

    def usage(_policy: verification.Policy, _of: x509.Certificate, value: x509.KeyUsage) -> None:
        _check_usage(role, value)

    policy = verification.ExtensionPolicy.permit_all()
    policy = policy.require_present(x509.BasicConstraints, verification.Criticality.CRITICAL, constraints)
    return policy.require_present(x509.KeyUsage, verification.Criticality.CRITICAL, usage)


_AUTHORITIES = verification.ExtensionPolicy.webpki_defaults_ca()
_POLICIES: Mapping[CertificateRole, verification.ExtensionPolicy] = {role: _policy(role) for role in CertificateRole}


def _check_identifiers(handle: x509.Certificate, issuer: x509.Certificate) -> None:
    """The issuer's key has the identifier that the issued certificate names."""
    try:
        authority_key_id = handle.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        subject_key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        handle.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise Untrusted("DJ222", f"{_subject_common_name(handle)}: {error}") from error
    if authority_key_id != subject_key_id:
        raise Untrusted("DJ222", f"{_subject_common_name(handle)}: names another key as its issuer's")


def check_window(role: CertificateRole, begins: datetime, ends: datetime, moment: datetime) -> None:
    """Raises `Untrusted` DJ223 where a certificate in that role with that window is not good at that moment."""
    if not begins <= moment <= ends:
        raise Untrusted("DJ223", f"{role}: good from {begins:%FT%TZ} to {ends:%FT%TZ}, not at {moment:%FT%TZ}")
