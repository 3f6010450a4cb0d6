"""The server of probes and metrics, against those who mean it well and those who do not."""

import asyncio
import gc
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.ports import free_port

from donjon.adapters.http import Response
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.probe import LIMITS, ProbeServer
from donjon.errors import Unavailable

HOST = "127.0.0.1"
LONG = LIMITS.answers + (8 << 20)  # bytes; more than the system takes, too
KUBELET = 5.0  # seconds that it waits


def served(story: Callable[[int], Awaitable[None]], limits: Limits = LIMITS) -> None:
    """Run a story with a server that has two routes, at a port of its own."""

    async def run() -> None:
        port = free_port()
        long = lambda: Response(status=200, body=bytes(LONG))  # noqa: E731 - as the one beside it.
        routes = {"/healthz": lambda: Response(status=200, body=b"ok\n"), "/long": long}
        server = ProbeServer(routes, host=HOST, port=port, limits=limits)
        await server.start()
        try:
            await story(port)
        finally:
            await server.close()
            for _ in range(20):  # Turns of the loop, in which they are sent away.
                await asyncio.sleep(0.01)
            gc.collect()  # What is left of a story is told as that story's.

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
        (get("/"), b"404", b"try /healthz, /long\n"),
        (get("/healthz", "POST"), b"405", b"GET only\n"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"400", b"no HTTP request\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * LIMITS.headers + b"\r\n", b"400", b"no HTTP request\n"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * LIMITS.head) + b"\r\n\r\n", b"400", b"no HTTP request\n"),
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
        silent = [await asyncio.open_connection(HOST, port) for _ in range(2 * LIMITS.connections)]
        assert (await ask(port, get("/healthz"))).endswith(b"ok\n")
        for _, writer in silent:
            writer.close()

    served(story)


@pytest.mark.parametrize("addresses", [1, 5])
def test_whoever_connects_again_and_again_cannot_keep_a_probe_out(addresses: int) -> None:
    """600 at a time that say nothing, or half a request, and come again when they are cut off; also from the probe's address."""

    async def story(port: int) -> None:
        command = (sys.executable, "-m", "tests.adapters.crowding", str(port), str(addresses))
        crowd = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert crowd.stdout is not None
        try:
            assert await asyncio.wait_for(crowd.stdout.readline(), 30) == b"here\n"
            for _ in range(10):
                assert (await asyncio.wait_for(ask(port, get("/healthz")), KUBELET)).endswith(b"ok\n")
        finally:
            crowd.kill()
            await crowd.wait()

    served(story)


@pytest.mark.parametrize("turns", range(6))
def test_who_is_being_let_in_while_the_server_closes_is_sent_away_and_no_socket_is_left(turns: int) -> None:
    crowd = [socket.socket() for _ in range(64)]

    async def story(port: int) -> None:
        for each in crowd:
            each.connect((HOST, port))
        for _ in range(turns):  # Of the loop, each of which lets in some.
            await asyncio.sleep(0)

    try:
        served(story)
        for each in crowd:
            each.settimeout(KUBELET)
            with suppress(ConnectionResetError):
                assert each.recv(1) == b""
    finally:
        for each in crowd:
            each.close()


def test_answers_that_nobody_takes_have_one_bound() -> None:
    async def story(port: int) -> None:
        asked = [await asyncio.open_connection(HOST, port) for _ in range(20)]
        for _, writer in asked:
            writer.transport.pause_reading()  # type: ignore[attr-defined] # Of a transport that reads.
            writer.write(get("/long"))
        await asyncio.sleep(0.3)
        for _, writer in asked:
            writer.transport.resume_reading()  # type: ignore[attr-defined] # 〃
        taken = await asyncio.gather(*(reader.read() for reader, _ in asked), return_exceptions=True)
        assert sum(isinstance(each, bytes) and len(each) > LONG for each in taken) <= 1
        assert (await ask(port, get("/healthz"))).endswith(b"ok\n")
        for _, writer in asked:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for _, writer in asked), return_exceptions=True)

    served(story)


def test_a_connection_that_says_half_a_request_is_dropped_in_time() -> None:
    assert LIMITS.first == LIMITS.request == LIMITS.answer == 5.0, "the time that is promised, for all together"

    async def story(port: int) -> None:
        assert await ask(port, b"GET /healthz HTTP/1.1\r\nHo") == b""

    served(story, replace(LIMITS, first=0.1))


def test_an_address_that_is_taken_is_unavailable() -> None:
    async def story(port: int) -> None:
        with pytest.raises(Unavailable) as refused:
            await ProbeServer({}, host=HOST, port=port).start()
        assert refused.value.code == "DJ052"

    served(story)
