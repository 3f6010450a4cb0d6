"""Enclaves of Intel's SDK, and of Occlum which is built with it: what their metadata say.

Source: intel/linux-sgx, `common/inc/internal/metadata.h`. `intel_sdk_pages` builds what it says.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from donjon.enclave.building import TCS
from donjon.enclave.elf import ElfProgram, require_one
from donjon.errors import Malformed
from donjon.sgx.layout import Layout, Number, Octets
from donjon.sgx.sigstruct import SigStruct

SECTION = ".note.sgxmeta"
MAGIC = 0x86A80294635D0E4C
MAX_PAGES = 1 << 28  # 1 TiB: no enclave is larger
MAX_ENTRIES = 4096

_NOTE = struct.Struct("<III")
_NAME = b"sgx_metadata\0"
_ENTRY = struct.Struct("<HHIQIIQ")
_GROUP = struct.Struct("<HHIQ16x")
_IS_GROUP = 1 << 12
IS_ADDED, IS_EXTENDED, _IS_REMOVABLE, _COMES_LATER = 1, 2, 4, 8  # attributes of an entry of the layout
_RANGE = 10  # a major version from here on has ELRANGE; without ten, it is the version that it is otherwise
_EXTENSIBLE = {1: 5, 3: 2}  # minor versions by major ones


class SdkMetadata(Layout):
    """The fixed part of the metadata, before what it points to."""

    SIZE = 1904

    magic = Number(0, 8)
    version = Number(8, 8)
    size = Number(16, 4)  # bytes of all of it
    ssa_frame_size = Number(24, 4)  # pages
    enclave_size = Number(40, 8)
    sigstruct = Octets(64, SigStruct.SIZE)
    patches = Number(1872, 4)
    patches_size = Number(1876, 4)
    layout = Number(1880, 4)
    layout_size = Number(1884, 4)
    extension_size = Number(1900, 4)  # of versions that `has_extension` names; before them something else stands there

    @property
    def has_extension(self) -> bool:
        """Whether it has parts that change what its loader builds: a module for FIPS, or a range of addresses of its own."""
        major, minor = self.version >> 32, self.version & 0xFFFFFFFF
        is_extensible = minor >= _EXTENSIBLE.get(major % _RANGE, minor + 1)
        return major >= _RANGE or (is_extensible and self.extension_size > 0)


class LayoutEntry(NamedTuple):
    """Pages beside the program's own: heap, stacks, threads."""

    id: int
    attributes: int
    page_count: int
    address: int
    content_size: int  # without content, what each four bytes are filled with
    content_offset: int
    flags: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkEnclave:
    """An enclave as its file has it."""

    metadata: SdkMetadata
    data: bytes  # of the metadata, whole
    offset: int  # of SIGSTRUCT in the file
    layout: tuple[LayoutEntry, ...]  # groups written out

    @property
    def sigstruct(self) -> SigStruct:
        """Its signature."""
        return SigStruct(self.metadata.sigstruct)

    @property
    def threads(self) -> int:
        """Thread control structures, those that are made later included."""
        return sum(each.page_count for each in self.layout if each.flags == TCS)

    @property
    def start_pages(self) -> int:
        """Pages beside the program's own that are added when it starts."""
        return sum(each.page_count for each in self.layout if each.attributes & IS_ADDED and each.flags)

    @property
    def later_pages(self) -> int:
        """Pages that may be added while it runs, where the processor can (EDMM), beyond those that it gives back for them."""
        later = sum(each.page_count for each in self.layout if each.attributes & (_COMES_LATER | IS_ADDED) == _COMES_LATER)
        return max(0, later - sum(each.page_count for each in self.layout if each.attributes & _IS_REMOVABLE))


def read_sdk_enclave(content: bytes, program: ElfProgram) -> SdkEnclave | None:
    """The enclave of a file; `None` where it is none of Intel's SDK. Raises `Malformed` DJ311."""
    if SECTION not in program.sections:
        return None
    require_one(program, SECTION)
    place, length = program.sections[SECTION]
    note = content[place : place + length]
    start = _NOTE.size + len(_NAME)  # Nothing is aligned behind the name.
    if len(note) < start + SdkMetadata.SIZE or note[_NOTE.size : start] != _NAME:
        raise Malformed("DJ311", f"{SECTION}: too short for the metadata of an enclave")
    metadata = SdkMetadata(note[start : start + SdkMetadata.SIZE])
    if metadata.magic != MAGIC or not SdkMetadata.SIZE <= metadata.size <= len(note) - start:
        raise Malformed("DJ311", f"{SECTION}: no metadata of an enclave")
    data = note[start : start + metadata.size]
    layout = tuple(_layout(metadata, data))
    if sum(each.page_count for each in layout) > MAX_PAGES:
        raise Malformed("DJ311", f"{SECTION}: an enclave of more than {MAX_PAGES} pages")
    return SdkEnclave(metadata=metadata, data=data, offset=place + start + SdkMetadata.sigstruct.place.start, layout=layout)


def table(data: bytes, offset: int, size: int, entry: struct.Struct) -> Sequence[bytes]:
    """The entries of a table in the metadata; raises `Malformed` DJ311."""
    if size % entry.size or offset + size > len(data) or size // entry.size > MAX_ENTRIES:
        raise Malformed("DJ311", f"{SECTION}: a table that is not in it")
    return [data[at : at + entry.size] for at in range(offset, offset + size, entry.size)]


def _layout(metadata: SdkMetadata, data: bytes) -> Iterator[LayoutEntry]:
    entries: list[LayoutEntry] = []
    for raw in table(data, metadata.layout, metadata.layout_size, _ENTRY):
        entry = LayoutEntry(*_ENTRY.unpack(raw))
        if not entry.id & _IS_GROUP:
            entries.append(entry)
            yield entry
            continue
        _, count, times, step = _GROUP.unpack(raw)
        group = entries[-count:] if count else []
        if count > len(entries) or times * count > MAX_ENTRIES or any(each.id & _IS_GROUP for each in group):
            raise Malformed("DJ311", f"{SECTION}: a group of {count} entries, {times} times")
        for turn in range(1, times + 1):
            yield from (each._replace(address=each.address + step * turn) for each in group)
        entries.append(entry)
