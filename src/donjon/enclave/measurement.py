"""MRENCLAVE: the SHA-256 of what is done to build an enclave, in the order in which it is done.

Source: Intel SDM, volume 3D, "ECREATE", "EADD", "EEXTEND": each adds a block of 64 bytes, and EEXTEND the 256 bytes of its chunk.
Where the enclave is loaded, and its attributes, are not in it.
"""

import hashlib
import struct
from array import array
from collections.abc import Iterable

PAGE, CHUNK = 4096, 256
MAX_BUILT_PAGES = 1 << 22  # 16 GiB that are added, whether their content counts or not
MAX_CONTENT_PAGES = 1 << 19  # 2 GiB of content that counts: some seconds of hashing
CHUNKS = PAGE // CHUNK
_BLOCK = 64
_ECREATE = struct.Struct("<8sIQ44x")
_EADD = struct.Struct("<8sQQ40x")
_EEXTEND = struct.Struct("<8sQ48x")
_PAGE = struct.Struct("<8sQQ40x" + "QQ48x256s" * CHUNKS)
_CONTENT = struct.Struct("256s" * CHUNKS)
_TAG = int.from_bytes(b"EEXTEND\0", "little")
_WORD = 8  # bytes of an offset
_RUN = 128  # pages that are written at once
_ZEROS = bytes(PAGE)


class Measurement:
    """An enclave that is being built."""

    def __init__(self, size: int, ssa_frame_size: int) -> None:
        """Begin as ECREATE does: bytes of the enclave, pages of one SSA frame."""
        self._hash = hashlib.sha256(_ECREATE.pack(b"ECREATE", ssa_frame_size, size))

    def add(self, offset: int, flags: int, content: bytes = _ZEROS, *, times: int = 1, extend: bool = True) -> None:
        """Add pages at an offset from the enclave's base, with their SECINFO.FLAGS; their content counts where `extend` is true.

        The content is of whole pages one after the other; one page may come several times.
        """
        if times > 1 or not extend:
            pages = times if times > 1 else len(content) // PAGE
            self._add_alike(offset, pages, _EADD.pack(b"EADD", 0, flags) + (_chunks(content) if extend else b""))
            return
        fields: list[bytes | int] = [b"EADD", 0, flags, *(_TAG, 0, b"") * CHUNKS]
        for place in range(0, len(content), PAGE):
            fields[1] = offset + place
            fields[4::3] = range(offset + place, offset + place + PAGE, CHUNK)
            fields[5::3] = _CONTENT.unpack_from(content, place)
            self._hash.update(_PAGE.pack(*fields))

    def _add_alike(self, offset: int, pages: int, record: bytes) -> None:
        """Add pages whose records differ by their offsets alone: these are written into a run of them, column by column."""
        run = memoryview(bytearray(record * min(_RUN, pages)))
        words, step = run.cast("Q"), len(record) // _WORD
        columns = range(_BLOCK // _WORD + 1, step, (_BLOCK + CHUNK) // _WORD)
        while pages:
            count = min(_RUN, pages)
            places = memoryview(array("Q", range(offset, offset + count * PAGE, PAGE // max(len(columns), 1))))
            words[1 : count * step : step] = places[:: max(len(columns), 1)]
            for chunk, word in enumerate(columns):
                words[word : count * step : step] = places[chunk :: len(columns)]
            self._hash.update(run[: count * len(record)])
            offset, pages = offset + count * PAGE, pages - count

    def add_chunks(self, offset: int, flags: int, chunks: Iterable[tuple[int, bytes]]) -> None:
        """Add a page of which these chunks count, each with its place."""
        self._hash.update(_EADD.pack(b"EADD", offset, flags))
        for place, chunk in chunks:
            self._hash.update(_EEXTEND.pack(b"EEXTEND", place) + chunk)

    @property
    def mr_enclave(self) -> bytes:
        """What it is by now."""
        return self._hash.digest()


def _chunks(page: bytes) -> bytes:
    return b"".join(_EEXTEND.pack(b"EEXTEND", 0) + page[start : start + CHUNK] for start in range(0, PAGE, CHUNK))
