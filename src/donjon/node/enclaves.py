"""What one pass over the host's processes reads of its enclaves: each enclave once, and who holds it.

An enclave is held by every process that maps it or has it open: by fork, and by descriptors that were passed on. Guests' EPC
(`/dev/sgx_vepc`) is held in the same way by the program that runs the guest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from donjon.sgx.epc import EnclaveFlag, EpcSource


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EnclaveHolder:
    """A process that holds an enclave; `started` and `pid` together name it for as long as the host is up."""

    started: int  # nanoseconds since boot, of the process's first thread
    pid: int  # in the reader's PID namespace, which must be the host's
    inner_pid: int = 0  # in the process's own PID namespace
    cgroup: int = 0  # inode of its folder in cgroup v2; 0 where that is unknown
    memory_cgroup: int = 0  # the same of cgroup v1's memory controller
    command: str = ""  # the process says so itself


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveReading:
    """One enclave, in pages of 4 KiB, by the kernel's `struct sgx_encl`."""

    base: int
    size: int  # bytes of its address range (ELRANGE)
    flags: EnclaveFlag
    existing: int  # page_cnt: SECS and pages that were added and not removed, in EPC or not; no VA pages
    children: int  # secs_child_cnt: its pages in EPC now
    secs: int  # 1 where its SECS is in EPC
    version_arrays: int  # VA pages, which never leave EPC
    holders: tuple[EnclaveHolder, ...]  # at least one
    is_exact: bool = True  # False where something of it could not be read to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestReading:
    """EPC of one guest (`struct sgx_vepc`), in pages of 4 KiB; the host sees no enclaves in it."""

    pages: int
    holders: tuple[EnclaveHolder, ...]
    is_exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaReading:
    """What one process maps of the enclave device, by /proc/PID/maps: address space, not EPC."""

    size: int  # bytes
    holder: EnclaveHolder


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclavePass:
    """One pass over all processes."""

    source: EpcSource
    enclaves: Mapping[int, EnclaveReading]  # by a number of the kernel's, which says nothing beyond this pass; none by maps
    guests: Mapping[int, GuestReading]
    areas: tuple[AreaReading, ...] = ()  # by maps alone
    free: int | None = None  # EPC pages that the kernel has to give out; `None` where it is not told
    unreadable: int = 0  # processes that could not be read, by maps
    obstacle: str = ""  # why the first of them could not
    partly: tuple[tuple[EnclaveHolder, ...], ...] = ()
    """Containers of which not all was counted, since it was too much, each by some of its processes; by BPF."""
