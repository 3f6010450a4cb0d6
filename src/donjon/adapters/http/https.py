"""A small HTTPS server for the API server's calls: h11 reads the requests, one connection brings many.

Anyone in the cluster may connect. So whatever a client can do slowly has its time, whatever it can make large has its size, and
when too much is open, one gives way that never asked anything whole, of the address that has most: who says nothing, or says it
for ever, keeps nobody out. At the end it is left to the clients to go: every answer says that it is the last, and only who has
not asked for a while is cut off.
"""

import asyncio
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import h11

from donjon.adapters.http import Response
from donjon.adapters.http.crowd import ByteBudget, ConnectionWorth, Crowd, site
from donjon.adapters.http.fairlock import FairLock
from donjon.adapters.http.listening import address_of, listen, port_of
from donjon.adapters.http.tls import Contexts, Secured

MAX_HEAD = 16 << 10  # bytes of request line and headers
CONTINUE = 100


class Why(IntEnum):
    """Why a request is turned away, with the status that says so."""

    NO_HTTP = 400
    TOO_SLOW = 408
    TOO_LARGE = 413


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the clients of the webhook may take: room, sizes and times."""

    body: int  # bytes of one request's
    connections: int = 512
    of_a_site: int = 256  # of these; the API server's address has as many as there are pods being made at once
    bodies: int = 16 << 20  # bytes of all that are being received
    handshake: float = 5.0  # seconds
    first: float = 10.0  # until the first request begins
    idle: float = 150.0  # until another begins; the API server itself closes after 90, and whoever closes first loses no call
    request: float = 10.0  # until it is whole
    answer: float = 10.0  # until it is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, whole."""

    method: str
    path: str
    content_type: str
    body: bytes
    peer: str


