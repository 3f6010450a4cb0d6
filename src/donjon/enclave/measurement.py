"""MRENCLAVE: the SHA-256 of what is done to build an enclave, in the order in which it is done.

Source: Intel SDM, volume 3D, "ECREATE", "EADD", "EEXTEND": each adds a block of 64 bytes, and EEXTEND the 256 bytes of its chunk.
Where the enclave is loaded, and its attributes, are not in it.
"""

import hashlib
import struct
from collections.abc import Iterable

PAGE, CHUNK = 4096, 256
CHUNKS = PAGE // CHUNK
_ECREATE = struct.Struct("<8sIQ44x")
_EADD = struct.Struct("<8sQQ40x")
_EEXTENDS = struct.Struct("<" + "8sQ48x256s" * CHUNKS)
_EEXTEND = struct.Struct("<8sQ48x")
_ZEROS = bytes(PAGE)


class Measurement:
    """An enclave that is being built."""

    def __init__(self, size: int, ssa_frame_size: int) -> None:
        """Begin as ECREATE does: bytes of the enclave, pages of one SSA frame."""
        self._hash = hashlib.sha256(_ECREATE.pack(b"ECREATE", ssa_frame_size, size))

    def add(self, offset: int, flags: int, page: bytes = _ZEROS, *, extend: bool = True) -> None:
        """Add a page at an offset from the enclave's base, with its SECINFO.FLAGS; its content counts where `extend` is true."""
        self._hash.update(_EADD.pack(b"EADD", offset, flags))
        if extend:
            parts: list[bytes | int] = []
            for start in range(0, PAGE, CHUNK):
                parts += (b"EEXTEND", offset + start, page[start : start + CHUNK])
            self._hash.update(_EEXTENDS.pack(*parts))

    def add_chunks(self, offset: int, flags: int, chunks: Iterable[tuple[int, bytes]]) -> None:
        """Add a page of which these chunks count, each with its place."""
        self._hash.update(_EADD.pack(b"EADD", offset, flags))
        for place, chunk in chunks:
            self._hash.update(_EEXTEND.pack(b"EEXTEND", place) + chunk)

    @property
    def mr_enclave(self) -> bytes:
        """What it is by now."""
        return self._hash.digest()
