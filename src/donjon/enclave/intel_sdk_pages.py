"""How the loader of Intel's SDK builds an enclave, page by page, and so its MRENCLAVE.

Source: intel/linux-sgx, `psw/urts/loader.cpp`: what is loaded, in which order.
"""

import struct
from collections.abc import Iterator
from itertools import zip_longest

from donjon.enclave.building import REGULAR, TCS, EnclavePage, page_access, pages_of
from donjon.enclave.elf import ElfProgram, Segment
from donjon.enclave.intel_sdk import IS_ADDED, IS_EXTENDED, SECTION, LayoutEntry, SdkEnclave, table
from donjon.enclave.measurement import MAX_BUILT_PAGES, MAX_CONTENT_PAGES, PAGE, Measurement
from donjon.errors import Malformed

_PATCH = struct.Struct("<QII16x")
_OLD = 1 << 32 | 3  # the version of metadata by version 1.5 of the SDK, whose loader added a page more
_TCS_ADDRESSES = (16, 48, 56)  # OSSA, OFSBASE, OGSBASE


def unmeasured_sdk(program: ElfProgram, enclave: SdkEnclave) -> str:
    """Why MRENCLAVE is not worked out; empty where it is."""
    if program.rewrites_code:
        return "its code is changed while it is loaded (DT_TEXTREL)"
    if enclave.metadata.has_extension:
        return "it has parts of newer versions of the SDK, as a module for FIPS or a range of addresses of its own"
    own, layout = sum(segment.size // PAGE + 2 for segment in program.segments), enclave.layout
    if own + sum(each.page_count for each in layout) > MAX_BUILT_PAGES:
        return f"it has more than {MAX_BUILT_PAGES} pages"
    if own + sum(each.page_count for each in layout if each.attributes & IS_EXTENDED) > MAX_CONTENT_PAGES:
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
    for raw in table(enclave.data, metadata.patches, metadata.patches_size, _PATCH):
        target, source, size = _PATCH.unpack(raw)
        if target + size > len(image) or source + size > len(enclave.data):
            raise Malformed("DJ311", f"{SECTION}: a patch that is not in it")
        image[target : target + size] = enclave.data[source : source + size]
    return bytes(image)


def _pages(data: bytes, entry: LayoutEntry) -> Iterator[EnclavePage]:
    if not entry.attributes & IS_ADDED:
        return
    content = data[entry.content_offset : entry.content_offset + entry.content_size] if entry.content_offset else b""
    if content and entry.flags != TCS:
        yield from pages_of(content, entry.address, entry.page_count * PAGE, entry.flags)
        return
    if not entry.flags:
        return  # A guard.
    page = _thread(content, entry.address) if content else entry.content_size.to_bytes(4, "little") * (PAGE // 4)
    if entry.page_count:
        yield EnclavePage(entry.address, entry.flags, page, bool(entry.attributes & IS_EXTENDED), entry.page_count)


def _thread(template: bytes, address: int) -> bytes:
    """A TCS: its addresses count from its own place."""
    page = bytearray(template[:PAGE].ljust(PAGE, b"\0"))
    for place in _TCS_ADDRESSES:
        number = int.from_bytes(page[place : place + 8], "little") + address
        page[place : place + 8] = (number % (1 << 64)).to_bytes(8, "little")
    return bytes(page)
