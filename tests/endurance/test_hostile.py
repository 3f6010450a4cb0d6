"""Whatever a client does, the running service answers with a code, stays small, and serves the next honest call at once."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from testbed import clock
from tests.adapters.https import HOST, Client
from tests.endurance import process
from tests.endurance.process import SGX, Process
from tests.policy.policies import issuance
from tests.policy.test_costs import many_expressions

from donjon.services.attestation.maa.openapi import description

AT_ONCE = 2.0  # seconds, on a machine that others use, too
GROWTH = 64 << 20  # bytes: what a thousand connections, or the largest bodies, may leave
ROOM, OURS = 1024, 32 << 10  # connections, and bytes that each may take above what OpenSSL keeps for it
BODIES = 128 << 20  # bytes that bodies may take that are under way: they are counted once, and are there up to three times
PROBED = 2.0  # seconds; the kubelet waits for 5
VERSION = "api-version=2020-10-01"
ATTEST = f"/aa/attest/{SGX}?{VERSION}"
HONEST = json.dumps(process.evidence(SGX)).encode()
CHUNKED = f"POST {ATTEST} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("hostile")
    with process.process(folder, f"sqlite:///{folder}/x.db", ("aa",)) as running:
        running.start()
        with process.client(running) as client:
            running.back(client)
        yield running
        assert "a mistake in Donjon" not in running.told()


@pytest.fixture(autouse=True)
def small_and_at_once(service: Process) -> Iterator[None]:
    """Whatever a test does."""
    before = service.memory()
    yield
    began = clock.now()
    asyncio.run(honest(service))
    assert clock.now() - began < AT_ONCE
    assert service.memory() - before < GROWTH


async def honest(service: Process) -> None:
    client = await Client.connected(service.port)
    assert (await client.post(HONEST, path=ATTEST))[0] == 200
    client.close()


def happens(service: Process, story: Callable[[Client], Awaitable[None]]) -> None:
    async def happen() -> None:
        client = await Client.connected(service.port)
        try:
            await story(client)
        finally:
            client.close()

    asyncio.run(happen())


def refused(body: bytes) -> tuple[str, str]:
    """Microsoft's code and ours."""
    error = json.loads(body)["error"]
    assert error.keys() == {"code", "message"}
    return error["code"], error["message"][-7:].strip("[]")


