"""Keys that sign tokens, read from PEM."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from joserfc.jwk import ECKey, RSAKey

from donjon.errors import Misconfigured
from donjon.formats.json import JsonObject
from donjon.pki import pem
from donjon.pki.serving import BACKDATE
from donjon.signing import selfsigned
from donjon.signing.ring import DatedKey, Order
from donjon.signing.signer import Algorithm

MAX_PEM = 64 << 10  # bytes
RSA_BITS = 2048  # at least, and of new keys
MAX_RSA_BITS = 8192

_JTI = 32  # bytes
_COORDINATE = 32  # bytes
_PKCS1, _SHA256 = PKCS1v15(), SHA256()
_ECDSA = ECDSA(_SHA256)
_PROOF = b"a key that signs"
_LEAST_EXPONENT = 3  # with 1, everybody signs
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KeySigner:
    """A key at hand, and the certificate that is published with it: `parse_signer` makes one."""

    algorithm: Algorithm
    kid: str
    _key: RSAPrivateKey | EllipticCurvePrivateKey
    _certificate: bytes

    def jwk(self) -> JsonObject:
        """The public key with its certificate."""
        public_key = self._key.public_key()
        jwk = RSAKey.import_key(public_key) if isinstance(public_key, RSAPublicKey) else ECKey.import_key(public_key)
        public: JsonObject = {name: str(value) for name, value in jwk.as_dict(private=False).items()}
        x5c: JsonObject = {"x5c": [base64.b64encode(self._certificate).decode("ascii")]}
        return {**public, **x5c, "alg": str(self.algorithm), "kid": self.kid, "use": "sig"}

    def with_window(self, name: str) -> DatedKey:
        """With the window of its certificate, and what its store calls it."""
        certificate = x509.load_der_x509_certificate(self._certificate)
        return DatedKey(name=name, signer=self, begins=certificate.not_valid_before_utc, ends=certificate.not_valid_after_utc)

    def sign(self, signing_input: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5, or the two numbers of ECDSA one after the other."""
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(signing_input, _PKCS1, _SHA256)
        r, s = decode_dss_signature(self._key.sign(signing_input, _ECDSA))
        return r.to_bytes(_COORDINATE) + s.to_bytes(_COORDINATE)


def parse_signer(text: bytes, certificate: bytes) -> KeySigner:
    """What signs with the key of that text in PEM; `certificate`, in PEM or DER, is its own.

    Raises `Misconfigured` DJ437, and `Malformed` DJ204 for a certificate in PEM that is none.
    """
    return make_signer(_read(text), pem.parse(certificate, 1)[0] if certificate.startswith(b"-----") else certificate)


def make_signer(key: RSAPrivateKey | EllipticCurvePrivateKey, certificate: bytes) -> KeySigner:
    """What signs with that key, of which the library asks nothing but the public half and signatures; a certificate in DER.

    Raises `Misconfigured` DJ437.
    """
    check(key)
    algorithm = Algorithm.RS256 if isinstance(key, RSAPrivateKey) else Algorithm.ES256
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public_of(certificate).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public:
        raise Misconfigured("DJ437", "signing key: the certificate is another key's")
    kid = base64.b64encode(hashlib.sha256(public).digest()).decode("ascii")
    return KeySigner(algorithm, kid, key, certificate)


def parse_key_file(name: str, text: bytes) -> DatedKey:
    """The key of a text with a private key and its certificate, both in PEM, in any order.

    Raises `Misconfigured` DJ437 or DJ540, and `Malformed` DJ204 for a certificate that is none.
    """
    if len(text) > MAX_PEM:
        raise Misconfigured("DJ540", f"more than {MAX_PEM} bytes")
    blocks = [(match[1], match[0] + b"\n") for match in _BLOCK.finditer(text)]
    keys = [block for label, block in blocks if label.endswith(b"PRIVATE KEY")]
    certificates = [block for label, block in blocks if label == pem.CERTIFICATE]
    if len(keys) != 1 or len(certificates) != 1:
        contents = f"{len(keys)} private keys and {len(certificates)} certificates"
        raise Misconfigured("DJ540", f"{contents}, expected one of each in PEM")
    return parse_signer(keys[0], certificates[0]).with_window(name)


