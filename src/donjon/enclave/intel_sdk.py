"""Enclaves of Intel's SDK, and of Occlum which is built with it: what their metadata say, and how their loader builds them.

Source: intel/linux-sgx, `common/inc/internal/metadata.h` (layout), `psw/urts/loader.cpp` (what is loaded, in which order).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from donjon.enclave.building import REGULAR, TCS, EnclavePage, page_access, pages_of
from donjon.enclave.elf import ElfProgram, Segment, require_one
from donjon.enclave.measurement import MAX_BUILT_PAGES, MAX_CONTENT_PAGES, PAGE, Measurement
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
_PATCH = struct.Struct("<QII16x")
_IS_GROUP = 1 << 12
_IS_ADDED, _IS_EXTENDED, _IS_REMOVABLE, _COMES_LATER = 1, 2, 4, 8
_OLD = 1 << 32 | 3  # the version of metadata by version 1.5 of the SDK, whose loader added a page more
_RANGE = 10  # a major version from here on has ELRANGE; without ten, it is the version that it is otherwise
_EXTENSIBLE = {1: 5, 3: 2}  # minor versions by major ones
_TCS_ADDRESSES = (16, 48, 56)  # OSSA, OFSBASE, OGSBASE


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
        return sum(each.page_count for each in self.layout if each.attributes & _IS_ADDED and each.flags)

    @property
    def later_pages(self) -> int:
        """Pages that may be added while it runs, where the processor can (EDMM), beyond those that it gives back for them."""
        later = sum(each.page_count for each in self.layout if each.attributes & (_COMES_LATER | _IS_ADDED) == _COMES_LATER)
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


def _table(data: bytes, offset: int, size: int, entry: struct.Struct) -> Sequence[bytes]:
    if size % entry.size or offset + size > len(data) or size // entry.size > MAX_ENTRIES:
        raise Malformed("DJ311", f"{SECTION}: a table that is not in it")
    return [data[at : at + entry.size] for at in range(offset, offset + size, entry.size)]


def _layout(metadata: SdkMetadata, data: bytes) -> Iterator[LayoutEntry]:
    entries: list[LayoutEntry] = []
    for raw in _table(data, metadata.layout, metadata.layout_size, _ENTRY):
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


def unmeasured_sdk(program: ElfProgram, enclave: SdkEnclave) -> str:
    """Why MRENCLAVE is not worked out; empty where it is."""
    if program.rewrites_code:
        return "its code is changed while it is loaded (DT_TEXTREL)"
    if enclave.metadata.has_extension:
        return "it has parts of newer versions of the SDK, as a module for FIPS or a range of addresses of its own"
    own, layout = sum(segment.size // PAGE + 2 for segment in program.segments), enclave.layout
    if own + sum(each.page_count for each in layout) > MAX_BUILT_PAGES:
        return f"it has more than {MAX_BUILT_PAGES} pages"
    if own + sum(each.page_count for each in layout if each.attributes & _IS_EXTENDED) > MAX_CONTENT_PAGES:
        return f"it has more than {MAX_CONTENT_PAGES} pages whose content counts"
    return ""


def measure_sdk_enclave(content: bytes, program: ElfProgram, enclave: SdkEnclave) -> bytes:
    """MRENCLAVE as the loader would make it; raises `Malformed` DJ311 for what no loader takes."""
    measurement = Measurement(enclave.metadata.enclave_size, enclave.metadata.ssa_frame_size)
    image = _patched(content, enclave)
    for segment, following in zip_longest(program.segments, program.segments[1:]):
        data = image[segment.offset : segment.offset + segment.file_size]
        for page in pages_of(data, segment.address, segment.size, REGULAR | page_access(segment)):
            measurement.add(page.offset, page.flags, page.content, times=page.times)
        if enclave.metadata.version == _OLD and (page_more := _page_more(segment, following)) is not None:
            measurement.add(page_more, REGULAR | page_access(segment))
    for entry in enclave.layout:
        for page in _pages(enclave.data, entry):
            measurement.add(page.offset, page.flags, page.content, times=page.times, extend=page.extend)
    return measurement.mr_enclave


def _page_more(segment: Segment, following: Segment | None) -> int | None:
    """Where the loader of version 1.5 put a page more: behind a segment whose size in whole pages would end behind it."""
    end = _up(segment.address + segment.size)
    is_short = end < _up(_up(segment.size) + segment.address)
    return end if is_short and (following is None or end < following.address // PAGE * PAGE) else None


def _up(number: int) -> int:
    return -(-number // PAGE) * PAGE


def _patched(content: bytes, enclave: SdkEnclave) -> bytes:
    """The file as the loader changes it before it loads it."""
    image, metadata = bytearray(content), enclave.metadata
    for raw in _table(enclave.data, metadata.patches, metadata.patches_size, _PATCH):
        target, source, size = _PATCH.unpack(raw)
        if target + size > len(image) or source + size > len(enclave.data):
            raise Malformed("DJ311", f"{SECTION}: a patch that is not in it")
        image[target : target + size] = enclave.data[source : source + size]
    return bytes(image)


def _pages(data: bytes, entry: LayoutEntry) -> Iterator[EnclavePage]:
    if not entry.attributes & _IS_ADDED:
        return
    content = data[entry.content_offset : entry.content_offset + entry.content_size] if entry.content_offset else b""
    if content and entry.flags != TCS:
        yield from pages_of(content, entry.address, entry.page_count * PAGE, entry.flags)
        return
    if not entry.flags:
        return  # A guard.
    page = _thread(content, entry.address) if content else entry.content_size.to_bytes(4, "little") * (PAGE // 4)
    if entry.page_count:
        yield EnclavePage(entry.address, entry.flags, page, bool(entry.attributes & _IS_EXTENDED), entry.page_count)


def _thread(template: bytes, address: int) -> bytes:
    """A TCS: its addresses count from its own place."""
    page = bytearray(template[:PAGE].ljust(PAGE, b"\0"))
    for place in _TCS_ADDRESSES:
        number = int.from_bytes(page[place : place + 8], "little") + address
        page[place : place + 8] = (number % (1 << 64)).to_bytes(8, "little")
    return bytes(page)
