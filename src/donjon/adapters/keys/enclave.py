"""Keys that sign enclaves, in PEM: RSA of 3072 bits with the exponent 3, which EINIT takes alone."""

from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from donjon.enclave.signature import check_key
from donjon.errors import Misconfigured
from donjon.sgx.sigstruct import EXPONENT, MODULUS_SIZE

MAX_PEM = 64 << 10  # bytes


@dataclass(frozen=True, slots=True)
class PemSigner:
    """A private key at hand: `parse_enclave_key` makes one."""

    modulus: int
    _key: RSAPrivateKey

    def sign(self, message: bytes) -> bytes:
        """The signature, the highest byte first."""
        return self._key.sign(message, PKCS1v15(), SHA256())

    def public_pem(self) -> bytes:
        """The public half."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def parse_enclave_key(text: bytes, passphrase: bytes | None, subject: str = "key") -> PemSigner:
    """The key of a text in PEM, of which errors speak by the subject.

    Raises `Misconfigured` DJ346 where it cannot be read, and DJ340 where EINIT takes no such key.
    """
    try:
        key = load_pem_private_key(text, passphrase)
    except TypeError as error:
        why = (
            "it is encrypted, and no passphrase is said: say --passphrase-file"
            if passphrase is None
            else "it is not encrypted, and a passphrase is said"
        )
        raise Misconfigured("DJ346", f"{subject}: {why}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        rest = "" if passphrase is None else ", or another passphrase"
        aside = "it is a public key, " if b"PUBLIC KEY" in text else ""
        raise Misconfigured("DJ346", f"{subject}: {aside}expected a private key in PEM{rest}") from error
    if not isinstance(key, RSAPrivateKey):
        raise Misconfigured("DJ340", f"{subject}: no RSA key, and EINIT takes no other; make one with donjon enclave keygen")
    return PemSigner(modulus_of(key.public_key(), subject), key)


def modulus_of(key: RSAPublicKey, subject: str = "key") -> int:
    """The modulus of a key with which EINIT takes signatures; raises `Misconfigured` DJ340."""
    numbers = key.public_numbers()
    return check_key(numbers.n, numbers.e, subject)


def parse_public_key(text: bytes, subject: str = "public key") -> int:
    """The modulus of a public key in PEM, of which errors speak by the subject; raises `Misconfigured` DJ346 and DJ340."""
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        aside = "it is a private key, " if b"PRIVATE KEY" in text else ""
        do = "openssl pkey -in KEY.pem -pubout"
        raise Misconfigured("DJ346", f"{subject}: {aside}expected a public one in PEM ({do})") from error
    if not isinstance(key, RSAPublicKey):
        raise Misconfigured("DJ340", f"{subject}: no RSA key, and EINIT takes no other")
    return modulus_of(key, subject)


def fresh_enclave_key(passphrase: bytes | None) -> bytes:
    """A new key in PEM, encrypted where a passphrase is said."""
    key = generate_private_key(EXPONENT, 8 * MODULUS_SIZE)
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
