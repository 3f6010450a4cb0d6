"""The HTTP server of every program that serves: it lets connections in, and ends them; `connection` says what each may do."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate

from uvicorn.config import Config
from uvicorn.server import ServerState

from donjon.adapters.http.connection import CLIENT_CERTIFICATE, Application, Guarded, Message
from donjon.adapters.http.crowd import ConnectionWorth
from donjon.adapters.http.gate import SECOND, ErrorResponse, Gate, Headers, plain
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.listening import listen, port_of, stop_listening
from donjon.adapters.http.tls import Contexts
from donjon.adapters.http.tlsprotocol import TlsProtocol

__all__ = ["CLIENT_CERTIFICATE", "Application", "GuardedServer", "Message", "plain"]


class GuardedServer:
    """Serves an ASGI application, over TLS where there are contexts, until it is closed."""

    def __init__(
        self,
        application: Application,
        contexts: Contexts | None,
        *,
        host: str,
        port: int,
        limits: Limits,
        error_response: ErrorResponse = plain,
        body: Callable[[str, str], int] | None = None,
        beside: Callable[[Headers], Headers] = lambda _headers: (),
    ) -> None:
        """`body` is asked for the bound of a body by the request's method and path; without it, that of the limits is for all.
        `beside` is asked for the headers that an answer of `error_response` has beside its own, by the request's.
        """
        # uvicorn would believe X-Forwarded-For of neighbours on this machine, and of whom its environment variable names.
        self._config = Config(
            application,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level="error",  # Anybody may say what is no HTTP: that is no line of the log.
            timeout_keep_alive=3600,
            proxy_headers=False,
        )
        self._config.load()
        self._state, self._gate = (
            ServerState(),
            Gate[Guarded](limits, error_response, body or (lambda _method, _path: limits.body), beside),
        )
        self._contexts, self._host, self._port = contexts, host, port
        self._server: asyncio.Server | None = None
        self._dating: asyncio.Task[None] | None = None
        self._leaving = False

    async def start(self) -> int:
        """Listen, and say at which port; raises `Unavailable` DJ052 where the address is taken or not ours."""
        self._server = await listen(self._connection, self._host, self._port)
        self._dating = asyncio.create_task(self._date())
        return port_of(self._server)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._gate.crowd)

    @property
    def listening(self) -> bool:
        """Whether clients can connect, or could until it was closed."""
        return self._server is not None

    def leave(self) -> None:
        """Ask the clients to go: from now on every answer is the last of its connection."""
        self._leaving = True
        self._set_headers()

    def renew(self) -> None:
        """End every connection with the answer that is being made, if any: by whom they were let in is not trusted any more."""
        for peer in tuple(self._gate.crowd):
            peer.shutdown()

    async def close(self, patience: float) -> None:
        """Stop listening, cut off who asks nothing, and wait that many seconds for who is being answered.

        Where the clients were asked to go, who has asked nothing yet is waited for, too: a first request may be on its way.
        """
        if self._server is None or self._dating is None:
            return
        await stop_listening(self._server, self._connection)
        self._dating.cancel()
        for peer in self._gate.crowd:
            if not (self._leaving and peer.worth is ConnectionWorth.NEW):
                peer.shutdown()
        self.leave()
        if not len(self._gate.crowd):
            self._gate.empty.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._gate.empty.wait()
        for task in tuple(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, self._dating, return_exceptions=True)
        for peer in self._gate.crowd:
            peer.cut_off()

    def _connection(self) -> asyncio.BaseProtocol:
        above = Guarded(self._gate, self._config, self._state)
        if self._contexts is None:
            return above
        return TlsProtocol(above, self._contexts(), self._gate.limits, self._gate.buffer, arrive=above.arrive, leave=above.leave)

    async def _date(self) -> None:
        while True:
            self._set_headers()
            await asyncio.sleep(SECOND)

    def _set_headers(self) -> None:
        """Date, which an origin server with a clock sends (RFC 9110, 6.6.1), and what ends a connection."""
        date = (b"date", formatdate(usegmt=True).encode())
        self._state.default_headers[:] = [date, (b"connection", b"close")] if self._leaving else [date]
