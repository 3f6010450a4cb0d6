"""ECDSA with P-256 and SHA-256 in the raw form of quotes: a key is X ‖ Y, a signature r ‖ s, each number 32 bytes, big-endian.

Source: Intel SGX ECDSA quote library reference, "ECDSA 256-bit Quote Signature Data Structure".
"""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from donjon.errors import Malformed

KEY = SIGNATURE = 64  # bytes

_NUMBER = 32
_UNCOMPRESSED = b"\x04"
_ALGORITHM = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A point of the curve; two are equal where the library says so."""

    handle: ec.EllipticCurvePublicKey = field(repr=False)

    @property
    def raw(self) -> bytes:
        """X ‖ Y."""
        return encode(self.handle)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether that signature, r ‖ s, is this key's over the message."""
        if len(signature) != SIGNATURE:
            return False
        r, s = int.from_bytes(signature[:_NUMBER], "big"), int.from_bytes(signature[_NUMBER:], "big")
        return self.verifies_der(encode_dss_signature(r, s), message)

    def verifies_der(self, signature: bytes, message: bytes) -> bool:
        """Whether that signature, in DER, is this key's over the message."""
        try:
            self.handle.verify(signature, message, _ALGORITHM)
        except InvalidSignature:
            return False
        return True


def parse(raw: bytes) -> PublicKey:
    """The key with that X ‖ Y; raises `Malformed` DJ207 for what is no point of the curve."""
    try:
        handle = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _UNCOMPRESSED + raw)
    except ValueError as error:
        raise Malformed("DJ207", "public key: expected 64 bytes that are a point of the curve P-256") from error
    return PublicKey(handle)


def encode(handle: ec.EllipticCurvePublicKey) -> bytes:
    """X ‖ Y of a key of P-256."""
    return handle.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def of(certificate: x509.Certificate) -> PublicKey:
    """The key that the certificate is for; raises `Malformed` DJ207 unless it is one of P-256."""
    try:
        handle = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("DJ207", f"public key: cannot be read: {error}") from error
    if not isinstance(handle, ec.EllipticCurvePublicKey) or not isinstance(handle.curve, ec.SECP256R1):
        raise Malformed("DJ207", f"public key: {type(handle).__name__}, expected one of the curve P-256")
    return PublicKey(handle)
