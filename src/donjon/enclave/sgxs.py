"""Enclaves of Fortanix' EDP: a file that is the stream of what is measured, with what is only loaded between.

Source: fortanix/rust-sgx, `doc/SGXS.md`, `intel-sgx/sgxs/src/sgxs.rs`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from donjon.enclave.building import TCS
from donjon.enclave.measurement import CHUNK, CHUNKS, PAGE, Measurement
from donjon.errors import Malformed

MAX_PAGES = 1 << 22  # that a file has content or a record of: 16 GiB
_RECORD = 64
_CREATE, _ADD, _EXTEND, _UNMEASURED = b"ECREATE\0", b"EADD\0\0\0\0", b"EEXTEND\0", b"UNMEASRD"
_SIZES = struct.Struct("<IQ")
_PAGE_HEAD = struct.Struct("<QQ")
_WHOLE_PAGE = struct.Struct("<8sQQ40x" + "8sQ48x256s" * CHUNKS)
_EXTENDS = [_EXTEND] * CHUNKS


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxsEnclave:
    """What a stream says of its enclave."""

    mr_enclave: bytes
    size: int  # bytes
    pages: int  # that are added
    threads: int


def is_sgxs(content: bytes) -> bool:
    """Whether a file begins as such a stream does."""
    return content.startswith(_CREATE)


def read_sgxs(content: bytes) -> SgxsEnclave:
    """The enclave of a stream that has its size; raises `Malformed` DJ312."""
    if not is_sgxs(content) or len(content) < _RECORD:
        raise Malformed("DJ312", "no SGXS stream that begins with ECREATE")
    ssa_frame_size, size = _SIZES.unpack_from(content, len(_CREATE))
    measurement, pages, threads, last = Measurement(size, ssa_frame_size), 0, 0, -1
    for offset, flags, page in _pages(content):
        if offset <= last or offset % PAGE or offset >= size or pages >= MAX_PAGES:
            raise Malformed("DJ312", f"a page at {offset:#x} that is out of order or of place")
        if isinstance(page, bytes):
            measurement.add(offset, flags, page)
        else:
            measurement.add_chunks(offset, flags, page)
        last, pages, threads = offset, pages + 1, threads + (flags & 0xFF00 == TCS)
    return SgxsEnclave(mr_enclave=measurement.mr_enclave, size=size, pages=pages, threads=threads)


def _pages(content: bytes) -> Iterator[tuple[int, int, bytes | list[tuple[int, bytes]]]]:
    """Each page: where, its SECINFO.FLAGS, and its content, or else its chunks that are measured, each with its place."""
    place = _RECORD
    while place < len(content):
        if (whole := _whole_page(content, place)) is not None:
            yield whole
            place += _WHOLE_PAGE.size
            continue
        if content[place : place + 8] != _ADD:
            raise Malformed("DJ312", f"no page at byte {place}")
        offset, flags = _PAGE_HEAD.unpack_from(content.ljust(place + _RECORD, b"\0"), place + 8)
        place += _RECORD
        chunks: list[tuple[int, bytes]] = []
        for _ in range(CHUNKS):
            tag = content[place : place + 8]
            if tag not in {_EXTEND, _UNMEASURED}:
                break
            if place + _RECORD + CHUNK > len(content):
                raise Malformed("DJ312", "it ends within a chunk")
            at = int.from_bytes(content[place + 8 : place + 16], "little")
            if tag == _EXTEND:
                chunks.append((at, content[place + _RECORD : place + _RECORD + CHUNK]))
            place += _RECORD + CHUNK
        yield offset, flags, chunks


def _whole_page(content: bytes, place: int) -> tuple[int, int, bytes] | None:
    """A page all of which is measured in its order, as most are; `None` where it is another, which is read piece by piece."""
    if len(content) - place < _WHOLE_PAGE.size:
        return None
    tag, offset, flags, *fields = _WHOLE_PAGE.unpack_from(content, place)
    is_whole = tag == _ADD and fields[0::3] == _EXTENDS and fields[1::3] == [*range(offset, offset + PAGE, CHUNK)]
    return (offset, flags, b"".join(fields[2::3])) if is_whole else None
