"""What a process has used, and waiting: what several benchmarks need."""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def text(path: Path) -> str:
    """What a file of /proc says; nothing where it is gone."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def resident(process: int) -> float:
    """Resident memory in MiB."""
    status = text(Path(f"/proc/{process}/status"))
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def processor_time(process: int) -> float:
    """Seconds of processor time so far, user and system (proc(5), stat)."""
    fields = text(Path(f"/proc/{process}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)  # noqa: TID251 - a benchmark waits for others.
