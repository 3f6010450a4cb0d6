"""A serving certificate in a folder, which another program renews, and the authorities of clients in a file."""

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from donjon.adapters import files
from donjon.adapters.http.tls import Clients, context
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.pki.intel import Window
from donjon.pki.serving import window_of

MAX_FILE = 1 << 20  # bytes

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAuthorities:
    """The file, in PEM, with the authorities of client certificates, and whether nobody is let in without one."""

    path: Path
    required: bool


def pair(folder: Path) -> tuple[Path, Path]:
    """Where a folder has the certificate's chain and its key."""
    return folder / "tls.crt", folder / "tls.key"


def contents(paths: Iterable[Path]) -> list[bytes]:
    """What these files hold; raises `Unavailable` DJ146."""
    try:
        return [files.read(path, MAX_FILE) for path in paths]
    except OSError as error:
        raise Unavailable("DJ146", f"{error.filename}: {error.strerror}") from error


class FolderContexts:
    """The context for the next connection: of tls.crt and tls.key as they are, or as they were while they do not fit together."""

    def __init__(
        self, folder: Path, tell: Callable[[DonjonError | None], None], clients: ClientAuthorities | None = None
    ) -> None:
        """Raises `Malformed` DJ146 and DJ555, `Unavailable` DJ146; `tell` is told of later trouble, and `None` of new files."""
        self._clients, self._tell = clients, tell
        self._paths = (*pair(folder), *(() if clients is None else (clients.path,)))
        self._last_stamp: _Stamp | None = self._stamp()
        self._context, self._window = self._load()
        self._fault: DonjonError | None = None

    @property
    def window(self) -> Window:
        """From when until when the certificate is good that the next connection is shown."""
        self()
        return self._window

    def __call__(self) -> ssl.SSLContext:
        """Looks whether the files have changed, which costs a call of the system for each."""
        try:
            stamp = self._stamp()
        except DonjonError as error:
            self._keep(None, error)
            return self._context
        if stamp != self._last_stamp:
            try:
                self._context, self._window = self._load()
            except DonjonError as error:
                self._keep(stamp, error)
            else:
                self._keep(stamp, None)
        return self._context

    @property
    def fault(self) -> DonjonError | None:
        """Why the files as they are now are not taken; nothing where they are in use."""
        self()
        return self._fault

    def _keep(self, stamp: _Stamp | None, fault: DonjonError | None) -> None:
        """Tell what is new: other files, or another fault than the last."""
        before, self._fault, self._last_stamp = self._fault, fault, stamp
        if fault is None or str(fault) != str(before):
            self._tell(fault)

    def _stamp(self) -> _Stamp:
        try:
            stats = [path.stat() for path in self._paths]
        except OSError as error:
            raise Unavailable("DJ146", f"{error.filename}: {error.strerror}") from error
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in stats)

    def _load(self) -> tuple[ssl.SSLContext, Window]:
        certificate, key, *authorities = contents(self._paths)
        clients = None if self._clients is None else Clients(authorities=authorities[0], required=self._clients.required)
        try:
            return context(certificate, key, clients), window_of(certificate)
        except Malformed as error:
            raise Malformed(error.code, f"{', '.join(map(str, self._paths))}: {error.message}") from error
