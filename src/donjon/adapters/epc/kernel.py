"""What the kernel tells of itself that the meter must know before it reads: its SGX devices, and what a process may do."""

import os
import stat
from enum import IntEnum
from pathlib import Path

from donjon.adapters.files import read
from donjon.errors import Unavailable

PROC = Path("/proc")
BTF = Path("/sys/kernel/btf/vmlinux")
ENCLAVES, GUESTS = "sgx_enclave", "sgx_vepc"  # names of misc devices (arch/x86/kernel/cpu/sgx/driver.c, virt.c)
FREE_PAGES = "sgx_nr_free_pages"  # arch/x86/kernel/cpu/sgx/main.c

_MISC_MAJOR = 10
_MINOR_BITS = 20  # of a dev_t within the kernel
_MAX_BYTES = 32 << 20  # of /proc/kallsyms


class Capability(IntEnum):
    """Capabilities by their bits (include/uapi/linux/capability.h)."""

    CAP_SYS_PTRACE = 19
    CAP_SYS_ADMIN = 21
    CAP_SYSLOG = 34
    CAP_PERFMON = 38
    CAP_BPF = 39


def require_host(proc: Path = PROC) -> None:
    """Raise `Unavailable` DJ710 in a PID namespace of a container's own, where nobody else's processes are seen."""
    if os.getpid() == 1 and not (proc / "2").exists():
        raise Unavailable(
            "DJ710",
            "meter: no process but its own is seen from here: it must run in the host's PID namespace "
            "(hostPID: true, which the chart sets)",
        )


def misc_devices(proc: Path = PROC) -> dict[str, int]:
    """The kernel's number of each misc character device, by its name; none where that cannot be read."""
    try:
        lines = read(proc / "misc", 1 << 16).decode("ascii", errors="replace").splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines]
    return {parts[1]: kernel_number(_MISC_MAJOR, int(parts[0])) for parts in fields if len(parts) > 1 and parts[0].isdecimal()}


def kernel_number(major: int, minor: int) -> int:
    """A device's number as the kernel keeps it in memory."""
    return major << _MINOR_BITS | minor


def device_number(path: Path) -> tuple[int, int] | None:
    """Major and minor number of the character device at a path, links followed; `None` where none stands there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (os.major(status.st_rdev), os.minor(status.st_rdev)) if stat.S_ISCHR(status.st_mode) else None


def capabilities(proc: Path = PROC) -> frozenset[Capability]:
    """Those of this process that are in effect."""
    try:
        status = read(proc / "self/status", 1 << 14).decode("ascii", errors="replace")
    except OSError:
        return frozenset()
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return frozenset(each for each in Capability if int(mask, 16) >> each & 1)


def free_pages_address(proc: Path = PROC) -> int:
    """Where the kernel counts free EPC pages; 0 where this process may not see it, which needs CAP_SYSLOG."""
    if Capability.CAP_SYSLOG not in capabilities(proc):
        return 0
    try:
        symbols = read(proc / "kallsyms", _MAX_BYTES)
    except OSError:
        return 0
    place = symbols.find(b" %s\n" % FREE_PAGES.encode())
    return int(symbols[symbols.rfind(b"\n", 0, place) + 1 : place].split()[0], 16) if place >= 0 else 0
