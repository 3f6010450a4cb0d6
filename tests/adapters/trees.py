"""Trees of files that stand in for hosts."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from donjon.errors import Unavailable
from donjon.simulation import host


def written(root: Path, described: host.Host) -> Path:
    """The tree; where device nodes cannot be made, which needs root, the test is skipped and says so."""
    try:
        host.write_host(root, described)
    except Unavailable as error:
        pytest.skip(f"needs root: {error}")
    return root


def written_without_devices(root: Path, described: host.Host) -> Path:
    """The tree of a host with its driver loaded but no device nodes, which takes no root."""
    with suppress(Unavailable):  # The device nodes come last: everything else is there.
        host.write_host(root, described)
    host.remove_devices(root)
    return root


def entry_number(folder: Path) -> int:
    """A folder's number as its parent lists it: on layered file systems another one than `stat` says, on cgroups' the same."""
    with os.scandir(folder.parent) as entries:
        return next(entry.inode() for entry in entries if entry.name == folder.name)
