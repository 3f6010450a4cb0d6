"""The five certificates of the make-believe hierarchy and its revocation lists, each a plan that is then signed.

Shapes as Intel's (Intel SGX PCK Certificate and CRL Profile Specification, 1.2 and 2). The roles stand at the end of the common
names because readers of quotes look for them there ("SGX Root CA", "SGX PCK Certificate", …); what stands before them, and the
organisation, says that they are not Intel's.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from donjon.simulation.intel.extension import ARC
from donjon.simulation.intel.keys import Curve, private_key, serial_number

PREFIX = "Donjon simulated"
ORGANISATION = "Donjon simulation, not Intel"

Usages = frozenset[str]
CA_USAGES: Usages = frozenset({"key_cert_sign", "crl_sign"})
LEAF_USAGES: Usages = frozenset({"digital_signature", "content_commitment"})
_ALL_USAGES = (
    CA_USAGES | LEAF_USAGES | {"key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"}
)


class SimulatedRole(StrEnum):
    """Whose certificate; the value is the end of its common name."""

    ROOT = "SGX Root CA"
    PLATFORM_CA = "SGX PCK Platform CA"
    PROCESSOR_CA = "SGX PCK Processor CA"
    TCB_SIGNING = "SGX TCB Signing"
    PCK = "SGX PCK Certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePlan:
    """A certificate to be made; keys are named and follow from the seed, so a key's name says who it belongs to."""

    role: SimulatedRole
    issuer: SimulatedRole
    begins: datetime
    ends: datetime
    path_length: int | None = None
    authority: bool | None = False  # CA:TRUE, CA:FALSE, or no basicConstraints at all
    usages: Usages | None = LEAF_USAGES
    common_name: str | None = None  # where it is not the role's
    issuer_name: str | None = None
    organisation: str = ORGANISATION
    key: str | None = None
    serial: str | None = None  # the name from which the serial number follows, where it is not the role's
    signed_by: str | None = None
    subject_key_id: str | None = None  # the key whose identifier it states
    authority_key_id: str | None = None
    without: frozenset[str] = frozenset()  # object identifiers of extensions left out
    extensions: tuple[x509.Extension[x509.UnrecognizedExtension], ...] = ()
    curve: Curve = "secp256r1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A CRL to be made; Intel's all have the number 1."""

    issuer: SimulatedRole
    issue_date: datetime
    next_update: datetime
    revoked: frozenset[SimulatedRole] = frozenset()
    others: tuple[int, ...] = ()  # serial numbers of certificates that are none of ours
    number: int | None = 1
    issuer_name: str | None = None
    signed_by: str | None = None
    authority_key_id: str | None = None
    extensions: tuple[x509.Extension[x509.ExtensionType], ...] = ()  # beside those that Intel's have


@lru_cache(maxsize=1024)
def issue(plan: CertificatePlan, seed: bytes) -> x509.Certificate:
    """The certificate of that plan, signed by the key that it names; machines of one authority share those above their own."""
    key = private_key(seed, plan.key or plan.role.name, plan.curve)
    key_ids = (plan.subject_key_id or plan.key or plan.role.name, plan.authority_key_id or plan.signed_by or plan.issuer.name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(plan.common_name or common_name(plan.role), plan.organisation))
        .issuer_name(name(plan.issuer_name or common_name(plan.issuer), plan.organisation))
        .not_valid_before(plan.begins)
        .not_valid_after(plan.ends)
        .public_key(key.public_key())
        .serial_number(serial_number(seed, plan.serial or plan.role.name))
    )
    subject_curve = plan.curve if key_ids[0] == (plan.key or plan.role.name) else "secp256r1"
    identifiers = [
        x509.Extension(_AUTHORITY, critical=False, value=_authority(seed, key_ids[1])),
        x509.Extension(_DISTRIBUTION, critical=False, value=_distribution(plan.issuer)),
        x509.Extension(_SUBJECT, critical=False, value=_identifier(seed, key_ids[0], subject_curve)),
    ]
    for extension in identifiers:
        if extension.oid.dotted_string not in plan.without:
            builder = builder.add_extension(extension.value, extension.critical)
    if plan.usages is not None:
        builder = builder.add_extension(
            x509.KeyUsage(**{usage: usage in plan.usages for usage in sorted(_ALL_USAGES)}), critical=True
        )
    if plan.authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=plan.authority, path_length=plan.path_length), critical=True)
    for unrecognized in plan.extensions:
        builder = builder.add_extension(unrecognized.value, unrecognized.critical)
    return builder.sign(private_key(seed, plan.signed_by or plan.issuer.name), hashes.SHA256(), ecdsa_deterministic=True)


def revoke(plan: RevocationList, serials: dict[SimulatedRole, int], seed: bytes) -> bytes:
    """The CRL in DER; revoked ones for a compromised key, as all of Intel's."""
    signer = plan.signed_by or plan.issuer.name
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name(plan.issuer_name or common_name(plan.issuer), ORGANISATION))
        .last_update(plan.issue_date)
        .next_update(plan.next_update)
    )
    for serial in (*plan.others, *sorted(serials[role] for role in plan.revoked)):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(plan.issue_date)
        reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
        builder = builder.add_revoked_certificate(entry.add_extension(reason, critical=False).build())
    if plan.number is not None:
        builder = builder.add_extension(x509.CRLNumber(plan.number), critical=False)
    builder = builder.add_extension(_authority(seed, plan.authority_key_id or signer), critical=False)
    for extension in plan.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(private_key(seed, signer), hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def pck_extension(value: bytes, *, critical: bool = False, oid: str = ARC) -> x509.Extension[x509.UnrecognizedExtension]:
    """The extension that makes a certificate a PCK certificate."""
    identifier = x509.ObjectIdentifier(oid)
    return x509.Extension(identifier, critical, x509.UnrecognizedExtension(identifier, value))


def common_name(role: SimulatedRole) -> str:
    """The common name that says both the role and that it is make-believe."""
    return f"{PREFIX} {role.value}"


def name(common: str, organisation: str) -> x509.Name:
    """A subject in the order of Intel's: CN, O, L, ST, C."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )


_AUTHORITY = ExtensionOID.AUTHORITY_KEY_IDENTIFIER
_SUBJECT = ExtensionOID.SUBJECT_KEY_IDENTIFIER
_DISTRIBUTION = ExtensionOID.CRL_DISTRIBUTION_POINTS


def _identifier(seed: bytes, key: str, curve: Curve = "secp256r1") -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(private_key(seed, key, curve).public_key())


def _authority(seed: bytes, key: str) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_identifier(seed, key))


def _distribution(issuer: SimulatedRole) -> x509.CRLDistributionPoints:
    place = f"https://intel.donjon.invalid/{issuer.name.lower().replace('_', '-')}.crl"  # RFC 2606: no such host can exist
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(place)], None, None, None)
    return x509.CRLDistributionPoints([point])
