"""CPUID as far as it speaks of SGX: leaf 7 (is it there), leaf 12H (what it can do, and its EPC sections).

Source: Intel SDM, volume 3D, "Intel SGX Resource Enumeration Leaves", and volume 2A, CPUID.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from donjon.errors import Malformed

LEAF_MAXIMUM = (0x0, 0)
LEAF_FEATURES = (0x7, 0)
LEAF_SGX = (0x12, 0)
LEAF_ATTRIBUTES = (0x12, 1)
FIRST_SECTION = 2
MAX_SECTIONS = 8  # Linux keeps eight (arch/x86/kernel/cpu/sgx/main.c, SGX_MAX_EPC_SECTIONS).
SECTION_LEAVES = tuple((0x12, subleaf) for subleaf in range(FIRST_SECTION, FIRST_SECTION + MAX_SECTIONS))

WANTED_LEAVES = (LEAF_MAXIMUM, LEAF_FEATURES, LEAF_SGX, LEAF_ATTRIBUTES, *SECTION_LEAVES)
"""The (leaf, subleaf) pairs that `parse` reads, in the order in which a host is asked."""

MAX_PHYSICAL_ADDRESS = 1 << 52  # MAXPHYADDR is at most 52 (SDM 3A, 4.1.4).
PAGE = 4096

_REGISTER_MAX = (1 << 32) - 1
_LOW_20 = (1 << 20) - 1
_PAGE_BITS = 0xFFFFF000
_SECTION_TYPE = 0xF
_TYPE_EPC = 1


@dataclass(frozen=True, slots=True)
class Registers:
    """What CPUID leaves in the four registers, 32 bits each; raises `Malformed` DJ901 beyond that."""

    eax: int
    ebx: int
    ecx: int
    edx: int

    def __post_init__(self) -> None:
        for value in (self.eax, self.ebx, self.ecx, self.edx):
            if not 0 <= value <= _REGISTER_MAX:
                raise Malformed("DJ901", f"cpuid: register value {value}, expected 32 bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcSection:
    """A stretch of physical memory that is EPC, in bytes; a multiple of the page size at both ends."""

    base: int
    size: int
    integrity: bool  # protection property 1: confidentiality and integrity; 2 is confidentiality alone

    @property
    def end(self) -> int:
        """The first address behind the section."""
        return self.base + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxCpu:
    """What a processor says of SGX."""

    sgx: bool  # leaf 7 EBX[2]: the processor has SGX, which firmware may still keep off
    launch_control: bool  # leaf 7 ECX[30], SGX_LC: the launch key can be set, which the in-tree driver needs
    sgx1: bool  # leaf 12H.0 EAX[0]: false where firmware keeps SGX off
    sgx2: bool  # leaf 12H.0 EAX[1]: pages can be added, removed and changed after EINIT
    kss: bool  # leaf 12H.1 EAX[7]: SECS.ATTRIBUTES.KSS may be set (key separation and sharing)
    sections: tuple[EpcSection, ...]

    @property
    def version(self) -> int:
        """2, 1 or 0 where SGX cannot be used."""
        return 2 if self.sgx1 and self.sgx2 else int(self.sgx1)

    @property
    def epc(self) -> int:
        """The EPC of all sections together, in bytes."""
        return sum(section.size for section in self.sections)


def parse(leaves: Mapping[tuple[int, int], Registers]) -> SgxCpu:
    """What the registers say; `leaves` holds `WANTED_LEAVES`, a leaf not there counts as zero.

    Raises `Malformed` DJ902 for sections that cannot be: overlapping, or beyond 52 bits of physical address.
    """
    features, sgx, attributes = (_leaf(leaves, key) for key in (LEAF_FEATURES, LEAF_SGX, LEAF_ATTRIBUTES))
    present = bool(features.ebx >> 2 & 1)
    return SgxCpu(
        sgx=present,
        launch_control=bool(features.ecx >> 30 & 1),
        sgx1=present and bool(sgx.eax & 1),
        sgx2=present and bool(sgx.eax >> 1 & 1),
        kss=present and bool(attributes.eax >> 7 & 1),
        sections=_sections(leaves) if present else (),
    )


def _leaf(leaves: Mapping[tuple[int, int], Registers], key: tuple[int, int]) -> Registers:
    """The leaf, or zeros where the processor's highest basic leaf is below it (it then answers with another leaf's data)."""
    highest = leaves.get(LEAF_MAXIMUM, Registers(0, 0, 0, 0)).eax
    return leaves.get(key, Registers(0, 0, 0, 0)) if key[0] <= highest else Registers(0, 0, 0, 0)


def _sections(leaves: Mapping[tuple[int, int], Registers]) -> tuple[EpcSection, ...]:
    """The sections up to the first sub-leaf that is none, as the kernel counts them."""
    sections: list[EpcSection] = []
    for key in SECTION_LEAVES:
        registers = _leaf(leaves, key)
        if registers.eax & _SECTION_TYPE != _TYPE_EPC:
            break
        sections.append(_section(registers, subleaf=key[1]))
    for lower, upper in pairwise(sorted(sections, key=lambda section: section.base)):
        if lower.end > upper.base:
            raise Malformed("DJ902", f"cpuid leaf 12H: EPC sections at {lower.base:#x} and {upper.base:#x} overlap")
    return tuple(sections)


def _section(registers: Registers, *, subleaf: int) -> EpcSection:
    base = (registers.ebx & _LOW_20) << 32 | registers.eax & _PAGE_BITS
    size = (registers.edx & _LOW_20) << 32 | registers.ecx & _PAGE_BITS
    if size == 0 or base + size > MAX_PHYSICAL_ADDRESS:
        raise Malformed(
            "DJ902",
            f"cpuid leaf 12H.{subleaf}: EPC section of {size} bytes at {base:#x}, expected one within 52 bits of address",
        )
    return EpcSection(base=base, size=size, integrity=registers.ecx & _SECTION_TYPE == 1)
