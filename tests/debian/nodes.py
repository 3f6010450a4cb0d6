"""A node that stands in for one with SGX: a real root file system, and the device nodes, CPUID and /sys of a stand-in."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
