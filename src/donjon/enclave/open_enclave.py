"""Enclaves of Open Enclave: what their properties say, and what their loader makes of that.

Source: openenclave/openenclave, `include/openenclave/bits/sgx/sgxproperties.h` (layout), `host/sgx/loadelf.c` and `elf.c` (what
is read of the file). EGo's programs have the same properties, and a part of EGo's own behind them: what is measured of one is
EGo's runtime, which is another file, with it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from donjon.enclave.building import page_access
from donjon.enclave.elf import DynamicLinks, ElfProgram, read_links, require_one
from donjon.enclave.measurement import MAX_BUILT_PAGES, MAX_CONTENT_PAGES, PAGE
from donjon.errors import Malformed
from donjon.sgx.layout import Flag, Layout, Number, Octets
from donjon.sgx.sigstruct import HEADER, SigStruct

SECTION = ".oeinfo"
SGX_TYPE = 2  # OE_ENCLAVE_TYPE_SGX; 3 is of OP-TEE
MAX_THREADS = 1024  # OE_SGX_MAX_TCS
MAX_PAGES = 1 << 28  # 1 TiB: no enclave is larger
MAX_IMAGE = 1 << 30  # bytes of the program in memory

CONTROL_PAGES, DATA_PAGES = 4, 1  # of each thread: its TCS, two frames for its registers, a guard; and what it keeps for itself
INFO_AT, SIGSTRUCT_AT = 96, 144  # in the properties
_GUARDS = 2  # before and behind each stack
_RELOCATION = struct.Struct("<QQq")
_THREAD_OFFSET = 18  # R_X86_64_TPOFF64
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
    captures_faults = Flag(36, 0)  # the processor is asked what a page fault was (EXINFO)
    zero_base = Flag(36, 1)
    family_id = Octets(40, 16)
    ext_product_id = Octets(56, 16)
    attributes = Number(72, 8)  # FLAGS
    debug = Flag(72, 1)  # of the attributes that the author allows
    start_address = Number(88, 8)
    sigstruct = Octets(SIGSTRUCT_AT, SigStruct.SIZE)


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
    def thread_pages(self) -> int:
        """Pages of each thread, with its three guards, which are addresses alone."""
        return self.properties.stack_pages + _GUARDS + CONTROL_PAGES + self.thread_local_pages + DATA_PAGES

    @property
    def loaded_size(self) -> int:
        """Bytes from the program's first to the last thread's last, pages between that are left out too."""
        return self.heap + (self.properties.heap_pages + self.properties.threads * self.thread_pages) * PAGE

    @property
    def size(self) -> int:
        """Bytes of its addresses: a power of two."""
        return 1 << (self.loaded_size + self.start - 1).bit_length()


def read_open_enclave(content: bytes, program: ElfProgram) -> OpenEnclave | None:
    """The enclave of a file; `None` where it is none of Open Enclave. Raises `Malformed` DJ314."""
    if SECTION not in program.sections:
        return None
    require_one(program, SECTION)
    place, length = program.sections[SECTION]
    raw = content[place : place + length]
    if len(raw) < OeProperties.SIZE:
        raise Malformed("DJ314", f"{SECTION}: {len(raw)} bytes, expected the properties of an enclave ({OeProperties.SIZE})")
    properties = OeProperties(raw[: OeProperties.SIZE])
    if not any(properties.raw):
        return None  # EGo's compiler leaves room for them, and `ego sign` writes them.
    _require_properties(properties)
    links = read_links(content)
    enclave = OpenEnclave(
        properties=properties,
        offset=place + SIGSTRUCT_AT,
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
        if (segment.address if number == 0 else segment.address // PAGE * PAGE < end) or not page_access(segment):
            raise Malformed("DJ314", f"{SECTION}: segments that overlap, are out of order or that nobody may read")
        end = segment.address + segment.size
    if not 0 < end <= MAX_IMAGE:
        raise Malformed("DJ314", f"{SECTION}: a program of {end} bytes in memory")
    return _whole(end, PAGE)


def _whole(size: int, unit: int) -> int:
    return -(-size // max(unit, 1)) * max(unit, 1)


def _relocations(content: bytes, program: ElfProgram, links: DynamicLinks) -> bytes:
    """The relocations as the enclave itself will apply them, filled up to whole pages; those of threads are looked up before."""
    tables = {name: program.sections[name] for name in (".rela.dyn", ".rela.plt") if name in program.sections}
    parts = {name: content[at : at + size] for name, (at, size) in tables.items()}
    if not parts.get(".rela.dyn") or any(
        len(parts[name]) != size or size % _RELOCATION.size for name, (_, size) in tables.items()
    ):
        if any(parts.values()):
            raise Malformed("DJ314", f"{SECTION}: relocations that are not in it")
        return b""
    data = bytearray(b"".join(parts.values()))
    for place in range(0, len(data), _RELOCATION.size):
        offset, info, _ = _RELOCATION.unpack_from(data, place)
        if info & 0xFFFFFFFF == _THREAD_OFFSET:
            if info >> 32 >= len(links.symbols):
                raise Malformed("DJ314", f"{SECTION}: a relocation by symbol {info >> 32}, which is none")
            _RELOCATION.pack_into(data, place, offset, info, _twos_complement(links.symbols[info >> 32].value))
    return bytes(data).ljust(_whole(len(data), PAGE), b"\0")


def _twos_complement(number: int) -> int:
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
    yield "_td_from_tcs_offset", (_thread_local_pages(program) + CONTROL_PAGES) * PAGE


def unmeasured(enclave: OpenEnclave) -> str:
    """Why MRENCLAVE cannot be worked out of the file; empty where it can."""
    if enclave.is_ego:
        return "it is a program of EGo, whose runtime, another file, is measured with it"
    if enclave.module:
        return f"a second file is loaded with it ({enclave.module[:100]})"
    if enclave.loaded_size > MAX_BUILT_PAGES * PAGE:
        return f"it has more than {MAX_BUILT_PAGES} pages"
    if enclave.loaded_size > (MAX_CONTENT_PAGES + enclave.properties.heap_pages) * PAGE:
        return f"it has more than {MAX_CONTENT_PAGES} pages beside its heap"
    return ""
