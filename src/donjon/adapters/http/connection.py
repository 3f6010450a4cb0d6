"""The public HTTP server: uvicorn's protocol over httptools, with what it leaves open closed here.

uvicorn gives a client any time for its head and its body, bounds neither, and waits for ever for a client that does not read.
Anyone may connect, so whatever a client can do slowly has its time, whatever it can make large has its size, and when too many
are connected the oldest that is not being answered gives way.

uvicorn tells the application nothing of a client's certificate either: here it stands in the scope, where no header can put one.
Trailers, which it would put among the headers, are read over.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, cast

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from donjon.adapters.http.crowd import ConnectionWorth, site
from donjon.adapters.http.gate import BAD, HEAD_TOO_LARGE, NO_ROOM, REASONS, TOO_LARGE, TOO_SLOW, Gate
from donjon.adapters.http.limits import PIECE
from donjon.adapters.http.listening import address_of

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]
"""An ASGI application, version 3."""

CLIENT_CERTIFICATE = "donjon.client_certificate"
"""The extension of a request's scope with the certificate, in DER, whose key the client has shown in the handshake."""

_HEARD_OUT = 0.5  # seconds in which what somebody still says is read and forgotten, who was turned away
_HOSTS = {"1.0": (0, 1), "1.1": (1,)}  # how often the header stands in a request of each version (RFC 9112, 3.2)
_CHUNKS = 256  # bytes of a body in chunks that are parsed at once: what follows it is then a few requests at most


