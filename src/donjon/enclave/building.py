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
    """One page or several, where they go, and whether their content is measured."""

    offset: int
    flags: int
    content: bytes = bytes(PAGE)  # of one page after the other
    extend: bool = True
    times: int = 1  # one page so often, one after the other


def pages_of(data: bytes, address: int, size: int, flags: int) -> Iterator[EnclavePage]:
    """The pages of bytes that go to an address, and of zeros behind them up to `size`; the first may begin within a page."""
    start = address % PAGE
    content = bytes(start) + data if data else b""
    content += bytes(-len(content) % PAGE)
    if content:
        yield EnclavePage(address - start, flags, content)
    if zeros := -(-max(size + start - len(content), 0) // PAGE) if size else 0:
        yield EnclavePage(address - start + len(content), flags, times=zeros)


def page_access(segment: Segment) -> int:
    """The SECINFO.FLAGS by which a segment's pages may be read, written and run."""
    return READ * segment.readable | WRITE * segment.writable | EXECUTE * segment.executable
