"""Enclaves of Open Enclave: what their properties say, and how their loader builds them.

Source: openenclave/openenclave, `include/openenclave/bits/sgx/sgxproperties.h` (layout), `host/sgx/loadelf.c`, `create.c` and
`elf.c` (what is loaded, in which order). EGo's programs have the same properties, and a part of EGo's own beside them: what is
measured of one is EGo's runtime, which is another file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from donjon.enclave.building import EXECUTE, READ, REGULAR, TCS, WRITE, EnclavePage
from donjon.enclave.elf import DynamicLinks, ElfProgram, Segment, read_links
from donjon.enclave.measurement import PAGE, Measurement
from donjon.errors import Malformed
from donjon.sgx.layout import Flag, Layout, Number, Octets
from donjon.sgx.sigstruct import HEADER, SigStruct

SECTION = ".oeinfo"
SGX_TYPE = 2  # OE_ENCLAVE_TYPE_SGX; 3 is of OP-TEE
MAX_THREADS = 1024  # OE_SGX_MAX_TCS
MAX_PAGES = 1 << 28  # 1 TiB: no enclave is larger
MAX_MEASURED_PAGES = 1 << 22  # 16 GiB that are added, whether their content counts or not
MAX_IMAGE = 1 << 30  # bytes of the program in memory

_CONTROL_PAGES, _THREAD_DATA_PAGES, _GUARDS = 4, 1, 2  # of each thread
_STACK = b"\xcc" * PAGE
_RELOCATION = struct.Struct("<QQq")
_THREAD_OFFSET = 18  # R_X86_64_TPOFF64
_INFO_AT, _SIGSTRUCT_AT = 96, 144
_PAYLOAD_AT = 2048  # EGo's: offset and size of enclave.json in the file


class OeProperties(Layout):
    """What stands in `.oeinfo` (`oe_sgx_enclave_properties_t`)."""

    SIZE = 1960

    size = Number(0, 4)
    type = Number(4, 4)
    heap_pages = Number(8, 8)
    stack_pages = Number(16, 8)  # of each thread
    threads = Number(24, 8)
    product_id = Number(32, 2)
    svn = Number(34, 2)
    zero_base = Flag(36, 1)
    debug = Flag(72, 1)  # of the attributes that the author allows
    start_address = Number(88, 8)
    sigstruct = Octets(_SIGSTRUCT_AT, SigStruct.SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEnclave:
    """An enclave as its file has it, with what its loader works out of that."""

    properties: OeProperties
    offset: int  # of SIGSTRUCT in the file
    is_ego: bool
    module: str  # a second file that is loaded with it
    image_size: int  # bytes of the program in memory, whole pages
    relocations: bytes  # as they are loaded, whole pages
    links: DynamicLinks
    thread_local: tuple[tuple[str, int], ...]  # the values of symbols by which a thread finds its own copies
    thread_local_pages: int

    @property
    def sigstruct(self) -> SigStruct | None:
        """Its signature; `None` where there is none, which its loader tells by the header, too."""
        raw = self.properties.sigstruct
        return SigStruct(raw) if raw.startswith(HEADER) else None

    @property
    def uses_debug_key(self) -> bool:
        """Whether its loader signs it, with a key that is public."""
        return self.sigstruct is None and self.properties.debug

    @property
    def start(self) -> int:
        """Where in the enclave it begins."""
        return self.properties.start_address if self.properties.zero_base else 0

    @property
    def heap(self) -> int:
        """Where the heap begins, counted from the program."""
        return self.image_size + len(self.relocations)

    @property
    def loaded_size(self) -> int:
        """Bytes from the program's first to the last thread's last, pages between that are left out too."""
        thread = self.properties.stack_pages + _GUARDS + self.thread_local_pages + _CONTROL_PAGES + _THREAD_DATA_PAGES
        return self.heap + (self.properties.heap_pages + self.properties.threads * thread) * PAGE

    @property
    def size(self) -> int:
        """Bytes of its addresses: a power of two."""
        return 1 << (self.loaded_size + self.start - 1).bit_length()


def read_open_enclave(content: bytes, program: ElfProgram) -> OpenEnclave | None:
    """The enclave of a file; `None` where it is none of Open Enclave. Raises `Malformed` DJ314."""
    if SECTION not in program.sections:
        return None
    place, length = program.sections[SECTION]
    raw = content[place : place + length]
    if len(raw) < OeProperties.SIZE:
        raise Malformed("DJ314", f"{SECTION}: {len(raw)} bytes, expected the properties of an enclave ({OeProperties.SIZE})")
    properties = OeProperties(raw[: OeProperties.SIZE])
    _require_properties(properties)
    links = read_links(content)
    enclave = OpenEnclave(
        properties=properties,
        offset=place + _SIGSTRUCT_AT,
        is_ego=any(raw[_PAYLOAD_AT : _PAYLOAD_AT + 16]),
        module=next(iter(links.needs), ""),
        image_size=_image_size(program),
        relocations=_relocations(content, program, links),
        links=links,
        thread_local=tuple(_thread_local(program)),
        thread_local_pages=_thread_local_pages(program),
    )
    if enclave.loaded_size > MAX_PAGES * PAGE:
        raise Malformed("DJ314", f"{SECTION}: an enclave of more than {MAX_PAGES} pages")
    return enclave


def _require_properties(properties: OeProperties) -> None:
    if properties.size != OeProperties.SIZE or properties.type != SGX_TYPE:
        raise Malformed("DJ314", f"{SECTION}: no properties of an SGX enclave (size {properties.size}, type {properties.type})")
    if properties.threads > MAX_THREADS or max(properties.heap_pages, properties.stack_pages) > MAX_PAGES:
        raise Malformed("DJ314", f"{SECTION}: more than {MAX_THREADS} threads or {MAX_PAGES} pages")
    if properties.start_address % PAGE or properties.start_address > MAX_PAGES * PAGE:
        raise Malformed("DJ314", f"{SECTION}: it begins at {properties.start_address:#x}, which is no page")


def _image_size(program: ElfProgram) -> int:
    """Bytes of the program in memory; its segments are in order, each on pages of its own, as the loader wants it."""
    end = 0
    for number, segment in enumerate(program.segments):
        if (segment.address if number == 0 else segment.address // PAGE * PAGE < end) or not _access(segment):
            raise Malformed("DJ314", f"{SECTION}: segments that overlap, are out of order or that nobody may read")
        end = segment.address + segment.size
    if not 0 < end <= MAX_IMAGE:
        raise Malformed("DJ314", f"{SECTION}: a program of {end} bytes in memory")
    return _whole(end, PAGE)


def _whole(size: int, unit: int) -> int:
    return -(-size // max(unit, 1)) * max(unit, 1)


def _access(segment: Segment) -> int:
    return READ * segment.readable | WRITE * segment.writable | EXECUTE * segment.executable


def _relocations(content: bytes, program: ElfProgram, links: DynamicLinks) -> bytes:
    """The relocations as the enclave itself will apply them, filled up to whole pages; symbols of threads are looked up before."""
    tables = {name: program.sections[name] for name in (".rela.dyn", ".rela.plt") if name in program.sections}
    parts = {name: content[at : at + size] for name, (at, size) in tables.items()}
    if not parts.get(".rela.dyn") or any(len(parts[name]) != size or size % _RELOCATION.size for name, (_, size) in tables.items()):
        if any(parts.values()):
            raise Malformed("DJ314", f"{SECTION}: relocations that are not in it")
        return b""
    data = bytearray(b"".join(parts.values()))
    for place in range(0, len(data), _RELOCATION.size):
        offset, info, _ = _RELOCATION.unpack_from(data, place)
        if info & 0xFFFFFFFF == _THREAD_OFFSET:
            if info >> 32 >= len(links.symbols):
                raise Malformed("DJ314", f"{SECTION}: a relocation by symbol {info >> 32}, which is none")
            _RELOCATION.pack_into(data, place, offset, info, _signed(links.symbols[info >> 32].value))
    return bytes(data).ljust(_whole(len(data), PAGE), b"\0")


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _thread_local_size(program: ElfProgram, section: str) -> tuple[int, int]:
    """Bytes and alignment; the segment's own alignment where it begins with that section."""
    size = program.sections.get(section, (0, 0))[1]
    address, alignment = program.addresses.get(section, (0, 1))
    if section == ".tdata" and program.thread_local is not None and program.thread_local[0] == address:
        alignment = program.thread_local[1]
    return size, alignment


