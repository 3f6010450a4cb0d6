"""The meter's reader: two BPF iterators over all processes, loaded once and read again and again.

`epc_vmas` goes over what is mapped, `epc_files` over what is open: an enclave that is built and not mapped yet has EPC, too.
One pass at a time: the walks keep their state in one place. The process must be in the host's PID namespace to see all.
"""

import errno
import os
import struct
from contextlib import suppress
from pathlib import Path

from donjon.adapters.epc.kernel import (
    BTF,
    ENCLAVES,
    GUESTS,
    Capability,
    capabilities,
    free_pages_address,
    kernel_number,
    misc_devices,
)
from donjon.adapters.epc.libbpf import BpfObject
from donjon.adapters.epc.processes import holder_of, pids, speaker_of
from donjon.adapters.epc.rows import RowCutter, RowSum
from donjon.errors import Unavailable
from donjon.node.enclaves import EnclavePass

OBJECT = Path(__file__).with_name("meter.bpf.o")
ITERATORS = ("epc_vmas", "epc_files")
AREAS, DESCRIPTORS = "epc_vmas", "epc_files"
MAX_LONG = {AREAS: 4, DESCRIPTORS: 40}
"""Readings of all processes that bring few rows: each is a million areas, or of descriptors, over which the kernel is faster."""
MAX_LONG_OF_ONE = 2  # of the areas of one process
APART = 20  # passes until all are gone over at once again
SHORT = 1 << 14  # bytes; the kernel writes twice that before it stops

_CHUNK = 1 << 18  # bytes
_CONSTANTS = struct.Struct("<IIQ")  # .rodata: numbers of the enclave device and of the guests', address of the free counter
_NO_DEVICE = 0xFFFFFFFF


class EnclaveReader:
    """The loaded programs; raises `Unavailable` DJ700 to DJ704 where they cannot be."""

    def __init__(
        self,
        *,
        object_path: Path = OBJECT,
        enclaves: tuple[int, int] | None = None,
        guests: tuple[int, int] | None = None,
        free_at: int | None = None,
    ) -> None:
        """The devices are those of /proc/misc where their numbers (major, minor) are not said."""
        there = misc_devices()
        numbers = (
            kernel_number(*enclaves) if enclaves else there.get(ENCLAVES, _NO_DEVICE),
            kernel_number(*guests) if guests else there.get(GUESTS, _NO_DEVICE),
        )
        _check(object_path, numbers)
        address = free_pages_address() if free_at is None else free_at
        try:
            self._apart = 0
            self._object = BpfObject(object_path, _CONSTANTS.pack(*numbers, address), ITERATORS)
        except OSError as error:
            raise _refusal(error) from error

    def read(self) -> EnclavePass:
        """One pass; raises `Unavailable` DJ705 for structures of another shape, DJ706 where it is incomplete."""
        rows = RowSum()
        for name in ITERATORS:
            try:
                self._pass(name, rows)
            except OSError as error:
                hint = "; to read too many areas one process at a time takes Linux 6.1" if error.errno == errno.EINVAL else ""
                raise Unavailable("DJ706", f"meter: the pass of {name} failed: {error.strerror}{hint}") from error
        return rows.total()

    def close(self) -> None:
        """Unload the programs."""
        self._object.close()

    def _pass(self, name: str, rows: RowSum) -> None:
        """Over all at once; where that are too many areas, over one process after the other, and so for some passes more."""
        if self._apart > 0 and name == AREAS:
            self._apart -= 1
            self._pass_apart(name, rows)
        elif not _drain(self._object.open_iterator(name), name, rows, MAX_LONG[name]):
            if name != AREAS:
                raise Unavailable("DJ706", f"meter: more than {MAX_LONG[name]} million descriptors; the pass was given up")
            self._apart = APART
            self._pass_apart(name, rows)

    def _pass_apart(self, name: str, rows: RowSum) -> None:
        """The kernel goes over a thread that has descriptors of its own as if it had memory of its own, too, so that a few
        hundred come to any number of areas. Here it is one thread of each process.
        """
        for pid in pids():
            with suppress(ProcessLookupError, FileNotFoundError, ValueError):  # It ended meanwhile.
                if not _drain(self._object.open_iterator_over(name, speaker_of(pid)), name, rows, MAX_LONG_OF_ONE):
                    rows.leave_out(holder_of(pid))


def _drain(descriptor: int, name: str, rows: RowSum, most: int) -> bool:
    """Take in all rows up to the last; whether it came before so many long readings had been made."""
    cutter, is_over = RowCutter(), False
    try:
        # Behind the last row, the kernel would go on with processes that began meanwhile, and without a last row.
        while not is_over:
            data = _read(descriptor)
            if data == b"":
                break
            for row in cutter.feed(data or b""):
                is_over = rows.take(row) or is_over
            most -= len(data or b"") < SHORT
            if most <= 0 and not is_over:
                return False
    finally:
        os.close(descriptor)
    cutter.end()
    if not is_over:
        raise Unavailable("DJ706", f"meter: the pass of {name} was cut short: its last row did not come")
    return True


def _read(descriptor: int) -> bytes | None:
    """What is there; `None` after a million areas or descriptors without a row."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


def _check(object_path: Path, numbers: tuple[int, int]) -> None:
    """What can be said before the kernel is asked, and better than its error numbers would."""
    if numbers == (_NO_DEVICE, _NO_DEVICE):
        raise Unavailable(
            "DJ700",
            "meter: this kernel has no SGX driver of its own: /proc/misc names neither sgx_enclave nor sgx_vepc; "
            "there is nothing to measure, or an out-of-tree driver that the meter does not know",
        )
    if not object_path.is_file():
        raise Unavailable(
            "DJ701",
            f"meter: {object_path.name} is not in this installation; the image of Donjon has it, and deploy/bpf/build makes it",
        )
    if not os.access(BTF, os.R_OK):
        raise Unavailable(
            "DJ702", f"meter: the kernel does not describe its structures: no {BTF}; it must be built with CONFIG_DEBUG_INFO_BTF"
        )


def _refusal(error: OSError) -> Unavailable:
    """What the kernel's number means here, and what to do."""
    if error.errno in {errno.EPERM, errno.EACCES}:
        return Unavailable("DJ703", f"meter: BPF is not allowed: {error.strerror}; {_lacking()}")
    reasons = {
        errno.EINVAL: "the kernel is older than 5.12, or in lockdown mode confidentiality (/sys/kernel/security/lockdown)",
        errno.ENOSYS: "the kernel was built without CONFIG_BPF_SYSCALL",
        errno.ENOMEM: "the container's memory limit is too low",
        errno.ESRCH: "the kernel has no iterators over areas: it is older than 5.12, or built without BTF",
    }
    reason = reasons.get(error.errno or 0, "see the kernel's log (dmesg)")
    return Unavailable("DJ704", f"meter: BPF cannot be loaded: {error.strerror}; {reason}")


def _lacking() -> str:
    own = capabilities()
    if Capability.CAP_SYS_ADMIN in own:
        return "the process has CAP_SYS_ADMIN, so a security module, seccomp or a user namespace forbids it"
    lacking = [each.name for each in (Capability.CAP_BPF, Capability.CAP_PERFMON) if each not in own]
    if lacking:
        return f"the process lacks {' and '.join(lacking)}; the chart gives them with node.meter.enabled"
    return "it has CAP_BPF and CAP_PERFMON, so seccomp or a security module forbids it, or the kernel lacks the types of SGX"
