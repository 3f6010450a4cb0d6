"""Which files an enclave may read, and by which hash: every one of an image, by every path that leads to it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from donjon.findings import Finding
from donjon.wrapping.mounts import EnclaveMount
from donjon.wrapping.tree import FileTree, every_way

MAX_TRUSTED = 500_000  # paths; a manifest of more is beyond 100 MB, all of it in the enclave
NEVER = ("/boot", "/dev", "/proc", "/sys")
"""The kernel's, which no image fills."""


@dataclass(frozen=True, slots=True)
class TrustedPath:
    """A path, and the hash of the file that it leads to."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedFiles:
    """All of them, and what was left out."""

    files: tuple[TrustedPath, ...]
    total: int  # bytes of the files themselves, each path counted
    aside: tuple[Finding, ...]

    def below(self, folder: str) -> int:
        """How many of them stand below a folder."""
        return sum(each.path.startswith(folder + "/") for each in self.files)

    def by_top(self) -> Sequence[tuple[str, int]]:
        """How many stand in each folder of the root, the most first."""
        return Counter("/" + each.path.split("/")[1] for each in self.files).most_common()


def trusted_files(tree: FileTree, mounts: Iterable[EnclaveMount]) -> TrustedFiles:
    """Every regular file but those that no image can know; raises `Malformed` DJ396 for too many."""
    files: list[TrustedPath] = []
    strange, total = 0, 0
    for path, node in every_way(tree, (*NEVER, *(mount.path for mount in mounts)), MAX_TRUSTED):
        if not _is_utf8(path):
            strange += 1
            continue
        files.append(TrustedPath(path, node.sha256.hex()))
        total += node.size
    files.sort(key=lambda each: each.path)
    return TrustedFiles(files=tuple(files), total=total, aside=tuple(_strange(strange)))


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _strange(count: int) -> Iterable[Finding]:
    if count:
        yield Finding.warning(
            "DJ396",
            "files",
            f"{count} have names that are no UTF-8",
            "a manifest is UTF-8, so the enclave cannot open them",
            "rename them, where the application needs them",
        )