def _thread_local_pages(program: ElfProgram) -> int:
    sizes = (_thread_local_size(program, section) for section in (".tdata", ".tbss"))
    return _whole(sum(_whole(size, alignment) for size, alignment in sizes), PAGE) // PAGE


def _thread_local(program: ElfProgram) -> Iterator[tuple[str, int]]:
    data, data_alignment = _thread_local_size(program, ".tdata")
    zeros, zeros_alignment = _thread_local_size(program, ".tbss")
    if data:
        yield from (("_tdata_rva", program.addresses[".tdata"][0]), ("_tdata_size", data), ("_tdata_align", data_alignment))
    if zeros:
        yield from (("_tbss_size", zeros), ("_tbss_align", zeros_alignment))
    yield "_td_from_tcs_offset", (_thread_local_pages(program) + _CONTROL_PAGES) * PAGE


def unmeasured(enclave: OpenEnclave) -> str:
    """Why MRENCLAVE cannot be worked out of the file; empty where it can."""
    if enclave.is_ego:
        return "it is a program of EGo, whose runtime, another file, is measured with it"
    if enclave.module:
        return f"a second file is loaded with it ({enclave.module[:100]})"
    if enclave.loaded_size > MAX_MEASURED_PAGES * PAGE:
        return f"it has more than {MAX_MEASURED_PAGES} pages"
    return ""


