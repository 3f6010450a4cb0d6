"""The public server: what uvicorn leaves open is closed."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.adapters.https import CONTEXT, HOST, SERVING, Client, certificate, trusting
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from donjon.adapters.http.connection import Guarded
from donjon.adapters.http.folder import FolderContexts
from donjon.adapters.http.limits import PIECE, Limits
from donjon.adapters.http.public import GuardedServer, Message
from donjon.adapters.http.tls import context
from donjon.adapters.http.tlsprotocol import TlsProtocol
from donjon.errors import DonjonError, Unavailable
from donjon.pki.serving import window_of

QUICK = Limits(connections=8, head=4096, body=1000, handshake=0.4, first=0.4, idle=0.6, request=0.4, answer=0.6)
PATIENT = replace(QUICK, handshake=20, first=20, idle=20, request=20, answer=20)
GET = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"


@dataclass
class Echo:
    """Says back what it was told, after a while."""

    asked: list[Message] = field(default_factory=list)
    rest: float = 0.0
    size: int = 0
    cut_off: int = 0
    before: asyncio.Event | None = None  # what it waits for before it asks for the body
    unread: bool = False  # whether it answers without it

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        self.asked.append(scope)
        if self.before is not None:
            await self.before.wait()
        if self.unread:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
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


async def until(true: Callable[[], bool]) -> None:
    """Wait for what only the server's own objects tell."""
    while not true():  # noqa: ASYNC110 - it tells nobody.
        await asyncio.sleep(0.01)


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


def test_clients_that_are_asked_to_go_ask_once_more_and_are_answered() -> None:
    """Half a request may be here, or the connection be new. Who has asked before and asks nothing is cut off."""

    async def story(here: Here) -> None:
        idle, busy, half, new = [await here.client() for _ in range(4)]
        for each in (idle, busy, half):
            assert await each.post(b"before") == (200, b"before", True)
        here.server.leave()
        assert await busy.post(b"now") == (200, b"now", False)
        assert await busy.ended()
        late = await here.client()
        assert await late.post(b"late") == (200, b"late", False), "new connections are still taken"
        await half.say(b"POST / HT")
        await until(lambda: any(each._in_request for each in here.server._gate.crowd))
        closing = asyncio.create_task(here.server.close(20))
        assert await idle.ended()
        await half.say(b"TP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\nhalf")
        assert await half.answer() == (200, b"half", False)
        assert not closing.done()
        assert await new.post(b"new") == (200, b"new", False)
        await closing

    served(story, PATIENT)


def test_who_has_connected_when_nobody_more_is_let_in_is_answered_however_many_they_are() -> None:
    crowd = [socket.socket() for _ in range(50)]

    async def run() -> None:
        server = GuardedServer(Echo(), None, host=HOST, port=0, limits=replace(PATIENT, connections=100))
        port = await server.start()
        for each in crowd:  # Without a turn of the loop: all of them wait in the kernel, and it takes in a few a turn.
            each.connect((HOST, port))
            each.sendall(GET)
        server.leave()
        await server.close(20)

    try:
        asyncio.run(run())
        assert [each.recv(12) for each in crowd] == [b"HTTP/1.1 200"] * len(crowd)
    finally:
        for each in crowd:
            each.close()


def test_an_answer_under_way_when_clients_are_asked_to_go_is_the_last_of_its_connection() -> None:
    async def story(here: Here) -> None:
        here.echo.before = asyncio.Event()
        client = await here.client()
        await client.say(GET)
        await until(lambda: bool(here.echo.asked))
        here.server.leave()
        here.echo.before.set()
        assert await client.answer() == (200, b"", False)
        assert await client.ended()

    served(story, PATIENT)


def test_who_asks_whether_to_go_on_is_told_so() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await client.say(b"ok")
        assert (await client.answer())[1] == b"ok"

    served(story, PATIENT)


