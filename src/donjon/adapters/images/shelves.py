"""Where the parts of an image lie on this machine: files of a folder, or members of an archive."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from donjon.adapters.files import open_regular
from donjon.adapters.images.entries import entries
from donjon.adapters.images.streams import PIECE
from donjon.errors import Malformed, Unavailable
from donjon.images.docker_archives import follow
from donjon.images.overlay import EntryKind

MAX_MEMBERS = 20_000  # of an archive: each of its images has some 100 parts at most


class Shelf(Protocol):
    """Parts by their names."""

    def has(self, name: str) -> bool:
        """Whether there is such a part."""

    def part(self, name: str) -> Iterator[bytes]:
        """The part in pieces; raises `Unavailable` DJ321."""


def whole(shelf: Shelf, name: str, most: int) -> bytes:
    """A part, whole; raises `Malformed` DJ322 for one of more bytes, which is not read to its end."""
    content = bytearray()
    for piece in shelf.part(name):
        content += piece
        if len(content) > most:
            raise Malformed("DJ322", f"{name}: more than {most} bytes")
    return bytes(content)


class FolderShelf:
    """Files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self._folder / name).is_file()

    def part(self, name: str) -> Iterator[bytes]:
        """The file's content."""
        path = self._folder / name
        with _coded(path), open_regular(path) as file:
            while piece := file.read(PIECE):
                yield piece


class ArchiveShelf:
    """Members of an archive that is not compressed: where each lies is known after one walk from header to header."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._places: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        for entry in entries(file, str(path)):
            if entry.kind is EntryKind.FILE:
                self._places[entry.path] = file.tell(), entry.size
            elif entry.kind is not EntryKind.FOLDER:
                self._links[entry.path] = entry.target
            if len(self._places) + len(self._links) > MAX_MEMBERS:
                raise Malformed("DJ326", f"{path}: more than {MAX_MEMBERS} members")

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return follow(name, self._links) in self._places

    def part(self, name: str) -> Iterator[bytes]:
        """The member's content."""
        if not self.has(name):
            raise Unavailable("DJ321", f"{self._path}: has no {name}")
        place, size = self._places[follow(name, self._links)]
        with _coded(self._path):
            while size > 0:
                self._file.seek(place)
                piece = self._file.read(min(PIECE, size))
                if not piece:
                    raise Malformed("DJ325", f"{self._path}: ends within {name}")
                yield piece
                place, size = place + len(piece), size - len(piece)


@contextmanager
def open_shelf(path: Path) -> Iterator[Shelf]:
    """The folder or the archive; raises `Unavailable` DJ321, and what `entries` does."""
    with ExitStack() as stack:
        if path.is_dir():
            yield FolderShelf(path)
            return
        with _coded(path):
            file = stack.enter_context(open_regular(path))
        yield ArchiveShelf(path, file)


@contextmanager
def _coded(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("DJ321", f"{path}: {error.strerror or error}") from error
