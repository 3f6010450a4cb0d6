"""Small files and paths of a host whose root may be mounted elsewhere. Every read has a bound; a bad host raises nothing."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from donjon.adapters.files import read
from donjon.node.readings import DeviceNode, FileKind, Reading

T = TypeVar("T")

MAX_FILE = 1 << 20
_MAX_LINKS = 40  # as Linux follows (path_resolution(7))

_KINDS: tuple[tuple[Callable[[int], bool], FileKind], ...] = (
    (stat.S_ISCHR, FileKind.CHARACTER),
    (stat.S_ISBLK, FileKind.BLOCK),
    (stat.S_ISDIR, FileKind.FOLDER),
    (stat.S_ISLNK, FileKind.LINK),
    (stat.S_ISREG, FileKind.FILE),
    (stat.S_ISSOCK, FileKind.SOCKET),
)


def read_text(path: Path, *, head: int | None = None) -> Reading[str]:
    """The text of a regular file up to 1 MiB, or of its first `head` bytes; or why it could not be read."""
    source = str(path)
    try:
        data = read(path, MAX_FILE + 1 if head is None else head)
    except OSError as error:
        return Reading[str].unknown(f"{source}: {error.strerror or error}", source=source)
    except ValueError:  # What a host says, of which paths are made, may hold a NUL.
        source = source.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return Reading[str].unknown(f"{source}: a NUL in it, which no path has", source=source)
    if len(data) > MAX_FILE:
        return Reading[str].unknown(f"{source}: longer than {MAX_FILE} bytes", source=source)
    return Reading.of(data.decode("utf-8", errors="replace"), source=source)


def stands(path: Path) -> bool:
    """Whether anything stands at a path, links followed; what may not be looked at does: reading it says why not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def look_at(root: Path, path: str) -> DeviceNode:
    """What stands at a path of the host, and, where that is a link, what it leads to."""
    kind, status = _status(full := root / path.lstrip("/"))
    if status is None:
        return DeviceNode(path=path, kind=kind)
    behind, target = FileKind.ABSENT, ""
    if kind is FileKind.LINK:
        try:
            target = os.fsencode(full.readlink()).decode("utf-8", errors="replace")
            behind, status = _end(root, full, status)
        except OSError:
            return DeviceNode(path=path, kind=FileKind.UNREADABLE)
    mode = stat.S_IMODE(status.st_mode)
    return DeviceNode(path=path, kind=kind, uid=status.st_uid, gid=status.st_gid, mode=mode, target=target, behind=behind)


def _status(path: Path) -> tuple[FileKind, os.stat_result | None]:
    """What stands there, links not followed."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return FileKind.ABSENT, None
    except OSError:
        return FileKind.UNREADABLE, None
    return next((kind for test, kind in _KINDS if test(status.st_mode)), FileKind.OTHER), status


def _end(root: Path, link: Path, status: os.stat_result) -> tuple[FileKind, os.stat_result]:
    """What a link leads to on the host, whose root may be mounted elsewhere; a loop leads to a link."""
    kind, last = FileKind.LINK, status
    for _ in range(_MAX_LINKS):
        target = link.readlink()
        link = root / str(target).lstrip("/") if target.is_absolute() else link.parent / target
        kind, link_status = _status(link)
        if link_status is None:
            return kind, last
        last = link_status
        if kind is not FileKind.LINK:
            break
    return kind, last


def first_known(*readings: Callable[[], Reading[T]]) -> Reading[T]:
    """The first reading that is known; where none is, the last one's reason."""
    reading = readings[0]()
    for attempt in readings[1:]:
        if reading.value is not None:
            break
        reading = attempt()
    return reading
