"""All that is kept of an image's files: what stands where, hashes, a few texts, and what each program needs. Not the files."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from donjon.enclave.linkage import ProgramLinks, read_links
from donjon.errors import Malformed
from donjon.images.image import ImageConfig
from donjon.wrapping.application import is_text_of_use
from donjon.wrapping.gramine import OFFSETS
from donjon.wrapping.tree import FileNode, FileTree, NodeKind, normal

MAX_PROGRAM = 512 << 20  # bytes of a program that is looked into
_ELF = b"\x7fELF"
_SHEBANG = re.compile(rb"#![ \t]*([^\n]{1,255})")


def file_node(content: bytes, mode: int = 0o644, path: str = "") -> FileNode:
    """A regular file of that content, with all that is kept of it."""
    script = _SHEBANG.match(content)
    is_text = is_text_of_use(path, len(content)) or path.endswith("/" + OFFSETS)
    return FileNode(
        kind=NodeKind.FILE,
        mode=mode,
        size=len(content),
        sha256=hashlib.sha256(content).digest(),
        program=_look_into(content),
        script=script[1].decode(errors="replace") if script else "",
        text=bytes(content) if is_text else None,
    )


def _look_into(content: bytes) -> ProgramLinks | None:
    if not content.startswith(_ELF) or len(content) > MAX_PROGRAM:
        return None
    try:
        return read_links(content)
    except Malformed:
        return None  # It begins as a program, and nobody could start it.


@dataclass(frozen=True, kw_only=True)
class ImageContents:
    """An image, as far as wrapping looks at it."""

    reference: str
    config: ImageConfig
    tree: FileTree

    @cached_property
    def texts(self) -> Mapping[str, bytes]:
        """The texts that were kept, by path."""
        return {path: node.text for path, node in self.tree.nodes.items() if node.text is not None}

    def program(self, path: str) -> ProgramLinks | None:
        """What the program needs that a path leads to; `None` where it is none."""
        node = self.tree.file(path)
        return None if node is None else node.program

    def script(self, path: str) -> str:
        """A script's first line, without its sign; empty where it is none."""
        node = self.tree.file(path)
        return "" if node is None else node.script


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryClosure:
    """The libraries that programs need, one with the other."""

    there: Mapping[str, str]  # by name, the path of the file itself
    missing: tuple[str, ...]  # names of those that are nowhere


def closure(image: ImageContents, needs: Iterable[str], folders: Sequence[str]) -> LibraryClosure:
    """Every library of that name, and those that these need, as the dynamic linker would find them in those folders."""
    there, missing, todo = dict[str, str](), set[str](), list(needs)
    while todo:
        name = todo.pop()
        if name in there or name in missing:
            continue
        path, program = next(_libraries(image, name, folders), ("", None))
        if program is None:
            missing.add(name)
            continue
        there[name] = path
        todo += program.needed
    return LibraryClosure(there=there, missing=tuple(sorted(missing)))


def _libraries(image: ImageContents, name: str, folders: Sequence[str]) -> Iterator[tuple[str, ProgramLinks]]:
    for folder in folders:
        path = normal(name, folder)
        if (program := image.program(path)) is not None:
            yield image.tree.resolve(path), program
