"""Client certificates through the public server, over real TLS: from an authority of ours, with the key shown, or none at all."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.adapters.https import HOST, SERVING, Client, trusting
from tests.adapters.test_public import QUICK, Echo
from tests.pki.clientcerts import SERVER, START, ClientAuthority, Issued

from donjon.adapters.http.folder import ClientAuthorities, FolderContexts
from donjon.adapters.http.public import CLIENT_CERTIFICATE, GuardedServer
from donjon.errors import DonjonError

OURS, OTHER = ClientAuthority(), ClientAuthority()
Story = Callable[[Echo, int], Awaitable[None]]


def folder(path: Path) -> Path:
    (path / "tls.crt").write_bytes(SERVING.certificate)
    (path / "tls.key").write_bytes(SERVING.key)
    (path / "ca.crt").write_bytes(OURS.pem)
    return path


def served(path: Path, story: Story, *, required: bool = False, asking: bool = True, told: list[DonjonError | None]) -> None:
    async def run() -> None:
        written = folder(path)
        clients = ClientAuthorities(path=written / "ca.crt", required=required) if asking else None
        echo = Echo()
        server = GuardedServer(echo, FolderContexts(path, told.append, clients), host=HOST, port=0, limits=QUICK)
        try:
            await story(echo, await server.start())
        finally:
            await server.close(0.2)
            await asyncio.sleep(0.01)

    asyncio.run(run())


def showing(certificate: Issued | None) -> ssl.SSLContext:
    context = trusting(SERVING.authority.pem)
    return context if certificate is None else certificate.shown_by(context)


async def got_in(port: int, context: ssl.SSLContext) -> bool:
    """Whether a request is answered; in TLS 1.3 a client learns only after its own part that it is refused."""
    try:
        client = await Client.connected(port, context)
        answered = (await client.post(b"x"))[0]
    except (OSError, asyncio.IncompleteReadError):
        return False
    client.close()
    return answered == 200


def shown(echo: Echo) -> list[bytes | None]:
    return [scope["extensions"].get(CLIENT_CERTIFICATE) for scope in echo.asked]


@pytest.mark.parametrize("required", [False, True])
def test_a_certificate_of_our_authority_stands_in_the_scope_of_every_request(tmp_path: Path, *, required: bool) -> None:
    mine = OURS.issue()

    async def story(echo: Echo, port: int) -> None:
        client = await Client.connected(port, showing(mine))
        for _ in range(3):
            assert (await client.post(b"x"))[0] == 200
        client.close()
        assert shown(echo) == [mine.der] * 3

    served(tmp_path, story, required=required, told=[])


@pytest.mark.parametrize(("required", "answered"), [(False, True), (True, False)])
def test_without_a_certificate_one_gets_in_where_none_is_required(tmp_path: Path, *, required: bool, answered: bool) -> None:
    async def story(echo: Echo, port: int) -> None:
        assert await got_in(port, showing(None)) is answered
        assert shown(echo) == [None] * answered

    served(tmp_path, story, required=required, told=[])


ENDED = OURS.issue(window=(START, START + timedelta(days=1)))


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(
    "wrong", [OTHER.issue(), ENDED, OURS.issue(usage=SERVER)], ids=["another authority's", "ended", "a server's"]
)
def test_a_certificate_that_does_not_count_ends_the_handshake(tmp_path: Path, wrong: Issued, *, required: bool) -> None:
    async def story(echo: Echo, port: int) -> None:
        assert not await got_in(port, showing(wrong))
        assert echo.asked == []

    served(tmp_path, story, required=required, told=[])


def test_where_none_is_asked_for_none_is_seen(tmp_path: Path) -> None:
    async def story(echo: Echo, port: int) -> None:
        assert await got_in(port, showing(OURS.issue()))
        assert shown(echo) == [None]

    served(tmp_path, story, asking=False, told=[])


def test_no_header_puts_a_certificate_into_the_scope(tmp_path: Path) -> None:
    pem = OURS.issue().pem.decode().replace("\n", "%0A")
    names = ("X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-Client-Cert", "SSL_CLIENT_CERT", CLIENT_CERTIFICATE)
    head = "".join(f"{name}: {pem}\r\n" for name in names)

    async def story(echo: Echo, port: int) -> None:
        client = await Client.connected(port, showing(None))
        await client.say(f"GET / HTTP/1.1\r\nHost: h\r\n{head}\r\n".encode())
        assert (await client.answer())[0] == 200
        client.close()
        assert echo.asked[0]["extensions"] == {}

    served(tmp_path, story, told=[])


def test_what_one_connection_shows_is_not_another_ones(tmp_path: Path) -> None:
    mine = OURS.issue()

    async def story(echo: Echo, port: int) -> None:
        one, other = await Client.connected(port, showing(mine)), await Client.connected(port, showing(None))
        for client in (one, other, one):
            assert (await client.post(b"x"))[0] == 200
        for client in (one, other):
            client.close()
        assert shown(echo) == [mine.der, None, mine.der]

    served(tmp_path, story, told=[])


def test_new_authorities_count_from_the_next_connection_on_and_bad_ones_change_nothing(tmp_path: Path) -> None:
    told: list[DonjonError | None] = []

    async def story(_echo: Echo, port: int) -> None:
        (tmp_path / "ca.crt").write_bytes(b"no certificate at all")
        assert await got_in(port, showing(OURS.issue()))
        (tmp_path / "ca.crt").write_bytes(OTHER.pem)
        assert not await got_in(port, showing(OURS.issue()))
        assert await got_in(port, showing(OTHER.issue()))

    served(tmp_path, story, required=True, told=told)
    assert [None if each is None else each.code for each in told] == ["DJ555", None]


def test_a_session_of_tls_1_2_which_could_be_resumed_unseen_is_not_made(tmp_path: Path) -> None:
    async def story(_echo: Echo, port: int) -> None:
        context = showing(OURS.issue())
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert not await got_in(port, context)

    served(tmp_path, story, told=[])
