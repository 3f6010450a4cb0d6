"""Keys of a test's own, and enclaves that they sign."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from tests.enclave.vectors import EDP

from donjon.enclave.search import Enclave, EnclaveFamily
from donjon.enclave.signature import quotients
from donjon.sgx.sigstruct import MODULUS_SIZE, SigStruct

DEBUG = 1 << 1
_ATTRIBUTES, _MASK, _MR_ENCLAVE, _PRODUCT, _SVN = 928, 944, 960, 1024, 1026


@cache
def key(name: str) -> RSAPrivateKey:
    """A key by that name, the same during a run."""
    del name
    return generate_private_key(3, 8 * MODULUS_SIZE)


def sign(
    signer: str, *, product: int = 1, svn: int = 1, debug: bool = False, masks: bool = True, mr_enclave: bytes = EDP.mr_enclave
) -> SigStruct:
    """A SIGSTRUCT that the key of that name signs."""
    raw = bytearray(EDP.raw)
    raw[_ATTRIBUTES] = raw[_ATTRIBUTES] & ~DEBUG | (DEBUG if debug else 0)
    raw[_MASK] = raw[_MASK] & ~DEBUG | (DEBUG if masks else 0)
    raw[_MR_ENCLAVE : _MR_ENCLAVE + 32] = mr_enclave
    raw[_PRODUCT : _PRODUCT + 2], raw[_SVN : _SVN + 2] = product.to_bytes(2, "little"), svn.to_bytes(2, "little")
    private = key(signer)
    modulus = private.public_key().public_numbers().n
    signature = int.from_bytes(private.sign(SigStruct(bytes(raw)).message, PKCS1v15(), SHA256()), "big")
    q1, q2 = quotients(signature, modulus)
    for place, number in ((128, modulus), (516, signature), (1040, q1), (1424, q2)):
        raw[place : place + MODULUS_SIZE] = number.to_bytes(MODULUS_SIZE, "little")
    return SigStruct(bytes(raw))


def enclave(sigstruct: SigStruct | None, measurement: bytes | None = None) -> Enclave:
    """An enclave with that signature, as one that was found."""
    return Enclave(family=EnclaveFamily.SIGNATURE, sigstruct=sigstruct, offset=0, measurement=measurement)


def spoil(sigstruct: SigStruct) -> SigStruct:
    """The same with another SVN than the one that was signed."""
    raw = bytearray(sigstruct.raw)
    raw[_SVN] ^= 1
    return SigStruct(bytes(raw))
