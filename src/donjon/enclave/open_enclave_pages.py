"""How Open Enclave's loader builds an enclave, and what is measured of that.

Source: openenclave/openenclave, `host/sgx/create.c`, `loadelf.c`, `sgxload.c`.
"""

import struct
from collections.abc import Iterator

from donjon.enclave.building import READ, REGULAR, TCS, WRITE, EnclavePage, page_access
from donjon.enclave.elf import ElfProgram
from donjon.enclave.measurement import PAGE, Measurement
from donjon.enclave.open_enclave import (
    CONTROL_PAGES,
    DATA_PAGES,
    INFO_AT,
    SECTION,
    SIGSTRUCT_AT,
    OeProperties,
    OpenEnclave,
)
from donjon.errors import Malformed
from donjon.sgx.sigstruct import SigStruct

_STACK = b"\xcc" * PAGE


def measure_open_enclave(content: bytes, program: ElfProgram, enclave: OpenEnclave) -> bytes:
    """MRENCLAVE as the loader would make it."""
    measurement = Measurement(enclave.size, 1)
    image = memoryview(_image(content, program, enclave))
    for segment in program.segments:
        flags = REGULAR | page_access(segment)
        first, end = segment.address // PAGE * PAGE, -(-(segment.address + segment.size) // PAGE) * PAGE
        measurement.add(enclave.start + first, flags, bytes(image[first:end]))
    for page in _pages(program.entry, enclave):
        measurement.add(enclave.start + page.offset, page.flags, page.content, times=page.times, extend=page.extend)
    return measurement.mr_enclave


def _image(content: bytes, program: ElfProgram, enclave: OpenEnclave) -> bytearray:
    """The program in memory as the loader changes it: without its signature, and with numbers that only the loader knows."""
    image = bytearray(enclave.image_size)
    for segment in program.segments:
        image[segment.address : segment.address + segment.file_size] = content[
            segment.offset : segment.offset + segment.file_size
        ]
    at = program.addresses[SECTION][0]
    if at + OeProperties.SIZE > len(image):
        raise Malformed("DJ314", f"{SECTION}: its place in memory is not in the program")
    numbers = (at, OeProperties.SIZE, enclave.image_size, len(enclave.relocations), enclave.heap, enclave.size)
    struct.pack_into("<6Q", image, at + INFO_AT, *numbers)
    image[at + SIGSTRUCT_AT : at + SIGSTRUCT_AT + SigStruct.SIZE] = bytes(SigStruct.SIZE)
    places = {symbol.name: symbol.value for symbol in reversed(enclave.links.symbols)}
    own = ("_enclave_rva", places.get("_enclave_rva", 0))
    relocations = (("_reloc_rva", enclave.image_size), ("_reloc_size", len(enclave.relocations)))
    for name, number in (own, *relocations, *enclave.thread_local):
        if name in places:
            _put(image, places[name], number)
    return image


def _put(image: bytearray, place: int, number: int) -> None:
    if place + 8 > len(image):
        raise Malformed("DJ314", f"{SECTION}: a symbol at {place:#x}, which is not in the program")
    struct.pack_into("<Q", image, place, number)


def _pages(entry: int, enclave: OpenEnclave) -> Iterator[EnclavePage]:
    """What comes behind the program: relocations, heap, and each thread's stack, control pages and data."""
    place, data = enclave.image_size, enclave.relocations
    for offset in range(0, len(data), PAGE):
        yield EnclavePage(place + offset, REGULAR | READ, data[offset : offset + PAGE])
    place = enclave.heap
    if enclave.properties.heap_pages:
        yield EnclavePage(place, REGULAR | READ | WRITE, extend=False, times=enclave.properties.heap_pages)
    place += enclave.properties.heap_pages * PAGE
    for _ in range(enclave.properties.threads):
        yield from _thread(entry, place, enclave)
        place += enclave.thread_pages * PAGE


def _thread(entry: int, place: int, enclave: OpenEnclave) -> Iterator[EnclavePage]:
    flags = REGULAR | READ | WRITE
    place += PAGE  # A guard.
    if enclave.properties.stack_pages:
        yield EnclavePage(place, flags, _STACK, times=enclave.properties.stack_pages)
    place += (enclave.properties.stack_pages + 1) * PAGE  # Another guard.
    yield EnclavePage(place, TCS, _control(entry, place, enclave))
    yield EnclavePage(place + PAGE, flags)  # Two frames in which its registers are saved.
    yield EnclavePage(place + 2 * PAGE, flags)
    yield EnclavePage(place + CONTROL_PAGES * PAGE, flags, times=enclave.thread_local_pages + DATA_PAGES)  # Behind a third guard.


def _control(entry: int, place: int, enclave: OpenEnclave) -> bytes:
    """The page of a TCS (Intel SDM, volume 3D, "Thread Control Structure")."""
    data = enclave.start + place + (enclave.thread_local_pages + CONTROL_PAGES) * PAGE
    frames, limit = enclave.start + place + PAGE, 0xFFFFFFFF
    fields = struct.pack("<QQQIIQQQQII", 0, 0, frames, 0, 2, enclave.start + entry, 0, data, data, limit, limit)
    return fields.ljust(PAGE, b"\0")
