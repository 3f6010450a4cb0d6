"""Why SQLite cannot use the file of a database, and what to do: its own words name neither file nor user."""

import os
import sqlite3
import stat
from pathlib import Path

_PRIMARY = 0xFF  # the part of an extended code that says which result it is (sqlite.org/rescode.html)
_OF_THE_PLACE = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
)

_OF_WRITING = _OF_THE_PLACE - {sqlite3.SQLITE_IOERR}
_COPY = "copy it to a folder that you may write, with its -wal file where there is one, and name the copy"


def reason(file: Path, error: sqlite3.Error, *, for_reading: bool = False) -> str:
    """The file, SQLite's words, and what stands against it at its place, where something does.

    Who wants it `for_reading` alone is told to make a copy: SQLite writes beside a file that it reads.
    """
    words = " ".join(str(error).split())
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
    cause = obstacle(file, full=code == sqlite3.SQLITE_FULL) if code in _OF_THE_PLACE else ""
    if for_reading and code in _OF_WRITING:
        cause = f"{cause.partition(';')[0] or 'its place is not to be written'}; {_COPY}"
    return f"{file}: {words}{cause and ': '}{cause}"


def obstacle(file: Path, *, full: bool = False) -> str:
    """What stands against a database there, and what to do; nothing where nothing is seen. `full`: SQLite says that it is."""
    folder = file.parent
    try:
        status = folder.stat()
    except PermissionError:
        return f"{_we()} may not pass through the folders above {folder}; let us (chmod o+x), or take another place"
    except FileNotFoundError:
        return f"there is no folder {folder}; make it, or mount the volume there"
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is no folder; expected the path of a file in a folder"
    volume = os.statvfs(folder)
    if volume.f_flag & os.ST_RDONLY:
        return f"the file system of {folder} is read-only; mount it for writing"
    if full or volume.f_bavail == 0:
        return f"the file system of {folder} is full; make room, or take a larger volume"
    if lack := _of_rights(folder, "folder", os.W_OK | os.X_OK):
        return lack
    if file.is_dir():
        return f"this is a folder; expected a file in it: sqlite:///{file}/attestation.db"
    return _of_rights(file, "file", os.R_OK | os.W_OK) if file.exists() else ""


def _of_rights(path: Path, kind: str, rights: int) -> str:
    if os.access(path, rights, effective_ids=True):
        return ""
    status = path.stat()
    return (
        f"{_we()} may not write the {kind} {path}, which belongs to uid {status.st_uid}, gid {status.st_gid}, "
        f"mode {stat.S_IMODE(status.st_mode):04o}; chown it to us, or in a pod set fsGroup (volumes of hostPath and NFS do not "
        "heed it: chown there)"
    )


def _we() -> str:
    return f"uid {os.geteuid()}, gid {os.getegid()}"