def test_a_body_in_chunks_is_put_together() -> None:
    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(b"POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await client.answer())[1] == b"abcde"

    served(story, PATIENT)


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
    assert contexts.window == window_of(other.certificate)  # Looked at, also where nobody connects.
    second = contexts()
    assert second is not first
    (tmp_path / "tls.key").unlink()
    assert contexts() is second
    assert [None if each is None else each.code for each in told] == ["DJ146", None, "DJ146"]


HALF = b"POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 900\r\n\r\n"


async def far(here: Here, address: str) -> Client:
    """A client at another address of this machine."""
    here.clients.append(await Client.connected(here.port, source=address))
    return here.clients[-1]


def test_half_requests_of_few_addresses_keep_nobody_out() -> None:
    """Nor does whoever asks for nothing, or shakes no hands. Who has asked before stays, and who comes is served."""

    async def story(here: Here) -> None:
        known = await far(here, "127.0.0.9")
        assert (await known.post(b"first"))[0] == 200
        for turn in range(4):
            bare: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
            for address in ("127.0.0.2", "127.0.0.3"):
                for _ in range(8):
                    half = await far(here, address)
                    with suppress(ConnectionError):
                        await half.say(HALF + b"half")
                bare += [await asyncio.open_connection(HOST, here.port, local_addr=(address, 0)) for _ in range(8)]
            fresh = await far(here, f"127.0.1.{turn + 1}")
            assert (await fresh.post(b"new"))[:2] == (200, b"new")
            assert (await known.post(b"again"))[:2] == (200, b"again")
            assert here.server.connections <= 8
            for _, writer in bare:
                writer.transport.abort()

    served(story, replace(PATIENT, of_a_site=4))


def test_connections_of_one_address_are_bounded_before_their_handshake() -> None:
    async def story(here: Here) -> None:
        bare = [await asyncio.open_connection(HOST, here.port) for _ in range(12)]
        assert await asyncio.wait_for(bare[0][0].read(1), 2) == b""
        assert 0 < here.server.connections <= 3
        for _, writer in bare:
            writer.transport.abort()

    served(story, replace(PATIENT, of_a_site=3))


def test_bodies_under_way_have_one_bound_and_who_takes_most_is_told_to_come_again() -> None:
    """Of one address half of it. An honest body is taken all the same."""

    async def story(here: Here) -> None:
        halves = []
        for number in range(12):
            halves.append(half := await far(here, f"127.0.0.{number % 3 + 2}"))
            await half.say(HALF + b"x" * 890)
        honest = await far(here, "127.0.0.9")
        assert (await honest.post(b"y" * 900))[:2] == (200, b"y" * 900)
        assert here.server._gate.bodies.total <= 4000
        assert (await halves[0].answer())[0] == 503

    served(story, replace(PATIENT, connections=20, bodies=4000, bodies_of_a_site=2000))


def test_a_body_is_not_read_before_it_is_asked_for() -> None:
    """What was not asked for waits in the client: a few pieces at most have come."""

    async def story(here: Here) -> None:
        here.echo.before = asyncio.Event()
        client = await here.client()
        saying = asyncio.create_task(client.post(bytes(8_000_000)))
        await asyncio.sleep(0.2)
        (connection,) = here.server._gate.crowd
        assert here.server._gate.bodies.total + len(connection._unread) <= 2 * PIECE
        here.echo.before.set()
        assert (await saying)[0] == 200

    served(story, replace(PATIENT, body=8_000_000, bodies=32_000_000))


def test_who_may_not_send_a_body_is_told_so_before_it_is_read() -> None:
    async def story(here: Here) -> None:
        here.echo.unread = True
        client = await here.client()
        await client.say(HALF)
        assert (await client.answer())[:2] == (200, b"")
        assert here.echo.asked[0]["path"] == "/"

    served(story, PATIENT)


def test_how_large_a_body_may_be_its_route_says() -> None:
    async def run() -> None:
        bounds = {("POST", "/small"): 5, ("POST", "/large"): 900}
        server = GuardedServer(Echo(), None, host=HOST, port=0, limits=QUICK, body=lambda *asked: bounds[asked])
        port = await server.start()
        for path, size, status in (("/small", 5, 200), ("/small", 6, 413), ("/large", 900, 200), ("/large", 901, 413)):
            client = Client(*await asyncio.open_connection(HOST, port))
            assert (await client.post(bytes(size), path=path))[0] == status
            client.close()
        await server.close(0.2)
        await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.mark.parametrize("before", [b"", b"POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"])
def test_requests_that_do_not_wait_for_answers_stay_as_they_came(before: bytes) -> None:
    """They are parsed one after the other, however many there are."""

    async def story(here: Here) -> None:
        here.echo.before = asyncio.Event()
        client = await here.client()
        await client.say(before + GET * 400)
        await asyncio.sleep(0.2)
        (connection,) = here.server._gate.crowd
        assert len(connection.pipeline) < 10
        here.echo.before.set()
        for _ in range(400 + bool(before)):
            assert (await client.answer())[0] == 200

    served(story, PATIENT)


def test_an_answer_that_is_not_taken_is_not_in_memory_twice_and_all_of_them_have_one_bound() -> None:
    async def story(here: Here) -> None:
        here.echo.size = 8 << 20
        silent = [await here.client() for _ in range(4)]
        for each in silent:
            each.writer.transport.pause_reading()  # type: ignore[attr-defined] # Of a transport that reads.
            await each.say(GET)
        await asyncio.sleep(0.5)
        assert here.server._gate.answers.total <= 16 << 20
        assert here.server.connections == 2

    served(story, replace(PATIENT, answers=32 << 20, answers_of_a_site=16 << 20))


def test_many_headers_are_turned_away() -> None:
    """Each takes the memory of twenty bytes a byte."""

    async def story(here: Here) -> None:
        client = await here.client()
        await client.say(b"GET / HTTP/1.1\r\nHost: w\r\n" + b"X: y\r\n" * 110)
        assert (await client.answer())[0] == 431

    served(story, PATIENT)


def test_who_still_waits_when_the_server_ends_is_told_so_and_the_log_has_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: Here) -> None:
        here.echo.rest = 30
        client = await here.client()
        await client.say(GET)
        await asyncio.sleep(0.1)
        await here.server.close(0.1)
        assert (await client.answer())[0] == 503

    served(story, PATIENT)
    assert not [each for each in caplog.records if each.exc_info]


def test_nothing_of_a_connection_that_has_ended_waits_for_a_collection_of_cycles() -> None:
    """OpenSSL keeps tens of KiB for each, and half a body may be a megabyte; who attacks makes many, and then nobody collects."""

    def left() -> list[str]:
        return [
            type(each).__name__ for each in gc.get_objects() if isinstance(each, (Guarded, TlsProtocol, RequestResponseCycle))
        ]

    async def story(here: Here) -> None:
        before = len(left())
        gc.disable()
        await (await here.client()).post(b"x")
        await (await here.client()).say(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n" + b"x" * 500)
        await (await here.client()).say(b"GET / HTTP/1.1\r\nHo")
        _, silent = await asyncio.open_connection(HOST, here.port)
        await asyncio.sleep(0.1)
        for client in here.clients:
            client.close()
        silent.transport.abort()
        async with asyncio.timeout(5):
            while here.server.connections:  # noqa: ASYNC110 - what is waited for has no event.
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert left()[before:] == []

    try:
        served(story, PATIENT)
    finally:
        gc.enable()
