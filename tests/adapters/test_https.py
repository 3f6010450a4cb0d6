"""The HTTPS server, against those who mean it well and those who do not."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from tests.adapters.https import CONTEXT, HOST, SERVING, Client, certificate, trusting

from donjon.adapters.http import Response
from donjon.adapters.http.https import MAX_HEAD, Bounds, HttpsServer, Request, Why
from donjon.adapters.http.tls import context
from donjon.errors import Malformed, Unavailable

SMALL = Bounds(connections=8, body=1000, bodies=3000, handshake=0.3, first=0.4, idle=0.6, request=0.3, answer=0.3)
PATIENT = Bounds(connections=8, body=1000, bodies=3000)


@dataclass
class Echo:
    """Says what it was asked."""

    requests: list[Request] = field(default_factory=list)
    away: list[Why] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        return Response(status=200, body=request.body)

    def turn_away(self, why: Why, peer: str) -> Response:
        assert peer == HOST
        self.away.append(why)
        return Response(status=int(why), body=why.name.encode())


@dataclass
class Here:
    server: HttpsServer
    port: int
    echo: Echo
    contexts: list[ssl.SSLContext]
    clients: list[Client] = field(default_factory=list)

    async def client(self, trust: ssl.SSLContext | None = None) -> Client:
        self.clients.append(await Client.connected(self.port, trust))
        return self.clients[-1]


def served(story: Callable[[Here], Awaitable[None]], bounds: Bounds = PATIENT) -> None:
    """Run a story with a server at a port of its own."""

    async def run() -> None:
        echo, contexts = Echo(), [CONTEXT]
        server = HttpsServer(echo, lambda: contexts[-1], host=HOST, port=0, bounds=bounds)
        here = Here(server, await server.start(), echo, contexts)
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
        for number in range(50):
            assert await client.post(b"%d" % number) == (200, b"%d" % number, True)
        first = here.echo.requests[0]
        assert first == Request(method="POST", path="/mutate", content_type="application/json", body=b"0", peer=HOST)

    served(story)


def test_requests_sent_before_the_answers_are_answered_in_order() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        head = ("POST /a?timeout=5s HTTP/1.1", "Host: w", "Content-Type: Application/JSON; charset=utf-8", "Content-Length: 1")
        one = "\r\n".join((*head, "", "")).encode()
        await client.say(one + b"1" + one + b"2")
        assert [(await client.answer())[1], (await client.answer())[1]] == [b"1", b"2"]
        assert (here.echo.requests[1].path, here.echo.requests[1].content_type) == ("/a", "application/json")

    served(story)


def test_a_body_in_chunks_is_put_together() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(b"POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await client.answer())[1] == b"abcde"

    served(story)


def test_who_asks_whether_to_go_on_is_told_so() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await client.say(b"ok")
        assert (await client.answer())[1] == b"ok"

    served(story)


TOO_MUCH = b"x" * 5000


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 5000\r\n\r\n" + TOO_MUCH,
        b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + TOO_MUCH + b"\r\n0\r\n\r\n",
    ],
)
def test_a_body_beyond_its_bound_is_turned_away_and_the_next_call_served(request_bytes: bytes) -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(request_bytes)
        assert await client.answer() == (413, b"TOO_LARGE", False)
        client.close()
        assert (await (await here.client()).post(b"next"))[:2] == (200, b"next")
        assert not any(len(request.body) > 1000 for request in here.echo.requests)

    served(story)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * MAX_HEAD),
    ],
)
def test_what_is_no_http_is_turned_away(request_bytes: bytes) -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(request_bytes)
        assert await client.answer() == (400, b"NO_HTTP", False)
        assert await client.ended()

    served(story)


def test_half_a_request_is_turned_away_in_time() -> None:
    assert Bounds(body=1).request == 10.0, "the time that is promised"

    async def story(here: Here) -> None:
        for said in (b"POST / HT", b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 9\r\n\r\nhalf"):
            client = await here.client()
            await client.say(said)
            assert await client.answer() == (408, b"TOO_SLOW", False)

    served(story, SMALL)


def test_who_says_nothing_is_dropped_before_and_after_the_handshake_and_between_requests() -> None:
    async def story(here: Here) -> None:
        reader, writer = await asyncio.open_connection(HOST, here.port)
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        silent = await here.client()
        assert await silent.ended(2)
        idle = await here.client()
        await idle.post(b"once")
        assert await idle.ended(2)
        assert here.server.connections == 0
        assert here.echo.away == []

    served(story, SMALL)


def test_the_server_waits_longer_for_the_next_request_than_the_api_server_keeps_a_connection() -> None:
    """Whoever closes first loses no call; client-go closes an idle connection after 90 s."""
    assert Bounds(body=1).idle > 90 + Bounds(body=1).request


def test_those_who_say_nothing_or_half_cannot_keep_out_who_asks() -> None:
    async def story(here: Here) -> None:
        known = await here.client()
        await known.post(b"I am known")
        for _ in range(6):
            bare = [await asyncio.open_connection(HOST, here.port) for _ in range(10)]
            half = [await here.client() for _ in range(5)]
            for each in half:
                with suppress(ConnectionError):  # Some had to give way already.
                    await each.say(b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 900\r\n\r\nhalf")
            fresh = await here.client()
            assert (await fresh.post(b"new"))[:2] == (200, b"new")
            assert (await known.post(b"again"))[:2] == (200, b"again"), "who has asked before stays"
            assert here.server.connections <= 8
            for _, writer in bare:
                writer.transport.abort()
            for each in half:
                each.close()

    served(story)


def test_bodies_that_are_not_finished_take_no_more_than_their_share() -> None:
    async def story(here: Here) -> None:
        half = [await here.client() for _ in range(6)]
        for each in half:
            await each.say(b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 900\r\n\r\n" + b"x" * 800)
            await asyncio.sleep(0.05)
        assert sum(len(peer.body) for peer in here.server._peers) <= 3000
        assert (await (await here.client()).post(b"new"))[:2] == (200, b"new")

    served(story)


def test_who_does_not_take_the_answer_is_dropped() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # Of a transport that reads.
        one = b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
        writing = asyncio.create_task(client.say(one * 20))
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not here.server.connections:
                break
        assert here.server.connections == 0
        writing.cancel()

    served(story, replace(SMALL, body=2_000_000, bodies=4_000_000, idle=30, first=30, request=30))


def test_when_the_server_leaves_every_answer_is_the_last_and_who_is_asking_is_answered() -> None:
    async def story(here: Here) -> None:
        idle, busy, asking = await here.client(), await here.client(), await here.client()
        for each in (idle, busy, asking):
            assert (await each.post(b"before"))[2] is True
        here.server.leave()
        assert await busy.post(b"now") == (200, b"now", False)
        assert await busy.ended()
        late = await here.client()
        assert await late.post(b"late") == (200, b"late", False), "new connections are still taken"
        await asking.say(b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\nha")
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(here.server.close(2))
        assert await idle.ended(0.5)
        await asking.say(b"lf")
        assert await asking.answer() == (200, b"half", False)
        await asyncio.wait_for(closing, 1)
        with pytest.raises(OSError, match="Connect call failed"):
            await here.client()

    served(story)


def test_a_new_certificate_is_for_new_connections_and_old_ones_go_on() -> None:
    async def story(here: Here) -> None:
        old = await here.client()
        await old.post(b"old")
        other = certificate(7)
        here.contexts.append(context(other.certificate, other.key))
        with pytest.raises(ssl.SSLCertVerificationError):
            await here.client()
        new = await here.client(trusting(other.authority.pem))
        assert (await new.post(b"new"))[1] == b"new"
        assert (await old.post(b"old"))[1] == b"old"
        both = await here.client(trusting(SERVING.authority.pem, other.authority.pem))
        assert (await both.post(b"both"))[1] == b"both"

    served(story)


def client_of(version: ssl.TLSVersion, ciphers: str = "") -> ssl.SSLContext:
    made = trusting(SERVING.authority.pem)
    made.minimum_version = made.maximum_version = version
    if ciphers:
        made.set_ciphers(ciphers)
    return made


@pytest.mark.parametrize(
    "trust",
    [
        client_of(ssl.TLSVersion.TLSv1_3),
        client_of(ssl.TLSVersion.TLSv1_2),
        client_of(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        client_of(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ],
)
def test_tls_is_spoken_in_modern_forms(trust: ssl.SSLContext) -> None:
    async def story(here: Here) -> None:
        client = await here.client(trust)
        assert (await client.post(b"hello"))[1] == b"hello"

    served(story)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"),
    ],
)
def test_tls_is_not_spoken_in_old_forms(version: ssl.TLSVersion, ciphers: str) -> None:
    async def story(here: Here) -> None:
        with pytest.raises(OSError, match=r"(?i)ssl|reset"):
            await here.client(client_of(version, ciphers))

    served(story)


def test_what_is_no_tls_gets_no_answer_in_plain_text() -> None:
    async def story(here: Here) -> None:
        reader, writer = await asyncio.open_connection(HOST, here.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: w\r\n\r\n")
        assert b"HTTP" not in await asyncio.wait_for(reader.read(), 2)
        writer.close()

    served(story)


@pytest.mark.parametrize("key", [b"", b"no key", certificate(9).key])
def test_a_key_that_does_not_fit_makes_no_context(key: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        context(SERVING.certificate, key)
    assert refused.value.code == "DJ146"


def test_an_address_that_is_taken_is_unavailable() -> None:
    async def story(here: Here) -> None:
        with pytest.raises(Unavailable) as refused:
            await HttpsServer(Echo(), lambda: CONTEXT, host=HOST, port=here.port, bounds=SMALL).start()
        assert refused.value.code == "DJ052"

    served(story)


def test_whoever_waits_for_the_event_loop_goes_between_two_answers() -> None:
    async def story(here: Here) -> None:
        loop, order = asyncio.get_running_loop(), list[str]()

        def answer(request: Request) -> Response:
            order.append("answer")
            loop.call_soon(order.append, "another")
            return Response(status=200, body=request.body)

        here.echo.answer = answer  # type: ignore[method-assign] # This one sees what runs between.
        clients = [await here.client() for _ in range(6)]
        assert [code for code, *_ in await asyncio.gather(*(each.post(b"x") for each in clients))] == [200] * 6
        assert order == ["answer", "another"] * 6

    served(story)
