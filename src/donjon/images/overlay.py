"""Which files of which layer remain in the end. Layers come from the highest to the lowest, so that each is read once.

Source: OCI image specification, `layer.md` (whiteouts); containerd, `pkg/archive/tar.go` (what is done with them).

A link in a layer below can lead an entry elsewhere than its path says, and nothing below is known yet. Such an entry counts where
its path says; what it then covers elsewhere is still reported, so that at most too much is. The one case in which a file could be
missed, for what seems to cover it does not, is refused: DJ329.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from donjon.errors import Malformed
from donjon.formats.words import excerpt
from donjon.images.bounds import MAX_ENTRIES, MAX_FOLDERS, MAX_PATHS
from donjon.images.paths import ancestors, legible

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
AUFS = ".wh..wh."  # AUFS' own, which no runtime makes a file of
_OVERHEAD = 64  # bytes beside its signs that a path takes which is kept


class EntryKind(Enum):
    """What an entry of a layer makes."""

    FILE = auto()
    FOLDER = auto()
    HARD_LINK = auto()
    SYMLINK = auto()
    OTHER = auto()  # a device, a pipe


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One entry of a layer's archive."""

    path: str
    kind: EntryKind
    size: int = 0
    mode: int = 0
    target: str = ""  # of a hard link, a path from the root


class Overlay:
    """Layers one over the other, seen from above."""

    def __init__(self) -> None:
        self._covers: set[str] = set()  # of layers above: what is no folder, and whiteouts
        self._folders: set[str] = set()
        self._opaque: set[str] = set()
        self._uncertain: set[str] = set()  # folders, not known to be such, of files that layers above theirs cover
        self._count = self._signs = self._folder_signs = 0
        self._start()

    def _start(self) -> None:
        self._files: dict[str, int] = {}  # of this layer, with their sizes
        self._others: set[str] = set()
        self._new_folders: set[str] = set()
        self._own_folders: set[str] = set()  # those that have an entry
        self._new_uncertain: set[str] = set()
        self._new_whiteouts: set[str] = set()
        self._new_opaque: set[str] = set()
        self._symlinks: set[str] = set()
        self._sources: dict[str, str] = {}  # hard links: the file of each
        self._linked: set[str] = set()  # files that have such
        self._below: dict[str, bool] = {"": False}  # whether a folder is covered

    def next_layer(self) -> None:
        """This layer is at its end, and the one below it comes."""
        self._covers.update(self._files, self._others, self._sources, self._new_whiteouts)
        self._folders |= self._new_folders
        self._opaque |= self._new_opaque
        self._uncertain = (self._uncertain - self._own_folders) | self._new_uncertain
        self._start()

    def place(self, entry: LayerEntry) -> bool:
        """Whether the entry is a file that remains; raises `Malformed` DJ326 or DJ329."""
        path = entry.path
        self._count += 1
        self._signs += _weight(path) + _weight(entry.target)
        if self._count > MAX_ENTRIES or self._signs > MAX_PATHS:
            raise Malformed("DJ326", f"more than {MAX_ENTRIES} entries in all layers, or {MAX_PATHS} bytes of paths")
        folder, _, name = path.rpartition("/")
        if name.startswith(WHITEOUT):
            self._whiteout(folder, name)
            return False
        if folder not in self._new_folders:
            self._enter(path)
        return self._keep(entry)

    def _enter(self, path: str) -> None:
        """Remember the folders that a path is in; raises `Malformed` DJ326: each path may name a thousand that no other does."""
        for each in ancestors(path):
            if each in self._new_folders:
                return
            self._new_folders.add(each)
            self._folder_signs += _weight(each) + _OVERHEAD
            if self._folder_signs > MAX_FOLDERS:
                raise Malformed("DJ326", f"{_brief(path)}: the folders of all layers have more than {MAX_FOLDERS} bytes of paths")

    def _whiteout(self, folder: str, name: str) -> None:
        if name == OPAQUE:
            self._new_opaque.add(folder)
        elif not name.startswith(AUFS):
            self._new_whiteouts.add(f"{folder}/{name[len(WHITEOUT) :]}".lstrip("/"))

    def _keep(self, entry: LayerEntry) -> bool:
        path = entry.path
        if entry.kind is EntryKind.FOLDER:
            self._new_folders |= {path} - {""}
            self._own_folders.add(path)
        elif entry.kind is EntryKind.FILE:
            if path in self._linked:
                raise Malformed(
                    "DJ329", f"{_brief(path)}: written again after a hard link was made to it: which remains cannot be told"
                )
            self._files[path] = entry.size
            return self.remains(path)
        elif entry.kind is EntryKind.HARD_LINK:
            self._link(path, entry.target)
        else:
            self._others.add(path)
            if entry.kind is EntryKind.SYMLINK:
                self._symlinks.add(path)
                self._check(path)
        return False

    def _link(self, path: str, target: str) -> None:
        source = self._sources.get(target, target)
        if source in self._files:
            self._sources[path] = source
            self._linked.add(source)
            self.remains(path)
        elif source in self._others:
            self._others.add(path)
        else:
            raise Malformed(
                "DJ329", f"{_brief(path)}: a hard link to {_brief(target)}, which does not stand before it in its layer"
            )

    def remains(self, path: str) -> bool:
        """Whether no layer above covers a file of this layer."""
        folder = path.rpartition("/")[0]
        if path not in self._covers and path not in self._folders and not self._is_covered(folder):
            return True
        uncertain = [each for each in ancestors(path) if each not in self._own_folders]
        self._new_uncertain.update(uncertain)
        for each in uncertain:
            if each in self._symlinks:
                self._check(each)
        return False

    def _is_covered(self, folder: str) -> bool:
        """Whether layers above cover a folder, or one that it is in. Not by recursion: a path may have two thousand parts."""
        chain: list[str] = []
        while folder not in self._below:
            chain.append(folder)
            folder = folder.rpartition("/")[0]
        answer = self._below[folder]
        for each in reversed(chain):
            answer = answer or each in self._covers or each in self._opaque
            self._below[each] = answer
        return answer or "" in self._opaque

    def _check(self, link: str) -> None:
        if link in self._uncertain or link in self._new_uncertain:
            why = "a file of its layer or one above is written through it and seems to be deleted: where it is cannot be told"
            raise Malformed("DJ329", f"{_brief(link)}: a link, and {why}")

    def links(self) -> Mapping[str, tuple[str, ...]]:
        """The hard links of this layer that remain, by the path of the file that each is; whether that remains or not."""
        links: dict[str, list[str]] = {}
        for path, source in self._sources.items():
            if self.remains(path):
                links.setdefault(source, []).append(path)
        return {source: tuple(paths) for source, paths in links.items()}

    def size(self, path: str) -> int:
        """Of a file of this layer."""
        return self._files[path]


def _brief(path: str) -> str:
    return excerpt(legible(path))


def _weight(text: str) -> int:
    """Bytes that a text takes in memory, at most."""
    return len(text) if text.isascii() else 4 * len(text)
