"""What a program needs to be started: its machine, its loader, its libraries and their versions. Left out: what it does then."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.segments import InterpSegment

from donjon.enclave.elf import ELF_ERRORS
from donjon.errors import Malformed

MAX_SEGMENTS, MAX_TAGS, MAX_VERSIONS = 1024, 4096, 4096
_AMD64 = "EM_X86_64"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramLinks:
    """What the dynamic linker is told."""

    is_amd64: bool
    is_static: bool
    interpreter: str  # the path of its loader; empty where it has none
    needed: tuple[str, ...]  # names of libraries
    versions: tuple[tuple[str, str], ...]  # a library and a version of it that is needed
    provides: tuple[str, ...]  # versions that it defines itself
    is_go: bool
    entry: int  # address of its first instruction


def read_links(content: bytes) -> ProgramLinks:
    """What an ELF file needs; raises `Malformed` DJ310."""
    try:
        return _read(ELFFile(BytesIO(content)))
    except ELF_ERRORS as error:
        raise Malformed("DJ310", f"no ELF file that can be read: {type(error).__name__}: {str(error)[:200]}") from error


def _read(elf: ELFFile) -> ProgramLinks:
    if elf.num_segments() > MAX_SEGMENTS or elf.num_sections() > MAX_SEGMENTS:
        raise ValueError(f"more than {MAX_SEGMENTS} segments or sections")
    interpreter, needed, is_dynamic = "", tuple[str, ...](), False
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            is_dynamic, needed = True, tuple(_needed(segment))
    return ProgramLinks(
        entry=elf.header.e_entry,
        is_amd64=elf.header.e_machine == _AMD64 and elf.elfclass == 64,  # noqa: PLR2004 - bits.
        is_static=not interpreter and not needed,
        interpreter=interpreter,
        needed=needed,
        versions=tuple(_versions(elf)) if is_dynamic else (),
        provides=tuple(_provides(elf)) if is_dynamic else (),
        is_go=any(elf.get_section_by_name(name) for name in (".go.buildinfo", ".note.go.buildid")),
    )


def _needed(segment: DynamicSegment) -> Iterator[str]:
    for count, tag in enumerate(segment.iter_tags()):
        if count > MAX_TAGS:
            raise ValueError(f"more than {MAX_TAGS} entries for the dynamic linker")
        if tag.entry.d_tag == "DT_NEEDED":
            yield str(getattr(tag, "needed", ""))  # A name by its tag, which its class has no words for.


def _versions(elf: ELFFile) -> Iterator[tuple[str, str]]:
    section = elf.get_section_by_name(".gnu.version_r")
    if not isinstance(section, GNUVerNeedSection):
        return
    count = 0
    for need, versions in section.iter_versions():
        for version in versions:
            count += 1
            if count > MAX_VERSIONS:
                raise ValueError(f"more than {MAX_VERSIONS} versions")
            yield need.name or "", version.name or ""


def _provides(elf: ELFFile) -> Iterator[str]:
    section = elf.get_section_by_name(".gnu.version_d")
    if not isinstance(section, GNUVerDefSection):
        return
    for count, (_, names) in enumerate(section.iter_versions()):
        if count > MAX_VERSIONS:
            raise ValueError(f"more than {MAX_VERSIONS} versions")
        yield next(iter(names)).name
