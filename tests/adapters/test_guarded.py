"""The public server: what uvicorn leaves open is closed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.adapters.https import CONTEXT, HOST, SERVING, Client, certificate, trusting

from donjon.adapters.http.folder import FolderContexts
from donjon.adapters.http.guarded import GuardedServer, Limits, Message
from donjon.adapters.http.tls import context
from donjon.errors import DonjonError, Unavailable

QUICK = Limits(connections=8, head=4096, body=1000, handshake=0.4, first=0.4, idle=0.6, request=0.4, answer=0.6)
GET = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"


@dataclass
class Echo:
    """Says back what it was told, after a while."""

    asked: list[Message] = field(default_factory=list)
    rest: float = 0.0
    size: int = 0
    cut_off: int = 0

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        self.asked.append(scope)
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        if message["type"] == "http.disconnect":
            self.cut_off += 1
            return
        body += message["body"]
        await asyncio.sleep(self.rest)
        body = bytes(self.size) or body
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Here:
    server: GuardedServer
    echo: Echo
    port: int
    clients: list[Client] = field(default_factory=list)

    async def client(self) -> Client:
        self.clients.append(await Client.connected(self.port))
        return self.clients[-1]


def served(story: Callable[[Here], Awaitable[None]], limits: Limits = QUICK) -> None:
    async def run() -> None:
        echo = Echo()
        server = GuardedServer(echo, lambda: CONTEXT, host=HOST, port=0, limits=limits)
        here = Here(server, echo, await server.start())
        try:
            await story(here)
        finally:
            for client in here.clients:
                client.close()
            await server.close(0.2)
            await asyncio.sleep(0.01)

    asyncio.run(run())


def test_one_connection_brings_many_requests() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        for number in range(20):
            assert await client.post(b"%d" % number) == (200, b"%d" % number, True)

    served(story)


def test_where_a_request_comes_from_no_header_says() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(GET.removesuffix(b"\r\n") + b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\r\n")
        assert (await client.answer())[0] == 200
        (scope,) = here.echo.asked
        assert (scope["client"][0], scope["scheme"]) == (HOST, "https")

    served(story)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: w\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: w\r\nX: " + b"x" * 5000, 431),
        (b"GET / HTTP/1.1\r\nHost: w\r\n" + b"X: x\r\n" * 1000 + b"\r\n", 431),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: w\r\n\r\n", 431),
        (b"GET /" + b"x" * 5000, 431),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: w\r\nHost: v\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: w\r\nHost: v\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 600 + b"\r\n", 413),
    ],
)
def test_what_is_too_large_or_no_http_is_turned_away_and_the_next_call_served(said: bytes, status: int) -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(said)
        answered, _, stays = await client.answer()
        assert (answered, stays) == (status, False)
        assert (await (await here.client()).post(b"next"))[:2] == (200, b"next")
        assert len(here.echo.asked) - here.echo.cut_off == 1

    served(story)


def test_a_trailer_is_no_header() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(
            b"POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nAuthorization: Bearer y\r\n\r\n"
        )
        assert await client.answer() == (200, b"x", True)
        assert [name for name, _ in here.echo.asked[0]["headers"]] == [b"host", b"transfer-encoding"]

    served(story)


def test_a_client_of_http_1_0_is_answered_and_gone() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
        assert await client.answer() == (200, b"x", False)
        assert await client.ended(1)

    served(story)


@pytest.mark.parametrize("said", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 9\r\n\r\nslow"])
def test_a_request_that_never_becomes_whole_is_told_so(said: bytes) -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(said)
        assert (await client.answer())[0] == 408
        assert await client.ended(1)

    served(story)


@pytest.mark.parametrize("said", [b"", b"\r\n", GET, GET + b"\r\n"])
def test_who_asks_nothing_more_is_cut_off(said: bytes) -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(said)
        if said.startswith(b"GET"):
            await client.answer()
        assert await client.ended(2)

    served(story)


def test_a_byte_now_and_then_does_not_prolong_a_request() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        with suppress(ConnectionError):
            for byte in GET:
                await client.say(bytes([byte]))
                await asyncio.sleep(0.1)
        assert here.echo.asked == []

    served(story)


def test_an_answer_that_is_not_made_or_not_taken_in_time_ends_the_connection() -> None:
    async def story(here: Here) -> None:
        here.echo.rest = 5
        client = await here.client()
        await client.say(GET)
        assert await client.ended(2)
        here.echo.rest, here.echo.size = 0, 32 << 20
        await (await here.client()).say(GET)
        await asyncio.sleep(0.2)
        assert here.server.connections == 1
        await asyncio.sleep(1.2)
        assert here.server.connections == 0

    served(story)


def test_of_too_many_the_oldest_that_is_not_being_answered_gives_way() -> None:
    async def story(here: Here) -> None:
        here.echo.rest = 0.3
        busy = await here.client()
        await busy.say(GET)
        quiet = [await here.client() for _ in range(8)]
        assert await quiet[0].ended(1)
        assert (await busy.answer())[0] == 200

    served(story)


def test_a_new_certificate_is_presented_from_the_next_connection_on() -> None:
    async def run() -> None:
        other = certificate(2)
        presented = [CONTEXT, context(other.certificate, other.key)]
        server = GuardedServer(Echo(), lambda: presented[0], host=HOST, port=0, limits=QUICK)
        port = await server.start()
        before = await Client.connected(port, trusting(SERVING.authority.pem))
        presented.pop(0)
        after = await Client.connected(port, trusting(other.authority.pem))
        for client in (before, after):
            assert (await client.post(b"x"))[0] == 200
            client.close()
        await server.close(0.2)
        await asyncio.sleep(0.01)

    asyncio.run(run())


def test_who_is_being_answered_is_answered_when_the_server_stops() -> None:
    async def story(here: Here) -> None:
        here.echo.rest = 0.2
        client, quiet = await here.client(), await here.client()
        await client.say(GET)
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(here.server.close(2))
        assert await client.answer() == (200, b"", False)
        assert await quiet.ended(1)
        await closing

    served(story)


def test_an_address_that_is_taken_is_a_coded_error() -> None:
    async def story(here: Here) -> None:
        other = GuardedServer(Echo(), None, host=HOST, port=here.port, limits=QUICK)
        with pytest.raises(Unavailable, match="DJ052"):
            await other.start()

    served(story)


def test_a_certificate_in_a_folder_is_taken_up_when_it_changes_and_kept_while_it_does_not_fit(tmp_path: Path) -> None:
    told: list[DonjonError | None] = []
    with pytest.raises(Unavailable, match="DJ146"):
        FolderContexts(tmp_path, told.append)
    other = certificate(2)
    (tmp_path / "tls.crt").write_bytes(SERVING.certificate)
    (tmp_path / "tls.key").write_bytes(SERVING.key)
    contexts = FolderContexts(tmp_path, told.append)
    first = contexts()
    (tmp_path / "tls.crt").write_bytes(other.certificate + b"\n")
    assert contexts() is first
    (tmp_path / "tls.key").write_bytes(other.key + b"\n")
    second = contexts()
    assert second is not first
    (tmp_path / "tls.key").unlink()
    assert contexts() is second
    assert [None if each is None else each.code for each in told] == ["DJ146", None, "DJ146"]
