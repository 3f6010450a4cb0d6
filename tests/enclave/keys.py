"""Keys that sign enclaves in tests, made once for a process."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from donjon.adapters.keys.enclave import PemSigner, fresh_enclave_key, parse_enclave_key


@cache
def pem() -> bytes:
    """A key with which EINIT takes enclaves."""
    return fresh_enclave_key(None)


@cache
def signer() -> PemSigner:
    """The same, ready to sign."""
    return parse_enclave_key(pem(), None)


@cache
def other_pem(bits: int = 3072, exponent: int = 65537) -> bytes:
    """A key with which it takes none."""
    key = rsa.generate_private_key(exponent, bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