class Application(Protocol):
    """Who makes the answers; `HttpsServer` brings the requests."""

    def answer(self, request: Request) -> Response:
        """What is said to a request; it must not raise."""

    def turn_away(self, why: Why, peer: str) -> Response:
        """What is said to something that did not become a request."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Peer:
    task: asyncio.Task[None]
    name: str
    site: str
    worth: ConnectionWorth = ConnectionWorth.NEW  # BUSY from the beginning of another request on
    body: bytearray = field(default_factory=bytearray)


class HttpsServer:
    """Serves an application until it is closed."""

    def __init__(self, application: Application, contexts: Contexts, *, host: str, port: int, bounds: Bounds) -> None:
        self._application, self._contexts, self._bounds = application, contexts, bounds
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._peers: Crowd[_Peer] = Crowd(bounds.connections, bounds.of_a_site)
        self._bodies: ByteBudget[_Peer] = ByteBudget(bounds.bodies, bounds.bodies)
        self._turns = FairLock()
        self._leaving = False

    async def start(self) -> int:
        """Listen, and say at which port; raises `Unavailable` DJ052 where the address is taken or not ours."""
        self._server = await listen(self._protocol, self._host, self._port)
        return port_of(self._server)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._peers)

    def leave(self) -> None:
        """Ask the clients to go: from now on every answer is the last of its connection."""
        self._leaving = True

    async def close(self, patience: float) -> None:
        """Stop listening, cut off who asks nothing, and wait for who is being answered."""
        self.leave()
        if self._server is not None:
            self._server.close()
        for peer in self._peers:
            if peer.worth is ConnectionWorth.IDLE:
                peer.task.cancel()
        waiting = [peer.task for peer in self._peers]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=patience)
            for task in late:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        name = address_of(writer.transport)
        peer = _Peer(task=task, name=name, site=site(name))
        if (victim := self._peers.enter(peer)) is not None:
            victim.task.cancel()
        secured = Secured(reader, writer, self._contexts())
        try:
            async with asyncio.timeout(self._bounds.handshake):
                await secured.handshake()
            await self._converse(peer, secured)
        except (TimeoutError, OSError, asyncio.CancelledError, h11.ProtocolError):
            pass
        finally:
            self._peers.leave(peer)
            self._bodies.drop(peer)
            secured.close()

    def _protocol(self) -> asyncio.BaseProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=MAX_HEAD), self._accept)

    async def _converse(self, peer: _Peer, secured: Secured) -> None:
        """Read requests and answer them, one after the other, until the client or the server ends."""
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        while True:
            async with asyncio.timeout(self._bounds.idle if peer.worth else self._bounds.first):
                if not await self._request_begins(connection, secured):
                    return
            if peer.worth is ConnectionWorth.IDLE:
                self._show(peer, ConnectionWorth.BUSY)
            request = await self._next_request(peer, connection, secured)
            async with self._turns.turn(peer.site):
                answer = self._answer(request, peer)
            peer.body = bytearray()
            self._bodies.drop(peer)
            async with asyncio.timeout(self._bounds.answer):
                await secured.write(_encode(connection, answer, last=self._leaving or not isinstance(request, Request)))
                if request is Why.TOO_LARGE:
                    await _hear_out(secured)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()
            self._show(peer, ConnectionWorth.IDLE)

    def _show(self, peer: _Peer, worth: ConnectionWorth) -> None:
        peer.worth = worth
        self._peers.note(peer)

    async def _next_request(self, peer: _Peer, connection: h11.Connection, secured: Secured) -> "Request | Why":
        """The next request, or why it is none."""
        try:
            async with asyncio.timeout(self._bounds.request):
                return await self._request(peer, connection, secured)
        except TimeoutError:
            return Why.TOO_SLOW
        except h11.RemoteProtocolError:
            return Why.NO_HTTP

    @staticmethod
    async def _request_begins(connection: h11.Connection, secured: Secured) -> bool:
        """Whether the client begins another request; returns with its first bytes."""
        if connection.trailing_data[0]:
            return True
        data = await secured.read()
        connection.receive_data(data)
        return bool(data)

    def _answer(self, request: "Request | Why", peer: _Peer) -> Response:
        if isinstance(request, Request):
            return self._application.answer(request)
        return self._application.turn_away(request, peer.name)

    async def _request(self, peer: _Peer, connection: h11.Connection, secured: Secured) -> "Request | Why":
        """The next request, whole, or why there is none; raises `h11.RemoteProtocolError` for what is no HTTP."""
        head: h11.Request | None = None
        while True:
            event = connection.next_event()
            match event:
                case h11.Request():
                    head = event
                    if _length(event) > self._bounds.body:
                        return Why.TOO_LARGE
                    if connection.they_are_waiting_for_100_continue:
                        await secured.write(connection.send(h11.InformationalResponse(status_code=CONTINUE, headers=[])) or b"")
                case h11.Data():
                    peer.body += event.data
                    if len(peer.body) > self._bounds.body:
                        return Why.TOO_LARGE
                    self._keep(peer, len(event.data))
                case h11.EndOfMessage():
                    return _whole(head, peer) if head is not None else Why.NO_HTTP
                case h11.ConnectionClosed():
                    raise ConnectionResetError
                case _:
                    connection.receive_data(await secured.read())

    def _keep(self, peer: _Peer, count: int) -> None:
        """So many bytes more of its body; where that is too much, one of the address that has most gives way."""
        if (victim := self._bodies.add(peer, count)) is not None:
            self._peers.leave(victim)
            victim.task.cancel()


def _length(request: h11.Request) -> int:
    """What the request says of its body's length; h11 has seen to it that it is a number."""
    return next((int(value) for name, value in request.headers if name == b"content-length"), 0)


def _whole(head: h11.Request, peer: _Peer) -> Request:
    kind = next((value for name, value in head.headers if name == b"content-type"), b"")
    return Request(
        method=head.method.decode("ascii"),
        path=head.target.partition(b"?")[0].decode("latin-1"),
        content_type=kind.partition(b";")[0].strip().decode("latin-1").lower(),
        body=bytes(peer.body),
        peer=peer.name,
    )


async def _hear_out(secured: Secured) -> None:
    """Take what is still under way and forget it: a client that is cut off while it speaks does not read why."""
    for _ in range(1 << 10):
        if not await secured.read():
            return


def _encode(connection: h11.Connection, answer: Response, *, last: bool) -> bytes:
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
    if last:
        headers.append(("Connection", "close"))
    data = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    data += connection.send(h11.Data(data=answer.body)) or b""
    return data + (connection.send(h11.EndOfMessage()) or b"")
