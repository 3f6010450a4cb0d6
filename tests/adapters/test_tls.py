"""The TLS that our servers speak, and what they do not."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.adapters.https import CONTEXT, HOST, SERVING, Client, certificate, trusting

from donjon.adapters.http.folder import FolderContexts
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import GuardedServer, Message
from donjon.adapters.http.tls import context
from donjon.errors import Malformed


async def hello(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """Says the same to everybody."""
    del scope
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def served(story: Callable[[int], Awaitable[None]]) -> None:
    async def run() -> None:
        server = GuardedServer(hello, lambda: CONTEXT, host=HOST, port=0, limits=Limits())
        port = await server.start()
        try:
            await story(port)
        finally:
            await server.close(0.2)
            await asyncio.sleep(0.01)

    asyncio.run(run())


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
    async def story(port: int) -> None:
        client = await Client.connected(port, trust)
        assert (await client.post(b""))[1] == b"hello"
        client.close()

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
    async def story(port: int) -> None:
        with pytest.raises(OSError, match=r"(?i)ssl|reset"):
            await Client.connected(port, client_of(version, ciphers))

    served(story)


def test_what_is_no_tls_gets_no_answer_in_plain_text() -> None:
    async def story(port: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: w\r\n\r\n")
        assert b"HTTP" not in await asyncio.wait_for(reader.read(), 2)
        writer.close()

    served(story)


@pytest.mark.parametrize("key", [b"", b"no key", certificate(9).key])
def test_a_key_that_does_not_fit_makes_no_context(key: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        context(SERVING.certificate, key)
    assert refused.value.code == "DJ146"
    assert "[SSL" not in refused.value.message or "expected a certificate and its key" in refused.value.message


def test_a_folders_key_of_another_certificate_is_told_in_plain_words_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_bytes(SERVING.certificate)
    (tmp_path / "tls.key").write_bytes(certificate(9).key)
    with pytest.raises(Malformed) as refused:
        FolderContexts(tmp_path, print)
    assert str(tmp_path / "tls.key") in refused.value.message
    assert "the key is not that of the certificate, but another one's" in refused.value.message
