"""Keys, serial numbers and other octets that follow from a seed, and signatures that follow from their key (RFC 6979)."""

import hashlib
from functools import lru_cache
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Curve = Literal["secp256r1", "secp384r1"]

_GROUPS: dict[Curve, tuple[ec.EllipticCurve, int]] = {
    "secp256r1": (ec.SECP256R1(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "secp384r1": (ec.SECP384R1(), (1 << 384) - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D),
}
"""NIST SP 800-186, 3.2.1: each with the order of its group."""


def octets(seed: bytes, name: str, length: int) -> bytes:
    """Bytes that nobody guesses without the seed and that differ with the name."""
    return hashlib.shake_256(len(seed).to_bytes(4, "big") + seed + name.encode()).digest(length)


def serial_number(seed: bytes, name: str) -> int:
    """A positive serial number of 159 bits (RFC 5280, 4.1.2.2)."""
    return int.from_bytes(octets(seed, f"serial {name}", 20), "big") >> 1 | 1 << 158


@lru_cache(maxsize=1024)
def private_key(seed: bytes, name: str, curve: Curve = "secp256r1") -> ec.EllipticCurvePrivateKey:
    """The key of that name, on P-256 unless told otherwise."""
    group, order = _GROUPS[curve]
    return ec.derive_private_key(int.from_bytes(octets(seed, f"key {name}", 64), "big") % (order - 1) + 1, group)


def raw_public(key: ec.EllipticCurvePrivateKey) -> bytes:
    """X || Y, 64 bytes, as quotes carry it."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """The signature r || s, 64 bytes, with SHA-256."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
