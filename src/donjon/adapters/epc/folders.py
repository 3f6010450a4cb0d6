"""Where a cgroup is, by the number that the kernel has for it: the inode of its folder (include/linux/kernfs.h).

A process may be gone before its /proc/PID/cgroup is read, or have another number in the PID namespace of a node that is a
container itself; its cgroup stays, and the kernel said its number with the process.
"""

import os
from collections import deque
from collections.abc import Collection
from pathlib import Path

MAX_FOLDERS = 1 << 14  # that are looked at, the outer ones first: a container may make more within its own

_CGROUPS = "sys/fs/cgroup"
_HYBRID, _MEMORY = f"{_CGROUPS}/unified", f"{_CGROUPS}/memory"
_MARK = "cgroup.controllers"  # a file that v2 alone has; each hierarchy of v1 counts its numbers anew


class CgroupFolders:
    """The cgroups of a host, below where its root is for this process."""

    def __init__(self, host_root: Path) -> None:
        self._host_root = host_root

    def unified(self, numbers: Collection[int]) -> dict[int, str]:
        """The paths of these cgroups of v2; those that are gone, or cannot be seen from here, are not among them."""
        roots = (self._host_root / each for each in (_HYBRID, _CGROUPS))
        root = next((each for each in roots if (each / _MARK).is_file()), None)
        return {} if root is None else _find(root, numbers)

    def memory(self, numbers: Collection[int]) -> dict[int, str]:
        """The same of v1's memory controller."""
        return _find(self._host_root / _MEMORY, numbers)


def _find(root: Path, numbers: Collection[int]) -> dict[int, str]:
    lacking, paths = set(numbers) - {0}, dict[int, str]()
    folders = deque([""])
    for _ in range(MAX_FOLDERS):
        if not (folders and lacking):
            break
        path = folders.popleft()
        for number, name in _below(f"{root}{path}"):
            if number in lacking:
                paths[number] = f"{path}/{name}"
                lacking.discard(number)
            folders.append(f"{path}/{name}")
    return paths


def _below(folder: str) -> list[tuple[int, str]]:
    """The folders in it; none where it is gone."""
    try:
        with os.scandir(folder) as entries:
            return [(entry.inode(), entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