def measure_open_enclave(content: bytes, program: ElfProgram, enclave: OpenEnclave) -> bytes:
    """MRENCLAVE as the loader would make it."""
    measurement = Measurement(enclave.size, 1)
    image = memoryview(_image(content, program, enclave))
    for segment in program.segments:
        flags = REGULAR | _access(segment)
        for place in range(segment.address // PAGE * PAGE, segment.address + segment.size, PAGE):
            measurement.add(enclave.start + place, flags, bytes(image[place : place + PAGE]))
    for page in _pages(program.entry, enclave):
        measurement.add(enclave.start + page.offset, page.flags, page.content, extend=page.extend)
    return measurement.mr_enclave


def _image(content: bytes, program: ElfProgram, enclave: OpenEnclave) -> bytearray:
    """The program in memory as the loader changes it: without its signature, and with numbers that only the loader knows."""
    image = bytearray(enclave.image_size)
    for segment in program.segments:
        image[segment.address : segment.address + segment.file_size] = content[segment.offset : segment.offset + segment.file_size]
    at = program.addresses[SECTION][0]
    if at + OeProperties.SIZE > len(image):
        raise Malformed("DJ314", f"{SECTION}: its place in memory is not in the program")
    numbers = (at, OeProperties.SIZE, enclave.image_size, len(enclave.relocations), enclave.heap, enclave.size)
    struct.pack_into("<6Q", image, at + _INFO_AT, *numbers)
    image[at + _SIGSTRUCT_AT : at + _SIGSTRUCT_AT + SigStruct.SIZE] = bytes(SigStruct.SIZE)
    places = {symbol.name: symbol.value for symbol in reversed(enclave.links.symbols)}
    own = ("_enclave_rva", places.get("_enclave_rva", 0))
    told = (("_reloc_rva", enclave.image_size), ("_reloc_size", len(enclave.relocations)))
    for name, number in (own, *told, *enclave.thread_local):
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
    for number in range(enclave.properties.heap_pages):
        yield EnclavePage(place + number * PAGE, REGULAR | READ | WRITE, extend=False)
    place += enclave.properties.heap_pages * PAGE
    for _ in range(enclave.properties.threads):
        yield from _thread(entry, place, enclave)
        thread = enclave.properties.stack_pages + _GUARDS + _CONTROL_PAGES + enclave.thread_local_pages + _THREAD_DATA_PAGES
        place += thread * PAGE


def _thread(entry: int, place: int, enclave: OpenEnclave) -> Iterator[EnclavePage]:
    flags = REGULAR | READ | WRITE
    place += PAGE  # A guard.
    for number in range(enclave.properties.stack_pages):
        yield EnclavePage(place + number * PAGE, flags, _STACK)
    place += (enclave.properties.stack_pages + 1) * PAGE  # Another guard.
    yield EnclavePage(place, TCS, _control(entry, place, enclave))
    yield EnclavePage(place + PAGE, flags)  # Two frames in which its registers are saved.
    yield EnclavePage(place + 2 * PAGE, flags)
    for number in range(enclave.thread_local_pages + _THREAD_DATA_PAGES):  # Behind a third guard.
        yield EnclavePage(place + (_CONTROL_PAGES + number) * PAGE, flags)


def _control(entry: int, place: int, enclave: OpenEnclave) -> bytes:
    """The page of a TCS (Intel SDM, volume 3D, "Thread Control Structure")."""
    data = enclave.start + place + (enclave.thread_local_pages + _CONTROL_PAGES) * PAGE
    frames, limit = enclave.start + place + PAGE, 0xFFFFFFFF
    fields = struct.pack("<QQQIIQQQQII", 0, 0, frames, 0, 2, enclave.start + entry, 0, data, data, limit, limit)
    return fields.ljust(PAGE, b"\0")
