"""Another checkout on this machine: the testbed's sources alone, and its commands."""

import shutil
import subprocess
import sys
from pathlib import Path

from testbed.layout import Layout


def copy(layout: Layout, folder: Path) -> Path:
    """Another checkout: the testbed's sources and the part of Donjon that they use."""
    leave = shutil.ignore_patterns("state", "bin", "__pycache__")
    shutil.copytree(layout.folder, folder / "testbed", ignore=leave)
    return folder


def call(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """The end of a command of that checkout's testbed."""
    return subprocess.run([sys.executable, "-m", "testbed", command], cwd=folder, capture_output=True, text=True, check=False)
