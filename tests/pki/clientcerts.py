"""An authority for client certificates, good whenever the test runs unless told otherwise."""

import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

START, DECADES = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=36500)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
SPIFFE = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/team-a/sa/deployer")


def key() -> EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def private(self) -> bytes:
        """The key, in PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def shown_by(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """A client's context that shows it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            path.write_bytes(self.private + self.pem)
            context.load_cert_chain(path)
        return context


@dataclass(frozen=True)
class ClientAuthority:
    """Issues them."""

    name: str = "clients"
    key: EllipticCurvePrivateKey = field(default_factory=key)

    @property
    def pem(self) -> bytes:
        return self._built(_named(self.name), self.key, ca=True).public_bytes(Encoding.PEM)

    def issue(
        self,
        *names: x509.GeneralName,
        common: Sequence[str] = ("client",),
        usage: ObjectIdentifier = CLIENT,
        window: tuple[datetime, datetime] = (START, START + DECADES),
    ) -> Issued:
        """A leaf with those names."""
        own = key()
        return Issued(self._built(_named(*common), own, names, usage, window), own)

    def _built(
        self,
        subject: x509.Name,
        of: EllipticCurvePrivateKey,
        names: Sequence[x509.GeneralName] = (),
        usage: ObjectIdentifier = CLIENT,
        window: tuple[datetime, datetime] = (START, START + DECADES),
        *,
        ca: bool = False,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(_named(self.name)).public_key(of.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(window[0]).not_valid_after(window[1])
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _named(*common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common])