BAD, LARGE, HEAD_LARGE = (400, "BadRequest"), (413, "RequestEntityTooLarge"), (431, "RequestHeaderFieldsTooLarge")
TURNED_AWAY = {
    "a body over the limit": (f"POST {ATTEST} HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n".encode(), LARGE),
    "chunks over the limit": (CHUNKED + b"300000\r\n" + bytes(0x300000), LARGE),
    "trailers without end": (CHUNKED + b"0\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 100_000, LARGE),
    "a chunk of no size": (CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\n", BAD),
    "a chunk below 0": (CHUNKED + b"-1\r\n", BAD),
    "chunks, and a length": (CHUNKED.replace(b"Host: h", b"Host: h\r\nContent-Length: 5") + b"0\r\n\r\n", BAD),
    "chunks, then something else": (CHUNKED.replace(b"chunked", b"chunked, gzip") + b"0\r\n\r\n", BAD),
    "no framing that is known": (CHUNKED.replace(b"chunked", b"xchunked") + b"0\r\n\r\n", BAD),
    "no host": (b"GET /aa/certs HTTP/1.1\r\n\r\n", BAD),
    "two hosts": (b"GET /aa/certs HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    "HTTP/0.9": (b"GET /aa/certs\r\n\r\n", BAD),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    "an unknown method": (b"FETCH /aa/certs HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    "a tunnel": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    "a folded line": (b"GET /aa/certs HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", BAD),
    "a blank before the colon": (b"GET /aa/certs HTTP/1.1\r\nHost : h\r\n\r\n", BAD),
    "a header with NUL": (b"GET /aa/certs HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", BAD),
    "a path that is no ASCII": (b"GET /aa/\xff HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    "many headers": (b"GET /aa/certs HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 5000 + b"\r\n", HEAD_LARGE),
    "headers without end": (b"GET /aa/certs HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 100_000, HEAD_LARGE),
    "a long path": (b"GET /aa/" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", HEAD_LARGE),
}


@pytest.mark.parametrize("name", TURNED_AWAY)
def test_what_is_too_large_or_no_http(service: Process, name: str) -> None:
    """In the form of Microsoft's errors, as Microsoft's clients read it."""
    said, (status, code) = TURNED_AWAY[name]

    async def story(client: Client) -> None:
        with suppress(ConnectionError):
            await client.say(said)
        answered, body, stays = await client.answer()
        assert (answered, refused(body), stays) == (status, (code, "DJ535"), False)

    happens(service, story)


PATHS = """
/aa%2fcerts /aa%2Fcerts //aa/certs /aa//certs /aa/./certs /bb/../aa/certs /aa/certs/ /aa/certs%00 /AA/certs /aa/certs;x
/aa/certs%3f /aa / /aa/%zz /aa/%ff%fe /aa/policies/::: /zz/certs *
"""


@pytest.mark.parametrize("path", PATHS.split())
def test_a_path_that_only_looks_like_one(service: Process, path: str) -> None:
    async def story(client: Client) -> None:
        await client.say(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        status, body, stays = await client.answer()
        assert (status, refused(body), stays) == (404, ("NotFound", "DJ533"), True)

    happens(service, story)


ROUTES = [(path.replace("/", "/aa/", 1), operations) for path, operations in description("https://x.example")["paths"].items()]  # type: ignore[union-attr] # It has paths.


@pytest.mark.parametrize(("path", "operations"), ROUTES, ids=[path for path, _ in ROUTES])
def test_a_method_that_a_route_has_not(service: Process, path: str, operations: dict[str, object]) -> None:
    """HEAD has no body (RFC 9110, 9.3.2); Allow says what there is."""

    async def story(client: Client) -> None:
        for method in ("HEAD", "OPTIONS", "GET", "PUT", "POST", "PATCH", "DELETE", "TRACE"):
            if method.lower() in operations:
                continue
            await client.say(f"{method} {path}?{VERSION} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode())
            head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
            allowed = {each.strip() for each in head.partition("allow: ")[2].partition("\r\n")[0].split(",")}
            assert (head.split(" ")[1], allowed) == ("405", set(operations))
            if method != "HEAD":
                body = await client.reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
                assert refused(body) == ("MethodNotAllowed", "DJ533")

    happens(service, story)


def test_requests_that_do_not_wait_for_answers(service: Process) -> None:
    """300 in one breath, attestations between them: answered in order."""
    certs = b"GET /aa/certs HTTP/1.1\r\nHost: h\r\n\r\n"
    asked = f"POST {ATTEST} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {len(HONEST)}\r\n\r\n"

    async def story(client: Client) -> None:
        saying = asyncio.create_task(client.say((certs * 2 + asked.encode() + HONEST) * 100))
        for _ in range(100):
            members = [set(json.loads((await client.answer())[1])) for _ in range(3)]
            assert members == [{"keys"}, {"keys"}, {"token"}]
        await saying

    happens(service, story)


def test_an_old_client_and_one_that_wants_another_protocol(service: Process) -> None:
    """HTTP/1.0 is answered and ended; an upgrade is not made, the request answered; 100 Continue is said."""

    async def story(client: Client) -> None:
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        await client.say(f"GET /aa/certs HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n\r\n".encode())
        assert (await client.answer())[0] == 200

    async def older(client: Client) -> None:
        await client.say(
            f"POST {ATTEST} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(HONEST)}\r\n\r\n".encode() + HONEST
        )
        status, _, stays = await client.answer()
        assert (status, stays) == (200, False)

    async def expecting(client: Client) -> None:
        head = f"POST {ATTEST} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n"
        await client.say(f"{head}Content-Length: {len(HONEST)}\r\n\r\n".encode())
        assert b" 100 " in await client.reader.readuntil(b"\r\n\r\n")
        await client.say(HONEST)
        assert (await client.answer())[0] == 200

    for each in (story, older, expecting):
        happens(service, each)


def test_who_is_slow_is_sent_away_and_keeps_nobody_waiting(service: Process) -> None:
    """A head, a body, byte by byte; nothing behind the handshake; and no handshake. All end, at the latest after 12 s."""

    async def drip(said: bytes, then: bytes) -> int:
        client = await Client.connected(service.port)
        await client.say(said)
        with suppress(ConnectionError):
            for _ in range(60):
                await client.say(then)
                await asyncio.sleep(0.2)
        status, body, _ = await client.answer()
        assert refused(body) == ("RequestTimeout", "DJ535")
        client.close()
        return status

    async def nothing() -> int:
        client = await Client.connected(service.port)
        assert await client.ended(12)
        return 408

    async def no_handshake() -> int:
        reader, writer = await asyncio.open_connection(HOST, service.port)
        assert await asyncio.wait_for(reader.read(1), 12) == b""
        writer.close()
        return 408

    async def happen() -> list[int]:
        body = f"POST {ATTEST} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n".encode()
        slow = [drip(b"GET /aa/certs HTTP/1.1\r\nHost: h\r\nX: ", b"y"), drip(body, b" "), nothing(), no_handshake()]
        waiting = asyncio.gather(*slow)
        while not waiting.done():
            async with asyncio.timeout(AT_ONCE):
                await honest(service)
            await asyncio.sleep(0.5)
        return await waiting

    assert asyncio.run(happen()) == [408] * 4


def test_a_thousand_idle_connections(service: Process) -> None:
    """Of twenty addresses, after their handshakes, a tenth of them after a request; and more than there is room for."""

    async def happen() -> None:
        idle: list[Client] = []

        async def come(number: int) -> None:
            idle.append(client := await Client.connected(service.port, source=f"127.0.0.{number % 20 + 2}"))
            if number % 10 == 0:
                await client.say(b"GET /aa/certs HTTP/1.1\r\nHost: h\r\n\r\n")
                assert (await client.answer())[0] == 200

        for room in (1000, 100):
            for some in range(0, room, 50):
                await asyncio.gather(*map(come, range(some, some + 50)))
            async with asyncio.timeout(AT_ONCE):
                await honest(service)
        assert service.memory() - before < ROOM * (floor + OURS)
        for each in idle:
            each.close()
        await asyncio.sleep(0.1)

    floor = int(subprocess.run([sys.executable, "-m", "tests.endurance.floor"], capture_output=True, check=True).stdout)
    before = service.memory()
    asyncio.run(happen())


@pytest.mark.parametrize("addresses", [1, 16])
def test_bodies_that_never_become_whole(service: Process, addresses: int) -> None:
    """A hundred of a MiB less one byte, of a route that takes them: kept are a few, and honest calls and probes are answered."""

    async def half(number: int) -> None:
        head = f"POST {ATTEST} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {1 << 20}\r\n\r\n"
        with suppress(OSError, TimeoutError):
            client = await Client.connected(service.port, source=f"127.0.0.{number % addresses + 2}")
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(client.say(head.encode() + bytes((1 << 20) - 1)), 5)
                await asyncio.sleep(5)
            client.close()

    async def happen() -> None:
        halves = asyncio.gather(*map(half, range(100)))
        while not halves.done():
            async with asyncio.timeout(AT_ONCE):
                await honest(service)
            assert service.memory() - before < BODIES
            async with asyncio.timeout(PROBED):
                assert await asyncio.to_thread(service.answers)
            await asyncio.sleep(0.2)
        await halves

    before = service.memory()
    asyncio.run(happen())


def test_a_policy_that_wants_everything_keeps_nobody_waiting(service: Process) -> None:
    """Drafts of one that has the interpreter read expressions without end; each is told that it is too much."""
    asked = {**process.evidence(SGX), "draftPolicyForAttestation": many_expressions()}
    with process.client(service) as operator, ThreadPoolExecutor(4) as several:
        answers = [several.submit(operator.post, f"/aa/attest/{SGX}", json=asked, timeout=60) for _ in range(8)]
        for _ in range(4):
            began = clock.now()
            asyncio.run(honest(service))
            assert clock.now() - began < AT_ONCE
        for each in answers:
            assert each.result().status_code == 400
            assert "DJ413" in each.result().text


def test_a_small_request_gets_no_large_answer(service: Process) -> None:
    """Of a draft that issues its text again and again."""
    doubled = ['c:[type=="a"] => add(type="b", value=AppendString(c.value, c.value));']
    policy = issuance(
        f'=> add(type="a", value="{"y" * 20_000}");', *doubled, *['c:[type=="b"] => issue(type="t", value=c.value);'] * 68
    )
    asked = {**process.evidence(SGX), "draftPolicyForAttestation": policy}
    with process.client(service) as operator:
        answer = operator.post(f"/aa/attest/{SGX}", json=asked)
    assert (answer.status_code, len(answer.content) < 2000) == (400, True)
    assert "DJ454" in answer.text
