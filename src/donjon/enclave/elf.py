"""Programs as ELF files: the segments that are loaded, and where a section stands. The one place that reads the format."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from donjon.errors import Malformed

MAX_PARTS = 1024  # segments, and sections, of one file
MAX_SIZE = 1 << 40  # bytes of a program in memory
MAX_SYMBOLS = 200_000  # of one file
ELF_ERRORS = (
    ELFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    RecursionError,
)
"""All that the library raises for files that lie, as tests with changed bytes found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What is loaded: bytes of the file, and where they go."""

    offset: int
    file_size: int
    address: int
    size: int  # in memory; what the file has not is zero
    readable: bool
    writable: bool
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfProgram:
    """What is read of a file."""

    segments: tuple[Segment, ...]
    sections: Mapping[str, tuple[int, int]]  # by name: offset and size in the file
    addresses: Mapping[str, tuple[int, int]]  # by the section's name: where it is loaded, and its alignment
    thread_local: tuple[int, int] | None  # address and alignment of what each thread has its own copy of (PT_TLS)
    entry: int
    rewrites_code: bool  # has relocations in its text (DT_TEXTREL)
    ambiguous: frozenset[str] = frozenset()  # names of several sections: a loader takes the first, or another


def require_one(program: ElfProgram, section: str) -> None:
    """Raises `Malformed` DJ310 where a program has several sections of that name."""
    if section in program.ambiguous:
        raise Malformed("DJ310", f"it has several sections {section}, and which of them counts is its loader's choice")


class DynamicSymbol(NamedTuple):
    """A name that is bound while a program is loaded."""

    name: str
    value: int
    is_import: bool  # defined elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicLinks:
    """What a program is linked with while it is loaded."""

    needs: tuple[str, ...]  # the libraries' names
    symbols: tuple[DynamicSymbol, ...]  # in the table's order


def read_elf(content: bytes) -> ElfProgram:
    """The file as a program; raises `Malformed` DJ310."""
    with _elf_errors():
        return _read(ELFFile(BytesIO(content)), len(content))


def read_links(content: bytes) -> DynamicLinks:
    """What it is linked with, nothing where it is linked with nothing; raises `Malformed` DJ310."""
    with _elf_errors():
        elf = ELFFile(BytesIO(content))
        _require_size(elf)
        return DynamicLinks(needs=tuple(_needs(elf)), symbols=tuple(_symbols(elf)))


@contextmanager
def _elf_errors() -> Iterator[None]:
    try:
        yield
    except ELF_ERRORS as error:
        raise Malformed("DJ310", f"no ELF file that can be read: {type(error).__name__}: {str(error)[:200]}") from error


def _require_size(elf: ELFFile) -> None:
    if elf.num_segments() > MAX_PARTS or elf.num_sections() > MAX_PARTS:
        raise ValueError(f"more than {MAX_PARTS} segments or sections")


def _needs(elf: ELFFile) -> Iterator[str]:
    dynamic = elf.get_section_by_name(".dynamic")
    if isinstance(dynamic, DynamicSection):
        for each in islice(dynamic.iter_tags("DT_NEEDED"), MAX_PARTS):
            yield each.needed  # type: ignore[attr-defined]  # The library sets it for that tag.


def _symbols(elf: ELFFile) -> Iterator[DynamicSymbol]:
    table = elf.get_section_by_name(".dynsym")
    if not isinstance(table, SymbolTableSection):
        return
    if table.num_symbols() > MAX_SYMBOLS:
        raise ValueError(f"more than {MAX_SYMBOLS} symbols")
    for each in table.iter_symbols():
        yield DynamicSymbol(each.name, each.entry.st_value, each.entry.st_shndx == "SHN_UNDEF" and bool(each.name))


def _read(elf: ELFFile, length: int) -> ElfProgram:
    _require_size(elf)
    if elf.elfclass != 64 or not elf.little_endian:  # noqa: PLR2004 - the word size of SGX.
        raise ValueError("an enclave is a program of 64 bits, little-endian")
    segments = tuple(_segment(each.header, length) for each in elf.iter_segments() if each.header.p_type == "PT_LOAD")
    thread_local = (each.header for each in elf.iter_segments() if each.header.p_type == "PT_TLS")
    names = Counter(each.name for each in elf.iter_sections())
    sections = {each.name: each.header for each in elf.iter_sections()}
    dynamic = elf.get_section_by_name(".dynamic")
    tags = dynamic.iter_tags("DT_TEXTREL") if isinstance(dynamic, DynamicSection) else ()
    return ElfProgram(
        segments=segments,
        sections={name: (header.sh_offset, header.sh_size) for name, header in sections.items()},
        addresses={name: (header.sh_addr, header.sh_addralign) for name, header in sections.items()},
        thread_local=next(((header.p_vaddr, header.p_align) for header in thread_local), None),
        entry=elf.header.e_entry,
        rewrites_code=any(True for _ in tags),
        ambiguous=frozenset(name for name, count in names.items() if count > 1),
    )


def _segment(header: "Mapping[str, int]", length: int) -> Segment:
    offset, file_size, size = header["p_offset"], header["p_filesz"], header["p_memsz"]
    if offset + file_size > length or file_size > size or header["p_vaddr"] + size > MAX_SIZE:
        raise ValueError("a segment that is not in the file")
    flags = header["p_flags"]
    return Segment(
        offset=offset,
        file_size=file_size,
        address=header["p_vaddr"],
        size=size,
        readable=bool(flags & 4),
        writable=bool(flags & 2),
        executable=bool(flags & 1),
    )
