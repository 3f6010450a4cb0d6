"""The fallback: the areas that processes map of the enclave device, by /proc/PID/maps (proc_pid_maps(5)).

An area is address space, so this is an upper bound of what is mapped, and says nothing of enclaves that are built but not mapped.
A tenant may give any file the device's name, so a name counts for nothing: the file that stands there must be the device, and the
one that is mapped.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
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

_FILE = re.compile(rb" ([0-9a-f]+:[0-9a-f]+ [1-9]\d*) +/")
_LINE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ ([0-9a-f]+:[0-9a-f]+ [1-9]\d*) +(/[^\n]*)$", re.MULTILINE)
_NO_ACCESS = b"---"  # an address range that is only set aside
_NEW_LINE, _ESCAPED_NEW_LINE = b"\n", rb"\012"

Verdicts = dict[bytes, bool]
"""Whether a file is the device, by its file system's number and its own, as a line of /proc/PID/maps has them."""


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
        verdicts: Verdicts = {}
        unreadable, obstacle, left = 0, "", MAX_PASS
        for pid in pids(self._proc):
            try:
                holder, text = self._areas_of(pid, min(MAX_PROCESS, left))
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended meanwhile.
            except (OSError, ValueError) as error:
                unreadable, obstacle = unreadable + 1, obstacle or f"process {pid}: {error}"
                continue
            left -= len(text)
            size = self._device_bytes(holder.pid, text, verdicts)
            areas += [AreaReading(size=size, holder=holder)] if size else []
        survey = EnclavePass(source=EpcSource.MAPS, enclaves={}, guests={}, areas=tuple(areas))
        return replace(survey, unreadable=unreadable, obstacle=obstacle)

    def close(self) -> None:
        """Nothing is kept."""

    def _areas_of(self, pid: int, bound: int) -> tuple[EnclaveHolder, bytes]:
        holder = holder_of(pid, self._proc)
        text = read(self._proc / str(pid) / "maps", bound + 1)
        if len(text) > bound:
            raise ValueError(f"more than {bound} bytes of areas")
        return holder, text

    def _device_bytes(self, pid: int, text: bytes, verdicts: Verdicts) -> int:
        """How much of the device a process maps; most map nothing but files that others map, too, and are through at once."""
        if not any(verdicts.get(file, True) for file in set(_FILE.findall(text))):
            return 0
        return sum(size for file, path, size in _mappings(text) if self._is_device(pid, file, path, verdicts))

    def _is_device(self, pid: int, file: bytes, path: bytes, verdicts: Verdicts) -> bool:
        """Whether the mapped file is the device; what stands at its path must be the same file, by its number.

        Not by its file system's: where layers are laid over one another, a line of maps has that of the layer.
        """
        if file in verdicts:
            return verdicts[file]
        try:
            status = (self._proc / str(pid) / "root" / os.fsdecode(path).lstrip("/")).lstat()
        except (OSError, ValueError):
            return False
        if b"%d" % status.st_ino != file.rpartition(b" ")[2]:
            return False
        number = os.major(status.st_rdev), os.minor(status.st_rdev)
        verdicts[file] = stat.S_ISCHR(status.st_mode) and number in self._devices
        return verdicts[file]


def _mappings(text: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Of each area of a file that may be accessed: which file, at which path, and how large the area is."""
    for start, end, access, file, path in _LINE.findall(text):
        if not access.startswith(_NO_ACCESS):
            yield file, path.replace(_ESCAPED_NEW_LINE, _NEW_LINE), int(end, 16) - int(start, 16)