class _Flow(FlowControl):
    """Flow control that tells when reading goes on, so that what has come already is parsed."""

    def __init__(self, transport: asyncio.Transport, goes_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._goes_on = goes_on

    def resume_reading(self) -> None:
        was_paused = self.read_paused
        super().resume_reading()
        if was_paused:
            self._goes_on()


class _RequestError(Exception):
    """Raised within the parser's callbacks: the request is turned away with that status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Guarded(HttpToolsProtocol):
    """One connection.

    After a head nothing more is read until the application asks for the body, or has answered: what it has not asked for waits in
    the client. What has come already stays as it came, and is parsed no further than to the end of one request.
    """

    def __init__(self, gate: "Gate[Guarded]", config: Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._gate, self._limits = gate, gate.limits
        self._lowest: asyncio.Transport | None = None  # the one below TLS
        self._timer: asyncio.TimerHandle | None = None
        self._unread = bytearray()
        self._byte_count = 0  # bytes of the head or of the body that is being received
        self._in_head, self._chunked, self._length, self._bound = True, False, 0, 0
        self._extensions: dict[str, Any] = {}
        self._status = BAD
        self._in_request = False  # whether a request has begun that is not answered
        self._body_asked_for = self._proven = self._leaving = False
        self._task: asyncio.Task[None] | None = None
        self._spoken = False  # whether the handshake, where there is one, has ended
        self.address = self.site = ""
        self.worth = ConnectionWorth.NEW

    def arrive(self, transport: asyncio.Transport) -> None:
        """Somebody has connected; where TLS is spoken, the handshake comes next."""
        transport.set_write_buffer_limits(PIECE)
        transport.max_size = PIECE  # type: ignore[attr-defined] # Of every transport of asyncio's own loops: 256 KiB, else.
        self._lowest, self.address = transport, address_of(transport)
        self.site = site(self.address)
        self._gate.let_in(self)

    def leave(self) -> None:
        """Count this connection no more: it is closed."""
        self._gate.let_out(self)
        if not self._spoken:  # What was never spoken to has nothing to end but this, which knows it.
            self.parser = None  # type: ignore[assignment] # As uvicorn leaves it, untyped there.

    def cut_off(self) -> None:
        """Abort the connection, without an answer."""
        if self._lowest is not None:
            self._lowest.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # As uvicorn has it.
        """The client is there, its TLS agreed on."""
        if self._lowest is None:
            self.arrive(transport)
        super().connection_made(transport)
        self.flow, self._spoken = _Flow(transport, self._go_on), True
        secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None and (certificate := secured.getpeercert(binary_form=True)):
            self._extensions = {CLIENT_CERTIFICATE: certificate}
        self._within(self._limits.first, self.cut_off)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed: free all that was held for it."""
        super().connection_lost(exc)
        self.leave()
        self._unset_keepalive_if_required()
        self._within(None)
        self._unread.clear()
        self.pipeline.clear()
        # As uvicorn begins with: they know this connection, and would wait for a collection of cycles, with half a body perhaps.
        self.cycle = self.flow = None  # type: ignore[assignment] # 〃

    def data_received(self, data: bytes) -> None:
        """Bytes of the client: parse them as far as they are wanted."""
        if self._leaving:
            return
        self._unread += data
        self._feed()

    def on_message_begin(self) -> None:
        """A request begins, and its head has its time."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._in_request, self._body_asked_for = True, False
        self._within(self._limits.request, lambda: self._refuse(TOO_SLOW))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is whole; or a trailer, which counts as a part of the body and is no header."""
        if not self._in_head:
            self._count(len(name) + len(value))
            return
        if len(self.headers) >= self._limits.headers:
            self._turn_away(HEAD_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: the application begins, and nothing more is read until it asks for it."""
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self._limits.head:
            self._turn_away(HEAD_TOO_LARGE)
        if sum(name == b"host" for name, _ in self.headers) not in _HOSTS.get(self.parser.get_http_version(), ()):
            self._turn_away(BAD)
        self._in_head, self._byte_count = False, 0
        framing = {name: value for name, value in self.headers if name in {b"content-length", b"transfer-encoding"}}
        self._chunked, self._length = b"transfer-encoding" in framing, int(framing.get(b"content-length", b"0")[:20])
        super().on_headers_complete()
        self._bound = self._gate.body(self.scope["method"], self.scope["path"])
        if self._length > self._bound:
            self._turn_away(TOO_LARGE)
        self.flow.pause_reading()
        self._within(self._limits.answer, self.cut_off)

    def on_body(self, body: bytes) -> None:
        """A piece of the body, counted against the limits of this request and of all."""
        self._count(len(body))
        if self.cycle.response_complete:
            return
        super().on_body(body)
        if (victim := self._gate.bodies.add(self, len(body))) is self:
            self._turn_away(NO_ROOM)
        elif victim is not None:
            victim.let_go()

    def on_message_complete(self) -> None:
        """The request is whole, and the answer has its time."""
        self._in_head, self._byte_count, self._proven = True, 0, True
        super().on_message_complete()
        self._show(answering=self._in_request)
        if self._in_request:
            self._within(self._limits.answer, self.cut_off)

    def on_response_complete(self) -> None:
        """The answer is made; the client may take its time to read it, but not for ever."""
        self._in_request = bool(self.pipeline)
        self._show(answering=False)
        super().on_response_complete()
        closing = self.transport.is_closing()
        self._within(self._limits.answer if closing or self._in_request else self._limits.idle, self.cut_off)

    def timeout_keep_alive_handler(self) -> None:
        """The patience of uvicorn is longer than ours, and never ends anything."""

    def send_400_response(self, msg: str) -> None:
        """What could not be parsed is turned away, with the status of the bound that it broke."""
        del msg
        self._refuse(self._status)

    def shutdown(self) -> None:
        """The server ends: so does a connection that asks nothing. A request that has begun is answered."""
        cycle: RequestResponseCycle | None = self.cycle
        if not self._spoken:
            self.cut_off()
        elif not self._in_request or (cycle is not None and not cycle.response_complete):
            super().shutdown()

    def let_go(self) -> None:
        """There is no room for its body any more; who has it would keep it."""
        self._refuse(NO_ROOM)
        if self._task is not None:
            self._task.cancel()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, partial(self._serve, cycle, app))

    async def _serve(
        self,
        cycle: RequestResponseCycle,
        app: ASGI3Application,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """The application, which is answered for where it is ended before it has answered."""
        self._task = asyncio.current_task()
        try:
            await app(scope, receive, partial(self._send, cast("Send", send)))
        except asyncio.CancelledError:
            self._refuse(NO_ROOM)
            cycle.disconnected = True
        finally:
            self._task = None
            self._gate.bodies.drop(self)

    async def _send(self, send: Send, message: Message) -> None:
        """A long answer goes in pieces, each when the one before it is taken."""
        body: bytes = message.get("body", b"")
        if len(body) <= PIECE:
            await send(message)
            return
        self._show(answering=False)
        if (victim := self._gate.answers.add(self, len(body))) is not None:
            victim.cut_off()
        try:
            for start in range(0, 0 if victim is self else len(body), PIECE):
                more = message.get("more_body", False) or start + PIECE < len(body)
                await send({**message, "body": body[start : start + PIECE], "more_body": more})
        finally:
            self._gate.answers.drop(self)

    def _show(self, *, answering: bool) -> None:
        """Note what the connection is worth now: who is being answered gives way last."""
        if answering:
            self.worth = ConnectionWorth.BUSY
        else:
            self.worth = ConnectionWorth.IDLE if self._proven else ConnectionWorth.NEW
        self._gate.crowd.note(self)

    def _go_on(self) -> None:
        """Reading goes on: for the body, which has its time from now on, or behind an answer."""
        if not self._in_head and not self._body_asked_for:
            self._body_asked_for = True
            self._within(self._limits.request, lambda: self._refuse(TOO_SLOW))
        if self._unread:
            self.loop.call_soon(self._feed)

    def _feed(self) -> None:
        """Parse what has come, as far as it is wanted."""
        was_quiet = not self._in_request
        while self._unread and not (self._leaving or self.flow.read_paused or self.transport.is_closing()):
            piece = self._piece()
            if self._in_head:
                self._byte_count += len(piece)
            super().data_received(piece)
            if self._in_request and self._in_head and self._byte_count > self._limits.head:
                self._refuse(HEAD_TOO_LARGE)
        if was_quiet and not self._in_request and self._timer is None and not self.transport.is_closing():
            self._within(self._limits.idle, self.cut_off)  # Empty lines between requests, which uvicorn takes for a beginning.

    def _piece(self) -> bytes:
        """What is parsed next: it ends where a request could."""
        if self._in_head:
            end = self._unread.find(b"\n") + 1 or len(self._unread)
        else:
            end = _CHUNKS if self._chunked else max(self._length - self._byte_count, 1)
        piece = bytes(self._unread[:end])
        del self._unread[:end]
        return piece

    def _count(self, count: int) -> None:
        self._byte_count += count
        if self._byte_count > self._bound:
            self._turn_away(TOO_LARGE)

    def _turn_away(self, status: int) -> None:
        self._status = status
        raise _RequestError(status)

    def _refuse(self, status: int) -> None:
        """Say why, unless an answer has begun, and close a little later: who is cut off while it speaks does not read why."""
        if self._leaving or self.transport.is_closing():
            return
        self._leaving = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            answer = self._gate.error_response(status, self.address)
            head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: {answer.content_type}\r\n".encode()
            for name, value in self._gate.beside(self.headers if self._in_request else ()):
                head += b"%b: %b\r\n" % (name, value)
            self.transport.write(head + f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n".encode() + answer.body)
        if cycle is not None:
            cycle.disconnected = True
            cycle.body = bytearray()
            cycle.message_event.set()
        self._in_request = False
        self._unread.clear()
        self.flow.resume_reading()
        self._within(_HEARD_OUT, self._hang_up)

    def _hang_up(self) -> None:
        self.transport.close()
        self._within(self._limits.handshake, self.cut_off)

    def _within(self, seconds: float | None, otherwise: Callable[[], None] | None = None) -> None:
        """Run `otherwise` after so many seconds; replaces the one deadline of the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None or otherwise is None else self.loop.call_later(seconds, self._expire, otherwise)

    def _expire(self, otherwise: Callable[[], None]) -> None:
        self._timer = None
        otherwise()
