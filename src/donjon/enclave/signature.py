"""Whether a SIGSTRUCT is signed as EINIT wants it.

Source: Intel SDM, volume 3D, "EINIT" and "SIGSTRUCT": RSA with 3072 bits, e = 3, PKCS #1 v1.5 with SHA-256, Q1 and Q2 beside it.
"""

from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from donjon.errors import Misconfigured
from donjon.sgx.sigstruct import EXPONENT, MODULUS_SIZE, SigStruct

KEY_BITS = 8 * MODULUS_SIZE

_MAKE_ONE = "make one with donjon enclave keygen"


def quotients(signature: int, modulus: int) -> tuple[int, int]:
    """Q1 and Q2: what spares EINIT two divisions."""
    q1, rest = divmod(signature * signature, modulus)
    return q1, signature * rest // modulus


def signature_faults(sigstruct: SigStruct) -> Iterator[str]:
    """Everything by which EINIT would refuse the signature, in words; nothing where it takes it."""
    if sigstruct.exponent != EXPONENT:
        yield f"its exponent is {sigstruct.exponent}, and EINIT takes {EXPONENT} alone"
        return
    modulus, signature = (int.from_bytes(each, "little") for each in (sigstruct.modulus, sigstruct.signature))
    if modulus.bit_length() != 8 * MODULUS_SIZE or not modulus % 2:
        yield "its modulus is no RSA modulus of 3072 bits"
        return
    if signature >= modulus:
        yield "its signature is no number below its modulus"
        return
    try:
        key = RSAPublicNumbers(EXPONENT, modulus).public_key()
        key.verify(signature.to_bytes(MODULUS_SIZE, "big"), sigstruct.message, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        yield "its signature is not of its fields by its key"
    if (sigstruct.q1, sigstruct.q2) != quotients(signature, modulus):
        yield "its Q1 or Q2 is not of its signature"


def check_key(modulus: int, exponent: int, subject: str) -> int:
    """The modulus of a public key with which EINIT takes signatures; raises `Misconfigured` DJ340."""
    if exponent != EXPONENT:
        raise Misconfigured(
            "DJ340",
            f"{subject}: its public exponent is {exponent}, and EINIT takes {EXPONENT} alone; a key cannot be changed: "
            f"{_MAKE_ONE}",
        )
    if modulus.bit_length() != KEY_BITS or not modulus % 2:
        bits = modulus.bit_length()
        raise Misconfigured("DJ340", f"{subject}: RSA of {bits} bits, and EINIT takes {KEY_BITS} alone; {_MAKE_ONE}")
    return modulus
