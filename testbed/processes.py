"""Daemons: started apart from their parent, recorded by process id and start time, stopped only when they are truly ours.

Three marks make a process ours, so that a killed run can be cleaned up too: the record, the variable in its environment, and,
for what runs in containers, the cgroup it is in. Nothing is ever stopped by its name.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import clock
from testbed.commands import SEARCH_PATH
from testbed.layout import CGROUP, MARK, RUN
from testbed.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from testbed.layout import Layout

RECORDS = RUN / "processes"
_LAUNCH = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
"""The shell leaves at once, so the daemon's parent is init and nobody of us must wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, told from a later one with the same number by its start time (in clock ticks since boot)."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs; a dead process that nobody has reaped yet does not."""
        return _stat(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is still the same process."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(layout: Layout, name: str, command: Sequence[str | Path], *, enter: Sequence[str | Path] = ()) -> None:
    """Start a daemon under that name, unless it already runs."""
    if running(name):
        return
    layout.logs.mkdir(parents=True, exist_ok=True)
    log = layout.logs / f"{name}.log"
    environment = {"PATH": f"{layout.bin}:{SEARCH_PATH}", "HOME": "/root", MARK: str(layout.checkout)}
    arguments = [str(argument) for argument in (*enter, *command)]
    printed = subprocess.run(
        ["/bin/sh", "-c", _LAUNCH, "sh", str(log), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    pid = int(printed.stdout)
    started = _stat(pid)
    if started is None:
        raise Trouble(
            f"{name} ended as soon as it was started", why="see its log", do="mend what it says, then try again", log=log
        )
    RECORDS.mkdir(parents=True, exist_ok=True)
    _record(name).write_text(json.dumps(asdict(Process(pid=pid, started=started))))


def running(name: str) -> bool:
    """Whether the daemon of that name runs."""
    process = recorded(name)
    return process is not None and process.alive()


def recorded(name: str) -> Process | None:
    """The process that was started under that name, alive or not."""
    try:
        return Process(**json.loads(_record(name).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def kill(name: str, *, number: signal.Signals = signal.SIGKILL, seconds: float = 20) -> None:
    """End the daemon of that name and wait until it is gone."""
    process = recorded(name)
    if process is not None:
        end([process], number=number, seconds=seconds)
    _record(name).unlink(missing_ok=True)


def end(processes: Iterable[Process], *, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
    """Ask processes to end, wait, and kill those that did not within the time."""
    pending = list(processes)
    for process in pending:
        process.signal(number)
    if clock.wait_until(lambda: not any(process.alive() for process in pending), seconds=seconds, every=0.05):
        return
    for process in pending:
        process.signal(signal.SIGKILL)
    clock.wait_until(lambda: not any(process.alive() for process in pending), seconds=10, every=0.05)


def ours() -> dict[Process, str]:
    """Every process of a testbed on this machine with what it is: the marked ones, and those in the cgroups of its pods."""
    found: dict[Process, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or folder.name == str(os.getpid()):
            continue
        with suppress(OSError):
            started = _stat(int(folder.name))
            if started is not None and (_marked(folder) or _contained(folder)):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found[Process(pid=int(folder.name), started=started)] = words[:120]
    return found


def _marked(folder: Path) -> bool:
    return any(entry.startswith(f"{MARK}=".encode()) for entry in (folder / "environ").read_bytes().split(b"\0"))


def _contained(folder: Path) -> bool:
    return any(
        line.split(":", 2)[2].startswith((f"/{CGROUP}/", f"/../{CGROUP}/"))
        for line in (folder / "cgroup").read_text().splitlines()
        if line.count(":") >= 2
    )


def _record(name: str) -> Path:
    return RECORDS / f"{name}.json"


def _stat(pid: int) -> int | None:
    """The start time of a living process; none for a dead one and for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
