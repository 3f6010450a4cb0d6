"""A small disk that can be filled and made read-only."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTES = 4


@contextmanager
def small(folder: Path) -> Iterator[Path]:
    """Where its root is; where nobody may mount one, the test is not run, and says so."""
    folder.mkdir()
    if os.geteuid():
        pytest.skip("needs root: it mounts a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "donjon", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a page is free until the end of the block."""
    others = disk / "others"
    with others.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass
    try:
        yield
    finally:
        others.unlink()


def remount(disk: Path, how: str) -> None:
    """Read-only (`ro`), or not (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)
