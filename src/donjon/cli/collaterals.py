"""Collateral from where a person says: a bundle, or a folder of files as Intel's service answered."""

from pathlib import Path

from donjon.collateral import received
from donjon.collateral.received import FILES, MAX_BUNDLE, Collateral
from donjon.errors import Unavailable


def read(path: Path) -> Collateral:
    """The collateral there; raises `Unavailable` DJ281 where it cannot be read, and `Malformed` for what is none."""
    try:
        if path.is_dir():
            return received.of_files({each.stem: _bounded(each) for each in sorted(path.iterdir()) if _wanted(each)})
        return received.parse(_bounded(path))
    except OSError as error:
        raise Unavailable("DJ281", f"collateral {path}: {error.strerror or error}") from error


def _wanted(file: Path) -> bool:
    return file.stem in {*FILES, received.PCK_CHAIN}


def _bounded(file: Path) -> bytes:
    """One byte more than is taken, so that a reader of it says that it is too long."""
    with file.open("rb") as stream:
        return stream.read(MAX_BUNDLE + 1)
