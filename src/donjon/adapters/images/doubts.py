"""Headers of tar archives that two libraries read in two ways.

Each rule says what Go's `archive/tar` makes of it, by which container runtimes unpack; CPython's `tarfile` does otherwise.
"""

from collections.abc import Callable, Iterator, Mapping
from tarfile import (
    AREGTYPE,
    BLOCKSIZE,
    GNUTYPE_LONGLINK,
    GNUTYPE_LONGNAME,
    XGLTYPE,
    XHDTYPE,
    TarInfo,
)

_EXTENSIONS = {XHDTYPE, XGLTYPE, GNUTYPE_LONGNAME, GNUTYPE_LONGLINK}
_DECISIVE = ("path", "linkpath", "size")
_POSIX = b"ustar\x0000"
_MAGIC, _PREFIX, _STAR_PREFIX, _STAR = slice(257, 265), slice(345, 500), slice(476, 500), slice(508, 512)
_MAX_GLOBAL = 1 << 16  # bytes


def doubt(headers: bytes, member: TarInfo, common: Mapping[str, str]) -> str:
    """Why an entry means two things, by all of its headers and what is common to all entries; empty where it does not."""
    kinds, last = _chain(headers)
    return next((reason for rule in _RULES for reason in rule(kinds, last, member, common)), "")


def _chain(headers: bytes) -> tuple[list[bytes], bytes]:
    """The kinds of the extensions before an entry's own header, and that."""
    kinds: list[bytes] = []
    block = headers[:BLOCKSIZE]
    place = 0
    while (kind := block[156:157]) in _EXTENSIONS:
        size = TarInfo.frombuf(block, "utf-8", "surrogateescape").size
        place += BLOCKSIZE + -(-size // BLOCKSIZE) * BLOCKSIZE
        kinds.append(kind)
        block = headers[place : place + BLOCKSIZE]
    return kinds, block


_Rule = Callable[[list[bytes], bytes, TarInfo, Mapping[str, str]], Iterator[str]]


def _global(_kinds: list[bytes], _last: bytes, _member: TarInfo, common: Mapping[str, str]) -> Iterator[str]:
    """Go leaves out what is said of all entries."""
    if any(name in common for name in _DECISIVE) or any(name.startswith("GNU.sparse") for name in common):
        yield "a path or size is said of all entries at once"
    if sum(map(len, common)) + sum(map(len, common.values())) > _MAX_GLOBAL:
        yield "too much is said of all entries at once"


def _extended(kinds: list[bytes], _last: bytes, member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go takes the last of two extensions, GNU's before POSIX', and the header where an extension is empty."""
    own = [kind for kind in kinds if kind != XGLTYPE]
    if len(set(own)) != len(own) or (XHDTYPE in own and len(own) > 1):
        yield "its path is extended twice"
    if any(member.pax_headers.get(name) == "" for name in _DECISIVE):
        yield "its path or size is empty"
    if own and member.type == AREGTYPE:
        yield "it is of the oldest kind, and extended"


def _prefix(_kinds: list[bytes], last: bytes, _member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go takes a prefix of POSIX' headers alone, and of star's a shorter one."""
    if last[_MAGIC] != _POSIX and last[_PREFIX].strip(b"\0"):
        yield "its path has a prefix that its format has not"
    if last[_STAR] == b"tar\0" and last[_STAR_PREFIX].strip(b"\0"):
        yield "its path has a prefix that its format has not"


def _sparse(_kinds: list[bytes], _last: bytes, member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go fills the holes, and a runtime refuses some."""
    if member.issparse() or any(name.startswith("GNU.sparse") for name in member.pax_headers):
        yield "it is sparse"
    if member.size < 0 or "\0" in member.name + member.linkname:
        yield "its size or path is none"


_RULES: tuple[_Rule, ...] = (_global, _extended, _prefix, _sparse)
