"""A node's meter over the network: its report, or one error that says why there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from donjon.adapters.meters.client import MeterClient
from donjon.errors import Unavailable
from donjon.kube import epc_report
from donjon.kube.epc_report import EpcReport, encode
from donjon.sgx.epc import EpcSource, EpcUse

REPORT = EpcReport(node="sgx-1", moment="2026-11-30T03:00:00Z", source=EpcSource.BPF, total=1 << 30, free=None, use=EpcUse())
Story = Callable[[MeterClient, str], Awaitable[None]]


def answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def told(response: bytes, story: Story, *, stays: bool = False) -> None:
    """Run a story with a meter that answers with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)
            await writer.drain()
            if stays:
                await reader.read()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = MeterClient(0.5)
        try:
            await story(client, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            await client.close()
            server.close()
            await asyncio.sleep(0.05)

    asyncio.run(run())


def test_a_report_comes_as_it_was_sent() -> None:
    async def story(client: MeterClient, address: str) -> None:
        assert await client.read("sgx-1", address) == REPORT

    told(answer(encode(REPORT)), story)


@pytest.mark.parametrize(
    ("response", "stays", "words"),
    [
        (answer(b"no pass yet [DJ700]", "503 Service Unavailable"), False, r"503 no pass yet \[DJ700\]"),
        (answer(b"<html>"), False, "no JSON"),
        (answer(encode(REPORT).replace(b"sgx-1", b"sgx-2")), False, "says that it is of node sgx-2"),
        (answer(encode(REPORT), length=1000), True, "no whole answer within 0.5 s"),
        (b"", True, "no whole answer within|Timeout|timed out"),
        (b"", False, "meter of sgx-1"),
        (answer(b"x" * (epc_report.MAX_BYTES + 1)), False, "answers more than 4194304 bytes"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", False, "302"),
    ],
)
def test_what_is_no_report_of_the_node_is_one_error(response: bytes, *, stays: bool, words: str) -> None:
    async def story(client: MeterClient, address: str) -> None:
        with pytest.raises(Unavailable, match=words) as caught:
            await client.read("sgx-1", address)
        assert caught.value.code == "DJ786"

    told(response, story, stays=stays)


def test_a_meter_that_is_away_is_the_same_error() -> None:
    async def story(client: MeterClient, _: str) -> None:
        with pytest.raises(Unavailable, match="meter of sgx-1"):
            await client.read("sgx-1", "127.0.0.1:1")

    told(b"", story)


def test_a_proxy_that_the_environment_names_is_not_asked_in_a_meters_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there for calls out of the cluster, and could answer anything."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def story(client: MeterClient, address: str) -> None:
        assert await client.read("sgx-1", address) == REPORT

    told(answer(encode(REPORT)), story)
