"""A serving certificate in a folder, which another program renews."""

import ssl
from collections.abc import Callable
from pathlib import Path

from donjon.adapters.http.tls import context
from donjon.errors import DonjonError, Unavailable

_Stamp = tuple[tuple[int, int, int], ...]


class FolderContexts:
    """The context for the next connection: of tls.crt and tls.key as they are, or as they were while they do not fit together."""

    def __init__(self, folder: Path, tell: Callable[[DonjonError | None], None]) -> None:
        """Raises `Malformed` and `Unavailable` DJ146; `tell` is told of later trouble, and of `None` when new files are taken."""
        self._paths, self._tell = (folder / "tls.crt", folder / "tls.key"), tell
        self._seen = self._stamp()
        self._context = self._made()

    def __call__(self) -> ssl.SSLContext:
        """Looks whether the files have changed, which costs two calls of the system."""
        try:
            if (stamp := self._stamp()) != self._seen:
                self._seen = stamp
                self._context = self._made()
                self._tell(None)
        except DonjonError as error:
            self._tell(error)
        return self._context

    def _stamp(self) -> _Stamp:
        try:
            found = [path.stat() for path in self._paths]
        except OSError as error:
            raise Unavailable("DJ146", f"{error.filename}: {error.strerror}") from error
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)

    def _made(self) -> ssl.SSLContext:
        try:
            certificate, key = (path.read_bytes() for path in self._paths)
        except OSError as error:
            raise Unavailable("DJ146", f"{error.filename}: {error.strerror}") from error
        return context(certificate, key)
