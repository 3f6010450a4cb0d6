"""Programs as ELF files: the segments that are loaded, and where a section stands. The one place that reads the format."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from donjon.errors import Malformed

MAX_PARTS = 1024  # segments, and sections, of one file
MAX_SIZE = 1 << 40  # bytes of a program in memory


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
    rewrites_code: bool  # has relocations in its text (DT_TEXTREL)


def read_elf(content: bytes) -> ElfProgram:
    """The file as a program; raises `Malformed` DJ310."""
    try:
        return _read(ELFFile(BytesIO(content)), len(content))
    except (ELFError, ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("DJ310", f"no ELF file that can be read: {type(error).__name__}: {str(error)[:200]}") from error


def _read(elf: ELFFile, length: int) -> ElfProgram:
    if elf.num_segments() > MAX_PARTS or elf.num_sections() > MAX_PARTS:
        raise ValueError(f"more than {MAX_PARTS} segments or sections")
    if elf.elfclass != 64 or not elf.little_endian:  # noqa: PLR2004 - the word size of SGX.
        raise ValueError("an enclave is a program of 64 bits, little-endian")
    segments = tuple(_segment(each.header, length) for each in elf.iter_segments() if each.header.p_type == "PT_LOAD")
    sections = {each.name: (each.header.sh_offset, each.header.sh_size) for each in elf.iter_sections()}
    dynamic = elf.get_section_by_name(".dynamic")
    tags = dynamic.iter_tags("DT_TEXTREL") if isinstance(dynamic, DynamicSection) else ()
    return ElfProgram(segments=segments, sections=sections, rewrites_code=any(True for _ in tags))


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
