"""Rings of keys that sign tokens, in a store that operators and other replicas write.

Read again now and then. What cannot be read or does not fit is told, and the last good ring stays in use.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from donjon.adapters.keys import signing
from donjon.attestation import ring
from donjon.attestation.ring import MAX_KEYS, Dated
from donjon.attestation.token import Signer
from donjon.errors import DonjonError, Misconfigured, Unavailable

SUFFIX = ".pem"

Tell = Callable[[DonjonError | None], None]
_Stamp = tuple[tuple[str, int, int, int], ...]


class Source(Protocol):
    """Where keys are kept."""

    def __str__(self) -> str:
        """Its name, for people."""

    async def read(self) -> tuple[Dated, ...] | None:
        """All keys; `None` where none has changed. Raises `Unavailable` DJ542, `Misconfigured` DJ437 or DJ540."""


class Ring:
    """The keys of one authority: `opened` makes one."""

    def __init__(self, source: Source, keys: tuple[Dated, ...], moment: Callable[[], datetime], tell: Tell) -> None:
        self._source, self._keys, self._moment, self._tell = source, keys, moment, tell

    def signer(self) -> Signer:
        """Who signs now; raises `Unavailable` DJ541."""
        return ring.current(self._keys, self._moment()).signer

    def published(self) -> tuple[Signer, ...]:
        """The keys that relying parties are told: that which signs, the next, and earlier ones until their tokens have ended."""
        return tuple(each.signer for each in ring.published(self._keys, self._moment()))

    async def look(self) -> None:
        """Take what has changed; what is wrong is told, and changes nothing. `None` is told of new keys."""
        try:
            found = await self._source.read()
        except DonjonError as error:
            self._tell(error)
            return
        if found is not None:
            self._keys = found
            self._tell(None)


async def opened(source: Source, moment: Callable[[], datetime], tell: Tell) -> Ring:
    """A ring that can sign; raises what `Source.read` raises, and `Unavailable` DJ541."""
    made = Ring(source, await source.read() or (), moment, tell)
    made.signer()
    return made


class Folder:
    """Keys in files NAME.pem, each a private key and its certificate: a folder, or a Secret mounted as one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Stamp | None = None

    def __str__(self) -> str:
        return str(self._path)

    async def read(self) -> tuple[Dated, ...] | None:
        """All keys, where names, sizes or times of files have changed."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> tuple[Dated, ...] | None:
        try:
            found = {path.name: path for path in self._path.iterdir() if _counts(path.name)}
            stamp = tuple(sorted((name, *_stamp(path)) for name, path in found.items()))
            if stamp == self._seen:
                return None
            check_number(len(found), str(self))
            keys = parsed({name: _content(path) for name, path in found.items()}, str(self))
        except OSError as error:
            raise Unavailable("DJ542", f"signing keys: {error.filename}: {error.strerror}") from error
        self._seen = stamp
        return keys


def parsed(files: Mapping[str, bytes], where: str) -> tuple[Dated, ...]:
    """The keys of those files; raises `Misconfigured` DJ437 or DJ540 that names the file."""
    check_number(len(files), where)
    keys = []
    for name, text in sorted(files.items()):
        try:
            keys.append(signing.dated(name, text))
        except DonjonError as error:
            raise Misconfigured(error.code, f"{where}: {name}: {error.message}") from error
    check_names(keys, where)
    return tuple(keys)


def check_number(number: int, where: str) -> None:
    """Raises `Misconfigured` DJ540 where there are no keys or too many."""
    if not 1 <= number <= MAX_KEYS:
        raise Misconfigured("DJ540", f"{where}: {number} signing keys, expected 1 to {MAX_KEYS}")


def check_names(keys: list[Dated], where: str) -> None:
    """Raises `Misconfigured` DJ540 where a key is there twice."""
    seen: dict[str, str] = {}
    for each in keys:
        if (other := seen.setdefault(each.signer.kid, each.name)) != each.name:
            raise Misconfigured("DJ540", f"{where}: {each.name} and {other} are the same key")


def _counts(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(signing.MAX_PEM + 1)
