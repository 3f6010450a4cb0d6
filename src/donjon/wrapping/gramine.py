"""Gramine's own files, as a base image has them: where they are, and which of them a wrapped image needs.

Source: gramineproject/gramine v1.9, `pal/src/host/linux-sgx/meson.build`, `libos/src/meson.build`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from donjon.errors import Misconfigured
from donjon.wrapping.tree import FileTree, NodeKind

_PAL = "/sgx/libpal.so"
_LOADER, _LIBOS = "/sgx/loader", "/libsysdb.so"
_VERSION = re.compile(r"Gramine ([0-9][0-9A-Za-z.~+-]{0,40})")
VERSION_SCRIPTS = ("bin/gramine-sgx",)
OFFSETS = "_graminelibos_offsets.py"
"""In which Gramine's build writes down the structures of its own libpal.so, for its signer."""


class LibcKind(StrEnum):
    """The C library that programs are built for; Gramine brings its own of each."""

    GLIBC = "glibc"
    MUSL = "musl"


@dataclass(frozen=True, slots=True, kw_only=True)
class GramineFiles:
    """Where Gramine is in its image."""

    root: str  # the folder of all of it
    runtimes: tuple[LibcKind, ...]
    offsets: str = ""  # the path of what its signer knows of libpal.so; empty where it is not there

    @property
    def loader(self) -> str:
        """The program that builds the enclave, outside of it."""
        return self.root + _LOADER

    @property
    def pal(self) -> str:
        """What is loaded into the enclave first, and measured."""
        return self.root + _PAL

    @property
    def libos(self) -> str:
        """The library operating system, which the manifest has the hash of."""
        return self.root + _LIBOS

    def runtime(self, libc: LibcKind) -> str:
        """The folder of its C library of that kind."""
        return f"{self.root}/runtime/{libc}"

    def paths(self, tree: FileTree) -> Iterator[str]:
        """Every file and link of it that a wrapped image needs; nothing of its tools, tests and debuggers."""
        yield from (self.loader, self.pal, self.libos)
        for libc in self.runtimes:
            yield from _below(tree, self.runtime(libc))


def _below(tree: FileTree, folder: str) -> Iterator[str]:
    for name in tree.children.get(folder, ()):
        path = f"{folder}/{name}"
        node = tree.at(path)
        if node is not None and node.kind is NodeKind.FOLDER:
            yield from _below(tree, path)
        elif node is not None and node.kind in {NodeKind.FILE, NodeKind.LINK}:
            yield path


def find_gramine(tree: FileTree, reference: str) -> GramineFiles:
    """Gramine in an image; raises `Misconfigured` DJ390 where it is not there, is there twice, or is not whole."""
    roots = sorted(path.removesuffix(_PAL) for path in _ending(tree, _PAL))
    if len(roots) != 1:
        there = f"it is there {len(roots)} times: {', '.join(roots[:3])}" if roots else f"no file of it ends in {_PAL}"
        raise Misconfigured("DJ390", f"{reference}: expected one Gramine with SGX; {there}")
    root = roots[0]
    for end in (_LOADER, _LIBOS):
        if tree.file(root + end) is None:
            raise Misconfigured("DJ390", f"{reference}: Gramine in {root} has no {end.lstrip('/')}")
    runtimes = tuple(libc for libc in LibcKind if tree.children.get(f"{root}/runtime/{libc}"))
    offsets = sorted(_ending(tree, f"/{OFFSETS}"))
    return GramineFiles(root=root, runtimes=runtimes, offsets=offsets[0] if offsets else "")


def _ending(tree: FileTree, end: str) -> Iterable[str]:
    return (path for path, node in tree.nodes.items() if node.kind is NodeKind.FILE and path.endswith(end))


def gramine_version(texts: Mapping[str, bytes]) -> str:
    """The version that a base image's `gramine-sgx` says; empty where it says none."""
    for path, content in sorted(texts.items()):
        if path.endswith(VERSION_SCRIPTS):
            match = _VERSION.search(content[: 1 << 16].decode(errors="replace"))
            if match:
                return match[1]
    return ""
