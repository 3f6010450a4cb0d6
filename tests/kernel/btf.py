"""Kernel images and their BTF: the types of their structures, as `bpftool` prints them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from testbed.commands import run
from testbed.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKERS = ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x02\x21\x4c\x18", "lz4"), (b"\xfd7zXZ\0", "xz"), (b"\x1f\x8b\x08", "gzip"))


def extract(image: Path, target: Path) -> None:
    """Write the BTF of a kernel's image to a file."""
    for plain in _candidates(image.read_bytes()):
        with tempfile.NamedTemporaryFile() as vmlinux:
            vmlinux.write(plain)
            vmlinux.flush()
            run("objcopy", f"--dump-section=.BTF={target}", vmlinux.name, "/dev/null", do="the kernel has no BTF")
        return
    raise Trouble(f"{image.name} holds no kernel that is known", why="it is packed in another way", do="teach btf.py that way")


def _candidates(data: bytes) -> Iterator[bytes]:
    """What unpacks to an ELF file; the kernel's own code stands before it, so each place that looks like a start is tried."""
    for magic, program in _PACKERS:
        place = data.find(magic)
        while place >= 0:
            done = subprocess.run((program, "-dc"), input=data[place:], capture_output=True, check=False)
            if done.stdout.startswith(b"\x7fELF"):
                yield done.stdout
            place = data.find(magic, place + 1)


class Absent(Exception):
    """A structure or a field that this kernel has not."""


@dataclass(frozen=True, slots=True)
class Types:
    """The structures of one kernel."""

    by_number: dict[int, dict[str, Any]]
    structures: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, file: Path) -> Self:
        """All of them."""
        types = json.loads(run("bpftool", "--json", "btf", "dump", "file", file))["types"]
        return cls(
            {entry["id"]: entry for entry in types}, {entry["name"]: entry for entry in types if entry["kind"] == "STRUCT"}
        )

    def offset(self, structure: str, *path: str) -> int:
        """Where a field starts, in bytes; the names lead into structures within structures."""
        here, place = self._structure(structure), 0
        for name in path:
            if (found := self._field(here, name)) is None:
                raise Absent(f"struct {structure} has no {'.'.join(path)}")
            member, bits = found
            place += bits
            here = self._behind(member["type_id"])
        return place // 8

    def _field(self, structure: dict[str, Any], name: str) -> tuple[dict[str, Any], int] | None:
        """The member and its place in bits, be it within unions and structures without a name."""
        for member in structure["members"]:
            if member["name"] == name:
                return member, member["bits_offset"]
            if member["name"] == "(anon)" and (found := self._field(self._behind(member["type_id"]), name)):
                return found[0], member["bits_offset"] + found[1]
        return None

    def size(self, structure: str) -> int:
        """How many bytes it has."""
        return int(self._structure(structure)["size"])

    def _structure(self, name: str) -> dict[str, Any]:
        if name not in self.structures:
            raise Absent(f"no struct {name}")
        return self.structures[name]

    def _behind(self, number: int) -> dict[str, Any]:
        entry = self.by_number[number]
        while entry["kind"] in {"TYPEDEF", "CONST", "VOLATILE"}:
            entry = self.by_number[entry["type_id"]]
        return entry
