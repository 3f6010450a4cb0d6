"""A small HTTP server for probes and metrics: h11 reads the requests, asyncio carries them.

Anyone in the cluster may connect. So a connection brings one request, without a body, and has five seconds for it, and when too
many are open, one gives way of those who have said nothing, of the address that has most: however many connect, the kubelet's
probes come through.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

import h11

from donjon.adapters.http import Response
from donjon.adapters.http.crowd import ByteBudget, ConnectionWorth, Crowd, site
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.listening import address_of, listen, stop_listening

_TIME = 5.0  # seconds
LIMITS = Limits(
    connections=256,
    of_a_site=64,
    head=8 << 10,
    headers=100,
    body=0,  # Nothing is read behind a head.
    bodies=0,
    bodies_of_a_site=0,
    answers=4 << 20,
    answers_of_a_site=4 << 20,
    handshake=0.0,  # There is none.
    first=_TIME,  # All within the same five seconds.
    idle=0.0,  # Every answer is the last of its connection.
    request=_TIME,
    answer=_TIME,
)

_STATUS_NOT_ALLOWED, _STATUS_NOT_FOUND, _STATUS_BAD = 405, 404, 400


Routes = Mapping[str, Callable[[], Response]]


class ProbeServer:
    """Serves the routes to GET and HEAD until it is closed."""

    def __init__(self, routes: Routes, *, host: str, port: int, limits: Limits = LIMITS) -> None:
        self._routes, self._limits = routes, limits
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._crowd: Crowd[_Connection] = Crowd(limits.connections, limits.of_a_site)
        self._unsent: ByteBudget[_Connection] = ByteBudget(limits.answers, limits.answers_of_a_site)

    async def start(self) -> None:
        """Listen; raises `Unavailable` DJ052 where the address is taken or not ours."""
        self._server = await listen(self._connection, self._host, self._port)

    async def close(self) -> None:
        """Stop listening, and drop who is still there."""
        if self._server is not None:
            await stop_listening(self._server, self._connection)
        self._crowd.close()
        for each in self._crowd:
            each.cut_off()
        await asyncio.sleep(0)

    def _connection(self) -> "_Connection":
        return _Connection(self._limits, self._crowd, self._unsent, self._answer)

    def _answer(self, request: h11.Request) -> Response:
        if request.method not in {b"GET", b"HEAD"}:
            return Response(status=_STATUS_NOT_ALLOWED, body=b"GET only\n")
        route = self._routes.get(request.target.partition(b"?")[0].decode("latin-1"))
        paths = ", ".join(self._routes).encode()
        return route() if route is not None else Response(status=_STATUS_NOT_FOUND, body=b"try " + paths + b"\n")


class _Connection(asyncio.Protocol):
    """One connection. There is no task for it, so a request is answered in the turn in which it has come."""

    def __init__(
        self,
        limits: Limits,
        crowd: "Crowd[_Connection]",
        unsent: "ByteBudget[_Connection]",
        answer: Callable[[h11.Request], Response],
    ) -> None:
        self._limits, self._crowd, self._unsent, self._answer = limits, crowd, unsent, answer
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.site, self.worth = "", ConnectionWorth.NEW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected; another gives way where that is one too many."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(self._limits.first, self.cut_off)
        self.site = site(address_of(transport))
        if (victim := self._crowd.enter(self)) is not None:
            victim.cut_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed: count it no more."""
        del exc
        self._crowd.leave(self)
        self._unsent.drop(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """A part of the request, or all of it."""
        self._parser.receive_data(data)
        try:
            event = self._parser.next_event()
        except h11.RemoteProtocolError:
            event = None
        if event is None or (isinstance(event, h11.Request) and len(list(event.headers)) > self._limits.headers):
            self._say(Response(status=_STATUS_BAD, body=b"no HTTP request\n"), head=False)
        elif isinstance(event, h11.Request):
            self._say(self._answer(event), head=event.method == b"HEAD")
        elif event is not h11.NEED_DATA:
            self.cut_off()

    def cut_off(self) -> None:
        """Abort the connection, without an answer."""
        if self._transport is not None:
            self._transport.abort()

    def _say(self, answer: Response, *, head: bool) -> None:
        """The answer, which has what is left of the time to be taken."""
        if self._transport is None:
            return
        self.worth = ConnectionWorth.BUSY
        self._crowd.note(self)
        self._transport.write(_encode(self._parser, answer, head=head))
        if (left := self._transport.get_write_buffer_size()) and (victim := self._unsent.add(self, left)) is not None:
            victim.cut_off()
        self._transport.close()


def _encode(connection: h11.Connection, answer: Response, *, head: bool) -> bytes:
    length = str(len(answer.body))
    headers = [("Content-Type", answer.content_type), ("Content-Length", length), ("Connection", "close")]
    data = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    if not head:
        data += connection.send(h11.Data(data=answer.body)) or b""
    return data + (connection.send(h11.EndOfMessage()) or b"")
