"""A node that stands in for one with SGX: a real root file system, and the device nodes, CPUID and /sys of a stand-in."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from testbed import clock
from testbed.trouble import Lacking
from tests.cli.calling import call
from tests.debian.root import NAMESPACES

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInNode:
    """Its process, which holds it, and where its root is in that one's mounts."""

    holder: int
    inside: str

    @property
    def root(self) -> Path:
        """Its root, as this process sees it."""
        return Path(f"/proc/{self.holder}/root{self.inside}")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command that ran in it to its end."""
        enter = ("nsenter", f"--mount=/proc/{self.holder}/ns/mnt", *NAMESPACES, str(HERE / "within"), self.inside)
        return subprocess.run(
            (*enter, *command), capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
        )

    def write(self, path: str, text: str) -> None:
        """A file of it."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        """What stands in a file of it."""
        return (self.root / path.lstrip("/")).read_text(encoding="utf-8")

    def doctor(self) -> dict[str, Any]:
        """What donjon doctor says of it."""
        document: dict[str, Any] = json.loads(call("doctor", "--host-root", self.root, "--output", "json").stdout)
        return document

    def findings(self) -> set[str]:
        """The codes of doctor's findings."""
        return {each["code"] for each in self.doctor()["findings"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class BootedNode:
    """The first process of a node whose systemd runs."""

    first: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command that ran there to its end."""
        enter = ("nsenter", f"--target={self.first}", *_SPACES, "--root", "env", "-i", "--chdir=/root", *_ENVIRONMENT)
        return subprocess.run(
            (*enter, *command), capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
        )

    def process_of(self, service: str) -> int:
        """The number of its process, 0 where none runs."""
        return int(self.run("systemctl", "show", "--property=MainPID", "--value", service).stdout)


_SPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "ANSIBLE_NOCOLOR=1",
)
_BOOTS = 30  # seconds


@contextmanager
def booted(node: StandInNode, folder: Path) -> Iterator[BootedNode]:
    """The node with its systemd; what that leaves of cgroups is taken away. `Lacking` where this machine lets none be."""
    (groups := folder / "cgroups").mkdir()
    command = ("nsenter", f"--mount=/proc/{node.holder}/ns/mnt", str(HERE / "boot"), node.inside, str(groups))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _await(process)
        finally:
            process.kill()
            process.wait()
            _remove(Path(f"/proc/{node.holder}/root{groups}"))


def _await(process: "subprocess.Popen[str]") -> BootedNode:
    def child() -> BootedNode | None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        nodes = (BootedNode(first=int(each)) for each in children)
        return next((each for each in nodes if "running" in each.run("systemctl", "is-system-running").stdout), None)

    assert clock.wait_until(lambda: process.poll() is not None or child() is not None, seconds=_BOOTS), "it did not boot"
    node = child() if process.poll() is None else None
    if node is None:
        why = process.stderr.read() if process.stderr else ""
        raise Lacking(
            "no systemd can be started in a root file system", why=why.strip(), do="run as root, where cgroups can be made"
        )
    return node


def _remove(groups: Path) -> None:
    """Innermost first; a process that was killed is in its cgroup for a moment more."""
    folders = sorted((each for each in groups.glob("donjon-node-*/**") if each.is_dir()), key=lambda each: -len(each.parts))

    for folder in folders:
        clock.wait_until(partial(_gone, folder), seconds=5)


def _gone(folder: Path) -> bool:
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


@contextmanager
def held(root: Path, folder: Path) -> Iterator[StandInNode]:
    """A node with that root file system; the file system itself stays as it is."""
    command = (*NAMESPACES, str(HERE / "hold"), str(root), str(folder))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "held\n", process.stderr.read()
            (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
            yield StandInNode(holder=int(child), inside=f"{folder}/inside")
        finally:
            process.kill()
