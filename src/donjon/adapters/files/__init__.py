"""Files that settings name, those of folders that they name, and a host's: regular ones, up to a bound, and nothing that waits.

A folder of keys or certificates is often written by others. A pipe in it, opened as a file, waits for a writer who never comes; a
device may never end, or do something because somebody looks at it. What they name may be a link, as in a mounted Secret.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read(path: Path, bound: int) -> bytes:
    """The first bytes of the file, as many as the bound; raises `OSError` with its name, also for what is no regular file."""
    with open_regular(path) as file:
        return file.read(bound)


def open_regular(path: Path) -> BinaryIO:
    """The file, to be read and closed; raises `OSError` as `read` does."""
    _check(path, path.stat().st_mode)  # Before it is opened, for that alone may do something.
    file = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        _check(path, os.fstat(file.fileno()).st_mode)  # It may be another one since.
    except OSError:
        file.close()
        raise
    return file


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"{kind}, expected a regular file", str(path))


def write_whole(path: Path, content: bytes, mode: int, *, replace: bool) -> None:
    """Make the file, all of it at once; raises `OSError`: `FileExistsError` where there is one that is not to be replaced."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if replace:
            part.replace(path)
        else:
            _put(part, path)
    finally:
        part.unlink(missing_ok=True)


def _put(part: Path, path: Path) -> None:
    """Name a file, and none that is there already, whoever made that one in between."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # A file system without hard links.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        part.replace(path)
