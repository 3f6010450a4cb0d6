"""Calls over HTTP: what is bounded, and whose error is whose."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.adapters.https import HOST, SERVING

from donjon.adapters.transport.client import ConnectionTrouble, HttpClient
from donjon.adapters.transport.tls import client_context
from donjon.errors import Misconfigured, Unavailable


def answered(says: bytes, story: Callable[[HttpClient], Awaitable[None]]) -> bytes:
    """Run a story with a client of a server that says this to every request, and then ends; the last request."""
    request = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal request
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(says)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(answer, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            client = HttpClient(code="DJ041", seconds=10, server=f"http://{HOST}:{port}")
            try:
                await story(client)
            finally:
                await client.close()

    asyncio.run(run())
    return request


def of_length(length: int, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-Chain: c\r\nContent-Length: %d\r\n\r\n" % length + body


def test_an_answer_up_to_its_bound_is_read_and_none_beyond_it() -> None:
    async def story(client: HttpClient) -> None:
        async with client.ask("GET", "/a", what="a", query={"b": "c"}) as answer:
            assert (answer.status, answer.header("x-chain"), answer.header("x-other")) == (200, "c", "")
            assert await answer.whole(5) == b"12345"
        async with client.ask("GET", "/a", what="a", query={"b": "c"}) as answer:
            with pytest.raises(Unavailable, match=r"^a: answers more than 4 bytes \[DJ041\]$"):
                await answer.whole(4)

    request = answered(of_length(5, b"12345"), story).lower()
    assert request.startswith(b"get /a?b=c http/1.1")
    assert b"accept-encoding: identity" in request


@pytest.mark.parametrize("says", [b"", of_length(9, b"half")])
def test_a_connection_that_ends_under_way_is_worth_another_try(says: bytes) -> None:
    async def story(client: HttpClient) -> None:
        with pytest.raises(ConnectionTrouble, match=r"^a: .+ \[DJ041\]$"):
            async with client.ask("GET", "/", what="a") as answer:
                await answer.whole(100)

    answered(says, story)


def test_what_goes_wrong_at_the_caller_is_not_the_servers_fault() -> None:
    async def story(client: HttpClient) -> None:
        with pytest.raises(ValueError, match="mine"):
            async with client.ask("GET", "/", what="a"):
                raise ValueError("mine")

    answered(of_length(0, b""), story)


@pytest.mark.parametrize("authorities", ["", "none", SERVING.key.decode(), Path("/nowhere/at/all"), Path("/dev/null")])
def test_authorities_that_are_none_are_a_coded_error(authorities: str | Path) -> None:
    with pytest.raises(Misconfigured, match=r"^who: .+ \[DJ556\]$"):
        client_context(authorities, code="DJ556", what="who")
