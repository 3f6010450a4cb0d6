"""The server of probes and metrics, against those who mean it well and those who do not."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from donjon.adapters import http
from donjon.adapters.http import MAX_CONNECTIONS, MAX_REQUEST, Answer, ProbeServer
from donjon.errors import Unavailable

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def served(story: Callable[[int], Awaitable[None]]) -> None:
    """Run a story with a server that has one route, at a port of its own."""

    async def run() -> None:
        port = free_port()
        server = ProbeServer({"/healthz": lambda: Answer(status=200, body=b"ok\n")}, host=HOST, port=port)
        await server.start()
        try:
            await story(port)
        finally:
            await server.close()

    asyncio.run(run())


async def ask(port: int, request: bytes) -> bytes:
    """All that the server says to these bytes."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: agent\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("request_bytes", "status", "body"),
    [
        (get("/healthz"), b"200", b"ok\n"),
        (get("/healthz?verbose"), b"200", b"ok\n"),
        (get("/healthz", "HEAD"), b"200", b""),
        (get("/"), b"404", b"try /healthz\n"),
        (get("/healthz", "POST"), b"405", b"GET only\n"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"400", b"no HTTP request\n"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * MAX_REQUEST) + b"\r\n\r\n", b"400", b"no HTTP request\n"),
    ],
)
def test_one_request_gets_one_answer(request_bytes: bytes, status: bytes, body: bytes) -> None:
    async def story(port: int) -> None:
        head, _, said = (await ask(port, request_bytes)).partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == status
        assert said == body
        assert b"connection: close" in head.lower()

    served(story)


def test_connections_that_say_nothing_cannot_keep_a_probe_out() -> None:
    async def story(port: int) -> None:
        silent = [await asyncio.open_connection(HOST, port) for _ in range(2 * MAX_CONNECTIONS)]
        assert (await ask(port, get("/healthz"))).endswith(b"ok\n")
        for _, writer in silent:
            writer.close()

    served(story)


def test_a_connection_that_says_half_a_request_is_dropped_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert http.SECONDS == 5.0, "the time that is promised"
    monkeypatch.setattr(http, "SECONDS", 0.1)

    async def story(port: int) -> None:
        assert await ask(port, b"GET /healthz HTTP/1.1\r\nHo") == b""

    served(story)


def test_an_address_that_is_taken_is_unavailable() -> None:
    async def story(port: int) -> None:
        with pytest.raises(Unavailable) as refused:
            await ProbeServer({}, host=HOST, port=port).start()
        assert refused.value.code == "DJ052"

    served(story)
