"""Headers of tar archives that two libraries read in two ways.

Each rule says what Go's `archive/tar` makes of it, by which container runtimes unpack; CPython's `tarfile` does otherwise.
"""

from collections.abc import Callable, Iterator, Mapping
from tarfile import (
    AREGTYPE,
    BLOCKSIZE,
    DIRTYPE,
    GNUTYPE_LONGLINK,
    GNUTYPE_LONGNAME,
    XGLTYPE,
    XHDTYPE,
    TarInfo,
)
from typing import NamedTuple

_EXTENSIONS = {XHDTYPE, XGLTYPE, GNUTYPE_LONGNAME, GNUTYPE_LONGLINK}
_DECISIVE = ("path", "linkpath", "size")
_OVERLAY = ("SCHILY.xattr.trusted.overlay.", "SCHILY.xattr.user.overlay.")
_POSIX = b"ustar\x0000"
_MAGIC, _PREFIX, _STAR_PREFIX, _STAR = slice(257, 265), slice(345, 500), slice(476, 500), slice(508, 512)
_MAX_GLOBAL = 1 << 16  # bytes


class _Headers(NamedTuple):
    """All headers of one entry."""

    extensions: list[bytes]  # their kinds
    padding: bytes  # what stands behind their contents, up to the block's end
    last: bytes  # the entry's own


def doubt(headers: bytes, member: TarInfo, common: Mapping[str, str]) -> str:
    """Why an entry means two things, by all of its headers and what is common to all entries; empty where it does not."""
    parts = _split(headers)
    return next((reason for rule in _RULES for reason in rule(parts, member, common)), "")


def _split(headers: bytes) -> _Headers:
    extensions: list[bytes] = []
    padding, place = b"", 0
    while (kind := headers[place + 156 : place + 157]) in _EXTENSIONS:
        size = TarInfo.frombuf(headers[place : place + BLOCKSIZE], "utf-8", "surrogateescape").size
        extensions.append(kind)
        end = place + BLOCKSIZE + size
        place += BLOCKSIZE + -(-size // BLOCKSIZE) * BLOCKSIZE
        padding += headers[end:place]
    return _Headers(extensions, padding, headers[place : place + BLOCKSIZE])


_Rule = Callable[[_Headers, TarInfo, Mapping[str, str]], Iterator[str]]


def _global(_headers: _Headers, _member: TarInfo, common: Mapping[str, str]) -> Iterator[str]:
    """Go leaves out what is said of all entries."""
    if any(name in common for name in _DECISIVE) or any(name.startswith("GNU.sparse") for name in common):
        yield "a path or size is said of all entries at once"
    if sum(map(len, common)) + sum(map(len, common.values())) > _MAX_GLOBAL:
        yield "too much is said of all entries at once"


def _extended(headers: _Headers, member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go takes the last of two extensions, GNU's before POSIX', and the header where an extension is empty."""
    own = [kind for kind in headers.extensions if kind != XGLTYPE]
    if len(set(own)) != len(own) or (XHDTYPE in own and len(own) > 1):
        yield "its path is extended twice"
    is_empty = not member.name or (GNUTYPE_LONGLINK in own and not member.linkname)
    if (own and is_empty) or any(member.pax_headers.get(name) == "" for name in _DECISIVE):
        yield "its path or size is empty"
    if own and member.type == AREGTYPE:
        yield "it is of the oldest kind, and extended"


def _padding(headers: _Headers, _member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go reads an extension to its end alone, the other one to the end of its block."""
    if headers.padding.strip(b"\0"):
        yield "its path goes on behind its end"


def _prefix(headers: _Headers, _member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go takes a prefix of POSIX' headers alone, and of star's a shorter one."""
    last = headers.last
    if last[_MAGIC] != _POSIX and last[_PREFIX].strip(b"\0"):
        yield "its path has a prefix that its format has not"
    if last[_STAR] == b"tar\0" and last[_STAR_PREFIX].strip(b"\0"):
        yield "its path has a prefix that its format has not"


def _kind(headers: _Headers, member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go knows no extension of Solaris', and takes it for an entry."""
    kind = headers.last[156:157]
    if kind != member.type and (kind, member.type) != (AREGTYPE, DIRTYPE):
        yield "its kind is another one by its own header"


def _overlaid(_headers: _Headers, member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Runtimes set attributes by which Linux' overlay file system takes a file's content, or a folder's, from elsewhere."""
    if any(name.startswith(_OVERLAY) for name in member.pax_headers):
        yield "it says how layers are to lie over each other"


def _sparse(_headers: _Headers, member: TarInfo, _common: Mapping[str, str]) -> Iterator[str]:
    """Go fills the holes, and a runtime refuses some."""
    if member.issparse() or any(name.startswith("GNU.sparse") for name in member.pax_headers):
        yield "it is sparse"
    if member.size < 0 or "\0" in member.name + member.linkname or not (member.name or member.isdir()):
        yield "its size or path is none"


_RULES: tuple[_Rule, ...] = (_global, _extended, _padding, _prefix, _kind, _overlaid, _sparse)
