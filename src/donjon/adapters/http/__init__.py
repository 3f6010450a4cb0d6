"""A small HTTP server for probes and metrics: h11 reads the requests, asyncio carries them.

Anyone in the cluster may connect. So a connection brings one request and has five seconds for it, and when too many are open the
oldest gives way: those who connect and say nothing cannot keep the kubelet's probes out. A server for more than this is uvicorn.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import h11

from donjon.errors import Unavailable

MAX_CONNECTIONS = 64
MAX_REQUEST = 8 << 10  # bytes of request line and headers
SECONDS = 5.0

_STATUS_NOT_ALLOWED, _STATUS_NOT_FOUND, _STATUS_BAD = 405, 404, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a route says."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Routes = Mapping[str, Callable[[], Answer]]


class ProbeServer:
    """Serves the routes to GET and HEAD until it is closed."""

    def __init__(self, routes: Routes, *, host: str, port: int) -> None:
        self._routes = routes
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], None] = {}  # in the order in which they came

    async def start(self) -> None:
        """Listen; raises `Unavailable` DJ052 where the address is taken or not ours."""
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=MAX_REQUEST)
        except OSError as error:
            raise Unavailable("DJ052", f"{self._host}:{self._port}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Stop listening, and drop who is still there."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        while len(self._open) >= MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        self._open[task] = None
        try:
            async with asyncio.timeout(SECONDS):
                await self._serve(reader, writer)
        except (TimeoutError, OSError, asyncio.CancelledError, h11.ProtocolError):
            pass
        finally:
            self._open.pop(task, None)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST)
        try:
            request = await _request(connection, reader)
        except h11.RemoteProtocolError:
            request, answer = None, Answer(status=_STATUS_BAD, body=b"no HTTP request\n")
        else:
            if request is None:
                return
            answer = self._answer(request)
        head = request is not None and request.method == b"HEAD"
        writer.write(_encode(connection, answer, head=head))
        await writer.drain()

    def _answer(self, request: h11.Request) -> Answer:
        if request.method not in {b"GET", b"HEAD"}:
            return Answer(status=_STATUS_NOT_ALLOWED, body=b"GET only\n")
        route = self._routes.get(request.target.partition(b"?")[0].decode("latin-1"))
        known = ", ".join(self._routes).encode()
        return route() if route is not None else Answer(status=_STATUS_NOT_FOUND, body=b"try " + known + b"\n")


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The request, or `None` when the peer goes before it is whole."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await reader.read(MAX_REQUEST))


def _encode(connection: h11.Connection, answer: Answer, *, head: bool) -> bytes:
    length = str(len(answer.body))
    headers = [("Content-Type", answer.content_type), ("Content-Length", length), ("Connection", "close")]
    sent = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    if not head:
        sent += connection.send(h11.Data(data=answer.body)) or b""
    return sent + (connection.send(h11.EndOfMessage()) or b"")
