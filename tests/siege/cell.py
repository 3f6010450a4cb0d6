"""A cgroup with the memory limit that the chart gives the attestation service: what a pod has in a cluster, and no more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from testbed import cgroups, clock

from donjon.kube.quantities import parse

CHART = Path(__file__).resolve().parents[2] / "deploy" / "chart" / "values.yaml"
NAME = "donjon-siege"
PRIORITY = -10  # of what runs in it and of who measures it, as nice(1) has it

_EMPTY = 10.0  # seconds in which a process that was ended has left


def limit() -> int:
    """Bytes: `attestation.resources.limits.memory` of the chart."""
    values = YAML(typ="safe").load(CHART)
    return int(parse(values["attestation"]["resources"]["limits"]["memory"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The memory controller's folder of one cgroup, in either version of cgroups."""

    folder: Path
    unified: bool

    def bound(self, size: int) -> None:
        """No more than so many bytes from now on, swap included where there is any."""
        if self.unified:
            self._write("memory.max", str(size))
            self._write("memory.swap.max", "0")
        else:
            self._write("memory.limit_in_bytes", str(size))

    def entering(self, *command: str) -> tuple[str, ...]:
        """The command, run within it, before all others for the processor: in a cluster, clients have machines of their own."""
        return (
            "nice",
            "-n",
            str(PRIORITY),
            "sh",
            "-c",
            'echo $$ > "$0" && exec "$@"',
            str(self.folder / "cgroup.procs"),
            *command,
        )

    def kills(self) -> int:
        """How many processes were ended here for want of memory (memory.events of version 2, memory.oom_control of version 1)."""
        lines = (self.folder / ("memory.events" if self.unified else "memory.oom_control")).read_text("ascii").splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    def peak(self) -> int:
        """The most bytes that it ever held."""
        return int((self.folder / ("memory.peak" if self.unified else "memory.max_usage_in_bytes")).read_text("ascii"))

    def remove(self) -> None:
        """It is empty, or soon will be."""
        assert clock.wait_until(lambda: not (self.folder / "cgroup.procs").read_text("ascii"), seconds=_EMPTY)
        self.folder.rmdir()

    def _write(self, name: str, text: str) -> None:
        if (self.folder / name).exists():
            (self.folder / name).write_text(text, encoding="ascii")


@contextmanager
def opened(name: str, size: int) -> Iterator[Cell]:
    """A new cgroup of that many bytes until the end of the block, this process's own; the caller is root."""
    root, unified = _controller()
    cell = Cell(folder=root / f"{NAME}-{os.getpid()}-{name}", unified=unified)
    cell.folder.mkdir(exist_ok=True)
    cell.bound(size)
    try:
        yield cell
    finally:
        cell.remove()


def _controller() -> tuple[Path, bool]:
    """The hierarchy that bounds memory on this machine, and whether it is version 2."""
    for root, kind in cgroups.hierarchies().items():
        if kind == "cgroup" and (root / "memory.limit_in_bytes").exists():
            return root, False
        if kind == "cgroup2" and "memory" in (root / "cgroup.controllers").read_text("ascii").split():
            _hand_down(root)
            return root, True
    raise AssertionError("no cgroup hierarchy of this machine bounds memory")


def _hand_down(root: Path) -> None:
    control = root / "cgroup.subtree_control"
    if "memory" not in control.read_text("ascii").split():
        control.write_text("+memory", encoding="ascii")
