"""The public HTTP server: uvicorn's protocol over httptools, with what it leaves open closed here.

uvicorn gives a client any time for its head and its body, bounds neither, and waits for ever for a client that does not read.
Anyone may connect, so whatever a client can do slowly has its time, whatever it can make large has its size, and when too many
are connected the oldest that is not being answered gives way.

uvicorn tells the application nothing of a client's certificate either: here it stands in the scope, where no header can put one.
Trailers, which it would put among the headers, are read over.
"""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from donjon.adapters.http import Answer
from donjon.adapters.http.tls import Contexts
from donjon.errors import Unavailable

Message = MutableMapping[str, Any]
Application = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
"""An ASGI application, version 3."""

CLIENT_CERTIFICATE = "donjon.client_certificate"
"""The extension of a request's scope with the certificate, in DER, whose key the client has shown in the handshake."""

_BAD, _TOO_SLOW, _TOO_LARGE, _HEAD_TOO_LARGE = 400, 408, 413, 431
_REASONS = {
    _BAD: "Bad Request",
    _TOO_SLOW: "Request Timeout",
    _TOO_LARGE: "Content Too Large",
    _HEAD_TOO_LARGE: "Request Header Fields Too Large",
}
_SECOND = 1.0
_HEARD_OUT = 0.5  # seconds in which what somebody still says is read and forgotten, who was turned away
_READING = 32 << 10  # bytes of memory in which a connection over TLS reads; a record of TLS has half of it
_HOSTS = {"1.0": (0, 1), "1.1": (1,)}  # how often the header stands in a request of each version (RFC 9112, 3.2)