def self_signed(text: bytes, issuer: str, moment: datetime, lifetime: timedelta) -> bytes:
    """A certificate of that key in the name of the issuer, in DER; raises `Misconfigured` DJ437."""
    return selfsigned.certificate(_read(text), issuer, x509.random_serial_number(), moment, lifetime)


def fresh_key(algorithm: Algorithm) -> bytes:
    """A new key in PEM."""
    key = generate_private_key(65537, RSA_BITS) if algorithm is Algorithm.RS256 else generate_ec(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue_certificate(key: RSAPrivateKey | EllipticCurvePrivateKey, order: Order) -> bytes:
    """The certificate, in DER, that the order wants of that key."""
    lifetime = order.ends - order.begins - BACKDATE
    return selfsigned.certificate(key, order.issuer, x509.random_serial_number(), order.begins + BACKDATE, lifetime)


def fresh_file(order: Order) -> bytes:
    """A new key and its certificate, in PEM."""
    text = fresh_key(order.algorithm)
    return text + pem.encode((issue_certificate(_read(text), order),))


def fresh_jti() -> str:
    """A name that no token has had: 64 hexadecimal digits."""
    return secrets.token_hex(_JTI)


def _read(text: bytes) -> RSAPrivateKey | EllipticCurvePrivateKey:
    if len(text) > MAX_PEM:
        raise Misconfigured("DJ437", f"signing key: {len(text)} bytes, expected at most {MAX_PEM}")
    try:
        key = load_pem_private_key(text, password=None, unsafe_skip_rsa_key_validation=True)  # `_prove` does it.
    except (ValueError, TypeError) as error:  # A TypeError where it is encrypted.
        raise Misconfigured("DJ437", "signing key: expected one in PEM, without a password") from error
    return _prove(check(key))


def _prove(key: RSAPrivateKey | EllipticCurvePrivateKey) -> RSAPrivateKey | EllipticCurvePrivateKey:
    """The key, where its public half proves what it signs; raises `Misconfigured` DJ437.

    The library would try its primes: 45 ms of 2048 bits and 360 of 4096, in which no thread goes on.
    """
    if isinstance(key, EllipticCurvePrivateKey):  # The library has compared its halves.
        return key
    if (exponent := key.public_key().public_numbers().e) < _LEAST_EXPONENT:
        raise Misconfigured("DJ437", f"signing key: public exponent {exponent}, expected {_LEAST_EXPONENT} or more")
    try:
        key.public_key().verify(key.sign(_PROOF, _PKCS1, _SHA256), _PROOF, _PKCS1, _SHA256)
    except (InvalidSignature, ValueError) as error:
        raise Misconfigured("DJ437", "signing key: its halves do not belong together") from error
    return key


def check(key: object) -> RSAPrivateKey | EllipticCurvePrivateKey:
    """The key, where it is one that signs tokens; raises `Misconfigured` DJ437."""
    match key:
        case RSAPrivateKey() if RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            return key
        case EllipticCurvePrivateKey() if isinstance(key.curve, SECP256R1):
            return key
        case _:
            raise Misconfigured("DJ437", f"signing key: expected RSA of {RSA_BITS} to {MAX_RSA_BITS} bits, or P-256")


def public_of(certificate: bytes) -> RSAPublicKey | EllipticCurvePublicKey:
    """The key of a certificate in DER; raises `Misconfigured` DJ437."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misconfigured("DJ437", "signing key: its certificate cannot be read; expected DER") from error
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        raise Misconfigured("DJ437", f"signing key: expected RSA of {RSA_BITS} to {MAX_RSA_BITS} bits, or P-256")
    return key


def subject_of(certificate: bytes) -> bytes:
    """The subject, in DER, of a certificate in DER."""
    return x509.load_der_x509_certificate(certificate).subject.public_bytes()
