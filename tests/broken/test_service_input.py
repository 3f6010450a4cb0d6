"""Input that is none, sent to the running attestation service: refused with a code, and the next honest call served at once."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.adapters.https import HOST, Client
from tests.services.attesting import Service, instance, simulated
from tests.simulation.intel import world

from donjon.attestation.quote import MAX_QUOTE
from donjon.maa.requests import MAX_BODY

QUOTE = base64.urlsafe_b64encode(world().quote.data).decode().rstrip("=")
PATH = "/aad/attest/SgxEnclave?api-version=2020-10-01"
HONEST = json.dumps({"quote": QUOTE}).encode()
AT_ONCE = 1.0  # seconds
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with simulated(folder, instance(folder, "aad"), world(), rate_limit="0") as running:
        yield running


def told(service: Service, story: Callable[[Service], Awaitable[None]]) -> None:
    """The story, and then an honest call on a connection of its own."""

    async def tell() -> None:
        await story(service)
        async with asyncio.timeout(AT_ONCE):
            client = await Client.connected(service.port)
            assert (await client.post(HONEST, path=PATH))[0] == 200
            client.close()

    asyncio.run(tell())


NESTED = b"[" * 100_000
BODIES = {
    "nothing": b"",
    "no JSON": b"quote",
    "no object": b"[]",
    "null": b"null",
    "a member twice": b'{"quote":"AAAA","quote":"' + QUOTE.encode() + b'"}',
    "a member twice, deeper": b'{"quote":"AAAA","runtimeData":{"data":"","data":"","dataType":"JSON"}}',
    "a member that is not known": json.dumps({"quote": QUOTE, "Quote": QUOTE}).encode(),
    "deep nesting": b'{"quote":' + NESTED,
    "deep nesting of data": json.dumps(
        {
            "quote": QUOTE,
            "runtimeData": {"dataType": "JSON", "data": base64.b64encode(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}").decode()},
        }
    ).encode(),
    "a huge number": b'{"quote":' + b"9" * 100_000 + b"}",
    "a huge exponent": b'{"quote":1e999999}',
    "not a number": b'{"quote":NaN}',
    "half a surrogate": b'{"quote":"\\ud800"}',
    "no UTF-8": b'{"quote":"\xff"}',
    "UTF-16": json.dumps({"quote": QUOTE}).encode("utf-16"),
    "a zero byte behind it": HONEST + b"\0",
    "another behind it": HONEST + HONEST,
    "base64 with junk": json.dumps({"quote": QUOTE[:10] + "!" + QUOTE[11:]}).encode(),
    "base64 with a line's end": json.dumps({"quote": QUOTE[:10] + "\n" + QUOTE[10:]}).encode(),
    "base64 of both alphabets": json.dumps({"quote": "+_" + QUOTE}).encode(),
    "base64 of base64": json.dumps({"quote": base64.b64encode(QUOTE.encode()).decode()}).encode(),
    "hexadecimal": json.dumps({"quote": world().quote.data.hex()}).encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_request(service: Service, name: str) -> None:
    """Each is refused with 400, a code of Microsoft's and one of ours."""

    async def story(service: Service) -> None:
        client = await Client.connected(service.port)
        status, body, _ = await client.post(BODIES[name], path=PATH)
        assert status == 400
        assert json.loads(body)["error"]["code"] == "InvalidParameter"
        assert b"[DJ" in body
        client.close()

    told(service, story)


@pytest.mark.parametrize(
    "size", [0, 1, 47, 48, 431, 432, 436, 1000, 4000, 60_000, 100_000, 700_000, 1_100_000, 1_500_000, 2_000_000]
)
def test_a_quote_of_any_size(service: Service, size: int) -> None:
    """0 to 2 MB, the beginning true. Refused, at the latest by the server."""
    cut = (world().quote.data + bytes(size))[:size]
    said = json.dumps({"quote": base64.b64encode(cut).decode()}).encode()

    async def story(service: Service) -> None:
        client = await Client.connected(service.port)
        try:
            status, _, _ = await client.post(said, path=PATH)
        except ConnectionError:  # The server has closed, its answer unread.
            status = 413
        # What stands behind a whole quote is read over, as Intel's library does.
        whole = len(world().quote.data) <= size <= MAX_QUOTE
        assert status == (200 if whole else 413 if len(said) > MAX_BODY else 400)
        client.close()

    told(service, story)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/json, text/plain"])
def test_a_body_of_another_kind(service: Service, kind: str) -> None:
    """Content-Type of something else. Refused with 415, which says what is expected."""
    answer = service.post("/aad/attest/SgxEnclave", HONEST, kind.encode().decode("latin-1"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UnsupportedMediaType")
    assert "application/json" in answer.text


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_body_of_the_kind_however_it_is_written(service: Service, kind: str) -> None:
    assert service.post("/aad/attest/SgxEnclave", HONEST, kind).status_code == 200


@pytest.mark.parametrize("version", ["", "2020-10-1", "2099-01-01", "x" * 5000, "2020-10-01,2025-06-01"])
def test_a_version_that_there_is_not(service: Service, version: str) -> None:
    answer = service.post("/aad/attest/SgxEnclave", HONEST, version=version)
    assert answer.status_code == 400
    assert "DJ451" in answer.text


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(2000)) + b"\r\n",
        b"POST /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01" + b"\0" * 100 + b"\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: [::1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["a header", "headers", "a path", "no HTTP", "two lengths", "a length below 0", "two framings", "a host that is none"],
)
def test_a_head_that_is_none(service: Service, head: bytes) -> None:
    """Floods of headers, and requests in two readings. Refused, with 4xx or by the connection's end."""

    async def story(service: Service) -> None:
        client = await Client.connected(service.port)
        await client.say(head)
        try:
            status, _, _ = await client.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            status = 400
        assert 400 <= status < 500
        client.close()

    told(service, story)


def test_a_thousand_connections_that_say_nothing(service: Service) -> None:
    """1,000 that do not even shake hands, and 50 that do. Whoever comes then is served."""

    async def story(service: Service) -> None:
        silent = [await asyncio.open_connection(HOST, service.port) for _ in range(1000)]
        idle = [await Client.connected(service.port) for _ in range(50)]
        client = await Client.connected(service.port)
        assert (await client.post(HONEST, path=PATH))[0] == 200
        for each in (*idle, client):
            each.close()
        for _, writer in silent:
            writer.transport.abort()
        await asyncio.sleep(0.1)

    told(service, story)


def test_a_body_that_comes_slowly_keeps_nobody_waiting(service: Service) -> None:
    """Half a body, and no more. Others are served meanwhile; the server's own tests end it after its time. Clause 70."""

    async def story(service: Service) -> None:
        slow = await Client.connected(service.port)
        await slow.say(HEAD + b"Content-Length: %d\r\n\r\n" % len(HONEST) + HONEST[:100])
        client = await Client.connected(service.port)
        for _ in range(3):
            assert (await client.post(HONEST, path=PATH))[0] == 200
        await slow.say(HONEST[100:])
        assert (await slow.answer())[0] == 200
        slow.close()
        client.close()

    told(service, story)


def test_who_goes_within_his_own_body_is_no_mistake_of_ours(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: Service) -> None:
        client = await Client.connected(here.port)
        client.writer.write(HEAD + b"Content-Length: 1000\r\n\r\n{")
        await client.writer.drain()
        await asyncio.sleep(0.1)
        client.close()
        await asyncio.sleep(0.1)

    told(service, story)
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []
