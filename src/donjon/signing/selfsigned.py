"""The certificate of a key that signs tokens: by itself, in the name of the issuer, as Microsoft Azure Attestation's are.

Nobody is to trust it as an authority: relying parties find it where the issuer publishes its keys.
"""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from donjon.pki.serving import BACKDATE, LONGEST_NAME


def certificate(
    key: RSAPrivateKey | EllipticCurvePrivateKey, issuer: str, serial: int, moment: datetime, lifetime: timedelta
) -> bytes:
    """DER, good from a little before the moment until a lifetime after it; the issuer is its name, cut short, and its URI."""
    issued_at = moment.replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer[:LONGEST_NAME])])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(serial)
    builder = builder.not_valid_before(issued_at - BACKDATE).not_valid_after(issued_at + lifetime)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(issuer)]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
