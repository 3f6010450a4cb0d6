"""How pages come into an enclave: what loaders of several SDKs do alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from donjon.enclave.elf import Segment
from donjon.enclave.measurement import PAGE

READ, WRITE, EXECUTE = 1, 2, 4
TCS, REGULAR = 0x100, 0x200
"""SECINFO.FLAGS (Intel SDM, volume 3D, "SECINFO")."""


@dataclass(frozen=True, slots=True)
class EnclavePage:
    """One page, where it goes, and whether its content is measured."""

    offset: int
    flags: int
    content: bytes = bytes(PAGE)
    extend: bool = True


def pages_of(data: bytes, address: int, size: int, flags: int) -> Iterator[EnclavePage]:
    """The pages of bytes that go to an address, and of zeros behind them up to `size`; the first may begin within a page."""
    offset = 0
    while offset < len(data):
        start = (address + offset) % PAGE
        part = data[offset : offset + PAGE - start]
        yield EnclavePage(address + offset - start, flags, (bytes(start) + part).ljust(PAGE, b"\0"))
        offset += PAGE - start
    if size > offset:
        start = (address + offset) % PAGE
        for page in range(-(-(size - offset + start) // PAGE)):
            yield EnclavePage(address + offset - start + page * PAGE, flags)


def page_access(segment: Segment) -> int:
    """The SECINFO.FLAGS by which a segment's pages may be read, written and run."""
    return READ * segment.readable | WRITE * segment.writable | EXECUTE * segment.executable
