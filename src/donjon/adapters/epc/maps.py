"""The fallback: the areas that processes map of the enclave device, by /proc/PID/maps (proc_pid_maps(5)).

An area is address space, so this is an upper bound of what is mapped, and says nothing of enclaves that are built but not mapped.
A tenant may give any file the device's name, so a name counts for nothing: the file that stands there must be the device, and the
one that is mapped.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from donjon.adapters.epc.kernel import PROC, Capability, capabilities, device_number
from donjon.adapters.epc.processes import holder_of, pids
from donjon.adapters.files import read
from donjon.errors import Unavailable
from donjon.node.devices import PATHS, DeviceRole
from donjon.node.enclaves import AreaReading, EnclaveHolder, EnclavePass
from donjon.sgx.epc import EpcSource

MAX_PROCESS = 16 << 20  # bytes of one process's areas: as many as the kernel lets it have, with long names
MAX_PASS = 256 << 20  # bytes of all of them together

_LINE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ ([0-9a-f]+):([0-9a-f]+) ([1-9]\d*) +(/[^\n]*)$", re.MULTILINE)
_NO_ACCESS = b"---"  # an address range that is only set aside
_NEW_LINE, _ESCAPED_NEW_LINE = b"\n", rb"\012"

Inode = tuple[int, int, int]
"""Major and minor number of its file system, and its own."""


class AreaReader:
    """Reads the areas of all processes that are seen from here."""

    def __init__(self, host_root: Path, proc: Path = PROC) -> None:
        """Raises `Unavailable` DJ700 where no enclave device is there, DJ709 where others' areas cannot be read."""
        paths = (host_root / entry.path.lstrip("/") for entry in PATHS if entry.role is DeviceRole.ENCLAVE)
        self._devices = frozenset(number for path in paths if (number := device_number(path)) is not None)
        self._proc = proc
        if not self._devices:
            raise Unavailable("DJ700", f"meter: no enclave device below {host_root}: there is nothing to measure")
        if Capability.CAP_SYS_PTRACE not in capabilities(proc):
            raise Unavailable(
                "DJ709", "meter: the areas of others cannot be read: the process lacks CAP_SYS_PTRACE (chart: node.meter.maps)"
            )

    def read(self) -> EnclavePass:
        """One pass; processes that cannot be read, or have more areas than are read, are counted."""
        areas: list[AreaReading] = []
        verdicts: dict[Inode, bool] = {}
        unreadable, left = 0, MAX_PASS
        for pid in pids(self._proc):
            try:
                holder, text = self._areas_of(pid, min(MAX_PROCESS, left))
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended meanwhile.
            except (OSError, ValueError):
                unreadable += 1
                continue
            left -= len(text)
            size = sum(size for inode, path, size in _mappings(text) if self._is_device(holder.pid, inode, path, verdicts))
            areas += [AreaReading(size=size, holder=holder)] if size else []
        return EnclavePass(source=EpcSource.MAPS, enclaves={}, guests={}, areas=tuple(areas), unreadable=unreadable)

    def close(self) -> None:
        """Nothing is kept."""

    def _areas_of(self, pid: int, bound: int) -> tuple[EnclaveHolder, bytes]:
        holder = holder_of(pid, self._proc)
        text = read(self._proc / str(pid) / "maps", bound + 1)
        if len(text) > bound:
            raise ValueError(f"more than {bound} bytes of areas")
        return holder, text

    def _is_device(self, pid: int, inode: Inode, path: bytes, verdicts: dict[Inode, bool]) -> bool:
        """Whether the mapped file is the device; what stands at its path must be the same file."""
        if inode in verdicts:
            return verdicts[inode]
        try:
            status = (self._proc / str(pid) / "root" / os.fsdecode(path).lstrip("/")).lstat()
        except (OSError, ValueError):
            return False
        if (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino) != inode:
            return False
        number = os.major(status.st_rdev), os.minor(status.st_rdev)
        verdicts[inode] = stat.S_ISCHR(status.st_mode) and number in self._devices
        return verdicts[inode]


def _mappings(text: bytes) -> Iterator[tuple[Inode, bytes, int]]:
    """Of each area of a file that may be accessed: which file, at which path, and how large the area is."""
    for start, end, access, major, minor, inode, path in _LINE.findall(text):
        if not access.startswith(_NO_ACCESS):
            number = int(major, 16), int(minor, 16), int(inode)
            yield number, path.replace(_ESCAPED_NEW_LINE, _NEW_LINE), int(end, 16) - int(start, 16)
