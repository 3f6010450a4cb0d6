"""How much EPC an enclave takes: what its loader adds when it starts, what may come later, and what SGX itself keeps beside that.

Sources: the loaders' own (see `intel_sdk`, `open_enclave`, `sgxs`, `gramine`); Linux, `arch/x86/kernel/cpu/sgx/encl.c`
(`sgx_encl_grow`): a page for SECS, and one of version numbers for every 512 pages.
"""

from dataclasses import dataclass

from donjon.enclave.elf import ElfProgram, read_elf
from donjon.enclave.gramine import GramineManifest, looks_like_manifest, read_manifest
from donjon.enclave.intel_sdk import SdkEnclave, read_sdk_enclave
from donjon.enclave.measurement import PAGE
from donjon.enclave.open_enclave import CONTROL_PAGES, DATA_PAGES, OpenEnclave, read_open_enclave
from donjon.enclave.sgxs import is_sgxs, read_sgxs

VERSIONS_PER_PAGE = 512
MIB = 1 << 20

_GRAMINE_START = 0x10000  # the lowest address of an enclave of Gramine (MMAP_MIN_ADDR)
_GRAMINE_THREAD = 2 * 4 + 1 + 1 + 64 + 16  # pages: two frames for registers, TCS, its data, stack, stack for signals


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcPart:
    """Some of an enclave's pages."""

    name: str
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcNeed:
    """What one enclave takes, and how many of them there are."""

    family: str
    parts: tuple[EpcPart, ...]  # that are added when it starts
    growth: int = 0  # pages that may be added later (EDMM), as its author bounds them
    grows_unbounded: bool = False  # its author bounds nothing: what it will take can only be seen
    processes: int = 1  # each an enclave of its own
    left_out: str = ""  # what is not in the file, and not counted

    @property
    def pages(self) -> int:
        """Pages that are added when it starts."""
        return sum(each.pages for each in self.parts)

    @property
    def control(self) -> int:
        """Pages of SECS and of version numbers, with all that may be added."""
        return control_pages(self.pages + self.growth)

    @property
    def start(self) -> int:
        """Bytes that all its processes take when they have started."""
        return (self.pages + control_pages(self.pages)) * PAGE * self.processes

    @property
    def request(self) -> int:
        """Bytes to ask for, in whole MiB: all that it may take."""
        return -(-(self.pages + self.growth + self.control) * PAGE * self.processes // MIB) * MIB


def control_pages(pages: int) -> int:
    """SECS, and the pages of version numbers for it and so many pages."""
    return 1 - (-(pages + 1) // VERSIONS_PER_PAGE)


def epc_need(content: bytes, processes: int = 1) -> EpcNeed | None:
    """What the enclave of a file takes; `None` where none is whose pages are known. Raises `Malformed` as its reader does."""
    if is_sgxs(content):
        return EpcNeed(
            family="Fortanix EDP",
            parts=(EpcPart(name="all that is in the stream", pages=read_sgxs(content).pages),),
            processes=processes,
        )
    if content.startswith(b"\x7fELF"):
        return _of_program(content, processes)
    return _of_manifest(read_manifest(content), processes) if looks_like_manifest(content) else None


def _of_program(content: bytes, processes: int) -> EpcNeed | None:
    program = read_elf(content)
    enclave = read_sdk_enclave(content, program)
    if enclave is not None:
        return _of_sdk(program, enclave, processes)
    open_enclave = read_open_enclave(content, program)
    return None if open_enclave is None else _of_open_enclave(program, open_enclave, processes)


def _program_pages(program: ElfProgram) -> int:
    ends = ((each.address, each.address + each.size) for each in program.segments)
    return sum(-(-end // PAGE) - start // PAGE for start, end in ends if end > start)


def _of_sdk(program: ElfProgram, enclave: SdkEnclave, processes: int) -> EpcNeed:
    return EpcNeed(
        family="Intel SDK",
        parts=(
            EpcPart(name="program", pages=_program_pages(program)),
            EpcPart(name=f"heap, and threads with their stacks: {enclave.threads}", pages=enclave.start_pages),
        ),
        growth=enclave.later_pages,
        processes=processes,
    )


def _of_open_enclave(program: ElfProgram, enclave: OpenEnclave, processes: int) -> EpcNeed:
    settings = enclave.properties
    thread = settings.stack_pages + CONTROL_PAGES - 1 + enclave.thread_local_pages + DATA_PAGES  # Its guards are no pages.
    return EpcNeed(
        family="EGo" if enclave.is_ego else "Open Enclave",
        parts=(
            EpcPart(name="program", pages=_program_pages(program) + len(enclave.relocations) // PAGE),
            EpcPart(name="heap", pages=settings.heap_pages),
            EpcPart(name=f"threads with their stacks: {settings.threads}", pages=settings.threads * thread),
        ),
        processes=processes,
        left_out="EGo's own runtime, which is another file" if enclave.is_ego else "",
    )


def _of_manifest(manifest: GramineManifest, processes: int) -> EpcNeed:
    if not manifest.has_edmm:
        whole = EpcPart(name="sgx.enclave_size, which is added whole", pages=(manifest.enclave_size - _GRAMINE_START) // PAGE)
        return EpcNeed(family="Gramine", parts=(whole,), processes=processes)
    return EpcNeed(
        family="Gramine",
        parts=(EpcPart(name=f"threads with their stacks: {manifest.threads}", pages=manifest.threads * _GRAMINE_THREAD),),
        grows_unbounded=True,
        processes=processes,
        left_out="Gramine itself, the program and its heap, which are added when they are used (sgx.edmm_enable)",
    )