def plain(status: int) -> Answer:
    """What somebody is told who is turned away before any route is known: 400, 408, 413 or 431."""
    return Answer(status=status, body=f"request: {_REASONS[status].lower()}\n".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take."""

    connections: int = 1024
    head: int = 16 << 10  # bytes of request line and headers
    body: int = 2 << 20  # bytes
    handshake: float = 5.0  # seconds
    first: float = 10.0  # until the first request begins
    idle: float = 60.0  # until another begins
    request: float = 10.0  # until it is whole
    answer: float = 60.0  # until it is made and taken


@dataclass(slots=True)
class Gate:
    """What the connections of one server share."""

    limits: Limits
    told: Callable[[int], Answer] = plain
    peers: "dict[Guarded, None]" = field(default_factory=dict)  # in the order in which they came
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def let_in(self, peer: "Guarded") -> None:
        """One more connection; another gives way where that is one too many."""
        while len(self.peers) >= self.limits.connections:
            chosen = min(self.peers, key=lambda each: each.asking)
            del self.peers[chosen]
            chosen.transport.abort()
        self.peers[peer] = None
        self.empty.clear()

    def let_out(self, peer: "Guarded") -> None:
        """One less."""
        self.peers.pop(peer, None)
        if not self.peers:
            self.empty.set()


class _Refused(Exception):
    """Raised within the parser's callbacks: the request is turned away with that status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Guarded(HttpToolsProtocol):
    """One connection."""

    def __init__(self, gate: Gate, config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._gate, self._limits = gate, gate.limits
        self._timer: asyncio.TimerHandle | None = None
        self._taken = 0  # bytes of the head or of the body that is being received
        self._in_head = True
        self._extensions: dict[str, Any] = {}
        self._status = _BAD
        self.asking = False  # whether a request has begun that is not answered
        self._leaving = False  # whether it was turned away

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # As uvicorn has it.
        """The client is there, its TLS agreed on."""
        super().connection_made(transport)
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None and (shown := secured.getpeercert(binary_form=True)):
            self._extensions = {CLIENT_CERTIFICATE: shown}
        self._gate.let_in(self)
        self._within(self._limits.first, self._gone)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        self._gate.let_out(self)
        self._unset_keepalive_if_required()
        self._within(None)

    def data_received(self, data: bytes) -> None:
        """The client says something."""
        if self._leaving:
            return
        if self._in_head:
            self._taken += len(data)
        was_quiet = not self.asking
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.asking and self._in_head and self._taken > self._limits.head:
            self._refuse(_HEAD_TOO_LARGE)
        elif was_quiet and not self.asking and self._timer is None:
            self._within(self._limits.idle, self._gone)  # Empty lines between requests, which uvicorn takes for a beginning.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self.asking = True
        self._within(self._limits.request, lambda: self._refuse(_TOO_SLOW))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is whole; or a trailer, which counts as a part of the body and is no header."""
        if not self._in_head:
            self._count(len(name) + len(value))
            return
        super().on_header(name, value)
        if name.lower() == b"content-length" and value.isdigit() and int(value[:20]) > self._limits.body:
            self._turn_away(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is whole: the application begins, and the body is counted from here."""
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self._limits.head:
            self._turn_away(_HEAD_TOO_LARGE)
        if sum(name == b"host" for name, _ in self.headers) not in _HOSTS.get(self.parser.get_http_version(), ()):
            self._turn_away(_BAD)
        self._in_head, self._taken = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._count(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, and the answer has its time."""
        self._in_head, self._taken = True, 0
        super().on_message_complete()
        if self.asking:
            self._within(self._limits.answer, self._gone)

    def on_response_complete(self) -> None:
        """The answer is made; the client may take its time to read it, but not for ever."""
        self.asking = bool(self.pipeline)
        super().on_response_complete()
        closing = self.transport.is_closing()
        self._within(self._limits.answer if closing or self.asking else self._limits.idle, self._gone)

    def timeout_keep_alive_handler(self) -> None:
        """The patience of uvicorn is longer than ours, and never ends anything."""

    def send_400_response(self, msg: str) -> None:
        """What could not be parsed is turned away, with the status of the bound that it broke."""
        del msg
        self._refuse(self._status)

    def _count(self, count: int) -> None:
        self._taken += count
        if self._taken > self._limits.body:
            self._turn_away(_TOO_LARGE)

    def _turn_away(self, status: int) -> None:
        self._status = status
        raise _Refused(status)

    def _refuse(self, status: int) -> None:
        """Say why, unless an answer has begun, and close a little later: who is cut off while it speaks does not read why."""
        if self._leaving or self.transport.is_closing():
            return
        self._leaving = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            answer = self._gate.told(status)
            head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: {answer.content_type}\r\n"
            self.transport.write(f"{head}content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n".encode() + answer.body)
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self.asking = False
        self.flow.resume_reading()
        self._within(_HEARD_OUT, self._leave)

    def _leave(self) -> None:
        self.transport.close()
        self._within(self._limits.handshake, self._gone)

    def _gone(self) -> None:
        self.transport.abort()

    def _within(self, seconds: float | None, otherwise: Callable[[], None] | None = None) -> None:
        """Replaces the one deadline of the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None or otherwise is None else self.loop.call_later(seconds, self._expired, otherwise)

    def _expired(self, otherwise: Callable[[], None]) -> None:
        self._timer = None
        otherwise()


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
        told: Callable[[int], Answer] = plain,
    ) -> None:
        """`told` makes the answer to a request that is turned away with 400, 408, 413 or 431."""
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
        self._state, self._gate = ServerState(), Gate(limits, told)
        self._contexts, self._host, self._port = contexts, host, port
        self._server: asyncio.Server | None = None
        self._dating: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, and say at which port; raises `Unavailable` DJ052 where the address is taken or not ours."""
        limits = self._gate.limits
        secured = self._contexts is not None
        SSLProtocol.max_size = _READING  # asyncio would take 256 KiB for each connection, 256 MiB for those that say nothing.
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Guarded(self._gate, self._config, self._state),
                self._host,
                self._port,
                ssl=_switching(self._contexts) if self._contexts is not None else None,
                backlog=512,
                ssl_handshake_timeout=limits.handshake if secured else None,
                ssl_shutdown_timeout=_SECOND if secured else None,
            )
        except OSError as error:
            raise Unavailable("DJ052", f"{self._host}:{self._port}: {error.strerror or error}") from error
        self._dating = asyncio.create_task(self._date())
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._gate.peers)

    async def close(self, patience: float) -> None:
        """Stop listening, cut off who asks nothing, and wait that many seconds for who is being answered."""
        if self._server is None or self._dating is None:
            return
        self._server.close()
        self._dating.cancel()
        for peer in tuple(self._gate.peers):
            peer.shutdown()
        if not self._gate.peers:
            self._gate.empty.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._gate.empty.wait()
        for peer in tuple(self._gate.peers):
            peer.transport.abort()
        for task in tuple(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, self._dating, return_exceptions=True)

    async def _date(self) -> None:
        """The Date header, which an origin server with a clock sends (RFC 9110, 6.6.1)."""
        while True:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(_SECOND)


def _switching(contexts: Contexts) -> ssl.SSLContext:
    """A context that takes the certificate of the moment for each new connection."""
    made = contexts()
    outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    outer.minimum_version, outer.options = made.minimum_version, made.options
    outer.verify_mode = made.verify_mode  # A connection keeps this; by which authorities, it asks the context of the moment.
    outer.num_tickets = 0
    outer.set_alpn_protocols(["http/1.1"])

    def switch(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _of: ssl.SSLContext) -> None:
        connection.context = contexts()

    outer.sni_callback = switch
    return outer
