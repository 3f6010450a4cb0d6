"""The kubelet's plugin folder: which sockets stand in it, and whether they answer."""

import socket
import stat
from pathlib import Path

from donjon.errors import Unavailable
from donjon.node.plugin import SocketIdentity


def identity(path: Path) -> SocketIdentity | None:
    """The identity of the socket at a path, `None` where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_ctime_ns) if stat.S_ISSOCK(status.st_mode) else None


def is_deleted(folder: Path) -> bool:
    """Whether the folder was deleted under us: a mount keeps the old one, which nobody else sees any more.

    Raises `Unavailable` DJ031 where there is no folder to look at.
    """
    try:
        return folder.stat().st_nlink == 0
    except OSError as error:
        raise Unavailable("DJ031", f"plugin folder {folder}: {error.strerror or error}") from error


def answers(path: Path) -> bool:
    """Whether somebody listens at the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(0.2)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True
