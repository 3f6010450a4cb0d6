"""The mounts of this process's mount namespace, read from the kernel, and their removal."""

from __future__ import annotations

from pathlib import Path

from testbed.commands import attempt
from testbed.layout import RUN


def under(*folders: Path) -> list[Path]:
    """The mount points in these folders, the innermost first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if any(point.is_relative_to(folder) for folder in folders):
            points.append(point)
    return points[::-1]


def unmount(*folders: Path) -> None:
    """Take away every mount in these folders; a busy one is detached, and its users end with their processes."""
    for point in under(*folders):
        attempt("umount", "--lazy", point)


def keep_namespaces() -> None:
    """Make the folder in which namespaces are kept: a private mount, as the kernel keeps no mount namespace in a shared one."""
    folder = RUN / "namespaces"
    folder.mkdir(parents=True, exist_ok=True)
    if not under(folder):
        attempt("mount", "--bind", folder, folder)
        attempt("mount", "--make-private", folder)
