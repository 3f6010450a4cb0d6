"""Signing keys in files NAME.pem, each a private key and its certificate: a folder, or a Secret mounted as one."""

import asyncio
import os
import secrets
from pathlib import Path

from donjon.adapters import files
from donjon.adapters.keys import rings, signing
from donjon.errors import Unavailable
from donjon.signing.ring import DatedKey, Order

SUFFIX = ".pem"

_Stamp = tuple[tuple[str, int, int, int], ...]


class Folder:
    """The store that is a folder: one file NAME.pem a key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_stamp: _Stamp | None = None

    def __str__(self) -> str:
        return str(self._path)

    async def read(self) -> tuple[DatedKey, ...] | None:
        """All keys, where names, sizes or times of files have changed."""
        return await asyncio.to_thread(self._read)

    async def read_all(self) -> tuple[DatedKey, ...]:
        """All keys; none where there is no folder."""
        self._last_stamp = None
        return await self.read() or () if self._path.exists() else ()

    async def make(self, order: Order) -> DatedKey:
        """A new file, which only its owner may read; with the folder, where there is none."""
        return await asyncio.to_thread(self._make, order)

    async def drop(self, name: str) -> None:
        """Delete the file of a key; raises `Unavailable` DJ544."""
        try:
            (self._path / name).unlink()
        except OSError as error:
            raise Unavailable("DJ544", f"signing keys: {error.filename}: {error.strerror}") from error

    def _read(self) -> tuple[DatedKey, ...] | None:
        try:
            paths = {path.name: path for path in self._path.iterdir() if counts(path.name)}
            stamp = tuple(sorted((name, *_stamp(path)) for name, path in paths.items()))
            if stamp == self._last_stamp:
                return None
            rings.check_number(len(paths), str(self))
            keys = rings.parse_files({name: files.read(path, signing.MAX_PEM + 1) for name, path in paths.items()}, str(self))
        except OSError as error:
            raise Unavailable("DJ542", f"signing keys: {error.filename}: {error.strerror}") from error
        self._last_stamp = stamp
        return keys

    def _make(self, order: Order) -> DatedKey:
        name, text = fresh_name(order), signing.fresh_file(order)
        place = self._path / f".{name}"
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            place.rename(self._path / name)  # Whole at once: who reads sees all of it or nothing.
        except OSError as error:
            raise Unavailable("DJ544", f"signing keys: {error.filename}: {error.strerror}") from error
        return signing.parse_key_file(name, text)


def counts(name: str) -> bool:
    """Whether a file of that name is a key."""
    return name.endswith(SUFFIX) and not name.startswith(".")


def fresh_name(order: Order) -> str:
    """A name that tells from when the key signs, and that no other has."""
    return f"{order.begins:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}{SUFFIX}"


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
