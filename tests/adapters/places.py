"""Folders with short names: a Unix socket's whole path has 107 bytes, and those of pytest's own folders can be longer."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dj", dir="/tmp") as name:
        yield Path(name)
