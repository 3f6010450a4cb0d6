"""Enclave memory in use, as values: what is in EPC now, what was evicted from it, and who says so.

No Linux kernel holds anybody to an amount of EPC; these are measurements.
"""

from dataclasses import dataclass
from enum import IntFlag, StrEnum


class EpcSource(StrEnum):
    """Who says how much it is."""

    BPF = "bpf"  # the kernel's own counters of each enclave, exact to the page
    MAPS = "maps"  # the sizes of mapped areas: an upper bound of what is resident, and nothing is known of evictions


class EnclaveFlag(IntFlag):
    """`flags` of the kernel's `struct sgx_encl` (arch/x86/kernel/cpu/sgx/encl.h, enum sgx_encl_flags).

    The kernel hands these constants, masks by their definition (`BIT(3)`), to `set_bit` and `test_bit`, which take them for
    numbers of bits: `SGX_ENCL_INITIALIZED`, 8, is bit 8.
    """

    IOCTL = 1 << 1  # one of its ioctls runs
    DEBUG = 1 << 2
    CREATED = 1 << 4
    INITIALIZED = 1 << 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcUse:
    """What one or more enclaves hold, in bytes; `None` is what the source does not know.

    `resident` is what is in EPC now: pages of the enclave, its SECS, and the version arrays (VA) that the kernel keeps for it.
    `existing` is that and what was evicted (Intel SDM, volume 3D: EWB), which comes back when it is touched.
    `control` is what of `resident` is SECS and version arrays: no page of it is the enclave's own.
    """

    resident: int = 0
    control: int | None = 0
    existing: int | None = 0
    evicted: int | None = 0
    enclaves: int = 0
    debug: int = 0  # of these enclaves, those in debug mode: whoever runs their host reads their memory
    building: int = 0  # of these enclaves, those that are not initialised yet

    @property
    def need(self) -> int:
        """What they would hold if EPC were large enough; where that is not known, what is resident."""
        return self.resident if self.existing is None else self.existing

    def __add__(self, other: "EpcUse") -> "EpcUse":
        """Both together; what one of them does not know, both do not know."""
        return EpcUse(
            resident=self.resident + other.resident,
            control=_sum(self.control, other.control),
            existing=_sum(self.existing, other.existing),
            evicted=_sum(self.evicted, other.evicted),
            enclaves=self.enclaves + other.enclaves,
            debug=self.debug + other.debug,
            building=self.building + other.building,
        )


NOTHING = {EpcSource.BPF: EpcUse(), EpcSource.MAPS: EpcUse(control=None, existing=None, evicted=None)}
"""What is held where nothing is, by who says so."""


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
