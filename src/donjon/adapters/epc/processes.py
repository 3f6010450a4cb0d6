"""What /proc says of a process: when it started, where it stands among the cgroups; and of the kernel's own `ksgxd`.

A number of a process is soon another's, so what is read of one counts only where it still started then (proc_pid_stat(5)).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from donjon.adapters.epc.kernel import PROC
from donjon.adapters.files import read
from donjon.node.enclaves import EnclaveHolder

TICKS = os.sysconf("SC_CLK_TCK")  # a second
NANOSECONDS = 1_000_000_000

RECLAIMER = "ksgxd"
_ZOMBIE = "Z"
_KERNEL_THREAD = 0x0020_0000  # PF_KTHREAD, include/linux/sched.h
_MAX_STAT, _MAX_CGROUP = 4096, 1 << 16


class ProcessStat(NamedTuple):
    """Of /proc/PID/stat, what is needed."""

    command: str
    state: str
    flags: int
    ticks: int  # of processor time
    started: int  # ticks since boot


def pids(proc: Path = PROC) -> Iterator[int]:
    """All processes that are seen from here."""
    with os.scandir(proc) as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdecimal())


def stat_of(pid: int, proc: Path = PROC) -> ProcessStat:
    """When and what it is; raises `OSError` where it is gone, `ValueError` where that is no stat."""
    text = read(proc / str(pid) / "stat", _MAX_STAT).decode("utf-8", errors="replace")
    head, _, rest = text.rpartition(")")  # A command may hold any character, brackets too.
    fields = rest.split()
    try:
        return ProcessStat(head.partition("(")[2], fields[0], int(fields[6]), int(fields[11]) + int(fields[12]), int(fields[19]))
    except IndexError as error:
        raise ValueError(f"{len(fields)} fields") from error


def holder_of(pid: int, proc: Path = PROC) -> EnclaveHolder:
    """The process as one that may hold enclaves; raises `OSError` or `ValueError` where it is gone."""
    stat = stat_of(pid, proc)
    return EnclaveHolder(started=stat.started * NANOSECONDS // TICKS, pid=pid, command=stat.command)


def speaker_of(pid: int, proc: Path = PROC) -> int:
    """A thread that has the process's memory: the first, unless that ended before others. Raises `OSError` or `ValueError`."""
    if stat_of(pid, proc).state != _ZOMBIE:
        return pid
    with os.scandir(proc / str(pid) / "task") as threads:
        return next((int(each.name) for each in threads if each.name != str(pid)), pid)


def cgroups_of(holder: EnclaveHolder, proc: Path = PROC) -> str | None:
    """Its /proc/PID/cgroup; `None` where it is gone, or another has its number by now."""
    try:
        text = read(proc / str(holder.pid) / "cgroup", _MAX_CGROUP).decode("utf-8", errors="replace")
        started = stat_of(holder.pid, proc).started
    except (OSError, ValueError):
        return None
    return text if started == holder.started * TICKS // NANOSECONDS else None


def find_reclaimer(proc: Path = PROC) -> int | None:
    """The number of the kernel's thread that evicts pages; `None` where there is none, or it is not seen from here."""
    for pid in pids(proc):
        with suppress(OSError, ValueError):
            stat = stat_of(pid, proc)
            if stat.command == RECLAIMER and stat.flags & _KERNEL_THREAD:  # Anybody's process may have the name.
                return pid
    return None


def processor_seconds(pid: int, proc: Path = PROC) -> float | None:
    """The processor time of a process since it started; `None` where it is gone."""
    try:
        return stat_of(pid, proc).ticks / TICKS
    except (OSError, ValueError):
        return None
