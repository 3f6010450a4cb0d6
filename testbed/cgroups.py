"""The cgroups under which kubelets put pods: made in every hierarchy of the machine, version 1, version 2 or both."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from testbed.layout import CGROUP


def hierarchies() -> dict[Path, str]:
    """Every mounted cgroup hierarchy with its kind, `cgroup` or `cgroup2`."""
    found = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            found[Path(point)] = kind
    return found


def make(cgroup: str) -> None:
    """Make a cgroup in every hierarchy, able to hold processes and, in version 2, with its parent's controllers handed down."""
    for root, kind in hierarchies().items():
        folder = root
        for part in cgroup.strip("/").split("/"):
            if kind == "cgroup2":
                _hand_down(folder)
            folder /= part
            folder.mkdir(exist_ok=True)
            # A version 1 cpuset takes no process before it names processors and memory.
            for name in ("cpuset.cpus", "cpuset.mems"):
                with suppress(FileNotFoundError):
                    if kind == "cgroup" and not (folder / name).read_text().strip():
                        (folder / name).write_text((folder.parent / name).read_text())
        if kind == "cgroup2":
            _hand_down(folder)


def folders() -> list[Path]:
    """Every cgroup of ours that exists, the innermost first."""
    found = []
    for root in hierarchies():
        top = root / CGROUP
        if top.is_dir():
            found += sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
            found.append(top)
    return found


def remove(cgroup: str = CGROUP) -> None:
    """Remove a cgroup with all that is in it, in every hierarchy; one that still holds a process stays."""
    for folder in folders():
        if any(folder.is_relative_to(root / cgroup.strip("/")) for root in hierarchies()):
            with suppress(OSError):
                folder.rmdir()


def _hand_down(folder: Path) -> None:
    with suppress(OSError):
        for controller in (folder / "cgroup.controllers").read_text().split():
            with suppress(OSError):
                (folder / "cgroup.subtree_control").write_text(f"+{controller}")
