"""Entries of tar archives, by the library's reader, which keeps none of them here and is given no more than headers may have.

Container runtimes read archives by Go's library. Where that would read another path, another size or another end, an archive is
refused (`doubts`). Sources: Go, `archive/tar/reader.go`; CPython, `Lib/tarfile.py`; containerd, `pkg/archive/tar.go`.
"""

import struct
import tarfile
from collections.abc import Iterator
from typing import IO, Protocol, cast

from donjon.adapters.images.doubts import doubt
from donjon.errors import Malformed
from donjon.images.bounds import MAX_HEADERS
from donjon.images.overlay import EntryKind, LayerEntry
from donjon.images.paths import clean

_ERRORS = (tarfile.TarError, struct.error, ArithmeticError, LookupError, ValueError, RecursionError, EOFError, AttributeError)
_KINDS = {
    tarfile.REGTYPE: EntryKind.FILE,
    tarfile.AREGTYPE: EntryKind.FILE,
    tarfile.DIRTYPE: EntryKind.FOLDER,
    tarfile.LNKTYPE: EntryKind.HARD_LINK,
    tarfile.SYMTYPE: EntryKind.SYMLINK,
    tarfile.CHRTYPE: EntryKind.OTHER,
    tarfile.BLKTYPE: EntryKind.OTHER,
    tarfile.FIFOTYPE: EntryKind.OTHER,
}


class TarOctets(Protocol):
    """Bytes in which one goes forward: a stream, or a file."""

    def read(self, count: int, /) -> bytes:
        """As many, or what is left."""

    def seek(self, place: int, /) -> int:
        """Go to a place that is not behind."""

    def tell(self) -> int:
        """The place."""


class _HeaderReader:
    """What the library reads: headers alone, those of one entry after those of another."""

    def __init__(self, octets: TarOctets, what: str) -> None:
        self._octets, self._what = octets, what
        self.blocks = bytearray()

    def read(self, count: int) -> bytes:
        if not 0 <= count <= MAX_HEADERS - len(self.blocks):
            raise Malformed("DJ326", f"{self._what}: more than {MAX_HEADERS} bytes before the content of one entry")
        block = self._octets.read(count)
        if count > 1:  # The library reads a single byte to see whether there was all that it left out.
            self.blocks += block
        return block

    def seek(self, place: int) -> int:
        if place < self._octets.tell():
            raise Malformed("DJ325", f"{self._what}: an entry that lies behind itself")
        return self._octets.seek(place)

    def tell(self) -> int:
        return self._octets.tell()


def entries(octets: TarOctets, what: str) -> Iterator[LayerEntry]:
    """Every entry; at each, the octets stand at its content. Raises `Malformed` DJ325, DJ326 or DJ327."""
    headers = _HeaderReader(octets, what)
    try:
        archive = tarfile.TarFile(fileobj=cast("IO[bytes]", headers), encoding="utf-8", errors="surrogateescape")
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # Nothing is kept; `stream` does so from Python 3.13.
            reason = doubt(bytes(headers.blocks), member, archive.pax_headers)
            if reason or member.type not in _KINDS:
                raise Malformed("DJ325", f"{what}: entry {member.name[:40]!a}: {reason or 'of no kind that an image has'}")
            yield _entry(member)
            headers.blocks.clear()
    except _ERRORS as error:
        raise Malformed(
            "DJ325", f"{what}: no tar archive that can be read: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    if headers.blocks.strip(b"\0"):  # The library takes a broken header for the archive's end.
        raise Malformed("DJ325", f"{what}: before byte {octets.tell()} is no header of a tar archive")


def _entry(member: tarfile.TarInfo) -> LayerEntry:
    kind = _KINDS[member.type]
    target = clean(member.linkname) if kind is EntryKind.HARD_LINK else member.linkname
    return LayerEntry(clean(member.name), kind, member.size if kind is EntryKind.FILE else 0, member.mode, target)
