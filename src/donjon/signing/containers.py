"""Whether a container image is signed by a key, as cosign does it with a key pair of its user's.

Source: sigstore/cosign, `specs/SIGNATURE_SPEC.md`: the payload is "simple signing" JSON that names the digest of a manifest; the
signature is over the payload's bytes, ECDSA or RSA (PKCS #1 v1.5) with SHA-256, or Ed25519. Left out: certificates, transparency
logs and whatever else the payload claims; a signature here is of one key that a policy names.
"""

import base64
import binascii
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from donjon.errors import Malformed, Untrusted
from donjon.formats import strict_json

TYPES = frozenset({"cosign container image signature", "https://sigstore.dev/cosign/sign/v1"})
MAX_PAYLOAD = 64 << 10  # bytes
MIN_RSA_BITS = 2048

ContainerPublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSignature:
    """What is kept beside an image: the bytes that were signed, and the signature as it stands there, in base64."""

    payload: bytes
    signature: str


def parse_container_key(pem: str) -> ContainerPublicKey:
    """The public key; raises `Malformed` DJ385 for one that such signatures are not made with."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("DJ385", f"key of a container signature: no public key in PEM: {error}") from error
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise Malformed("DJ385", f"key of a container signature: RSA with {key.key_size} bits, expected {MIN_RSA_BITS} or more")
    if not isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey):
        raise Malformed("DJ385", "key of a container signature: expected ECDSA, Ed25519 or RSA")
    return key


def verify_container(signature: ContainerSignature, key: ContainerPublicKey, digest: str) -> None:
    """Prove that the key signed the manifest of that digest; raises `Untrusted` DJ384, `Malformed` DJ385 for no payload.

    The payload is read only when its signature is proved.
    """
    if len(signature.payload) > MAX_PAYLOAD:
        raise Malformed(
            "DJ385", f"container signature: a payload of {len(signature.payload)} bytes, expected at most {MAX_PAYLOAD}"
        )
    _verify(signature, key)
    try:
        document = strict_json.parse(signature.payload, "container signature", MAX_PAYLOAD, fractions=True)
        critical = document.member("critical")
        kind, actual = critical.text("type"), critical.member("image").text("docker-manifest-digest")
    except Malformed as error:
        raise Malformed("DJ385", f"container signature: {error.message}") from error
    if kind not in TYPES:
        raise Untrusted("DJ384", "container signature: it is of something else than a container")
    if actual != digest:
        raise Untrusted("DJ384", f"container signature: it is of {actual[:80]}, expected {digest}")


def _verify(signature: ContainerSignature, key: ContainerPublicKey) -> None:
    try:
        raw = base64.b64decode(signature.signature, validate=True)
        match key:
            case RSAPublicKey():
                key.verify(raw, signature.payload, PKCS1v15(), SHA256())
            case Ed25519PublicKey():
                key.verify(raw, signature.payload)
            case EllipticCurvePublicKey():
                key.verify(raw, signature.payload, ECDSA(SHA256()))
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise Untrusted("DJ384", "container signature: it is not of its payload by that key") from error
