"""Who is let through, by what, and how the others are told: the outside parts are real, the requests come over TLS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.adapters.fakeapi import FakeApi, api_server, status
from tests.adapters.https import HOST, SERVING, trusting
from tests.adapters.oidcissuer import NOW, FakeIssuer, issuer, rsa
from tests.adapters.test_reviews import AUDIENCE, GOOD, reviewing
from tests.pki.clientcerts import DECADES, START, ClientAuthority, Issued

from donjon.access.roles import Access, Grant, Proof, Role
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.http.tls import Clients, context
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.kubeapi.reviews import TokenReviews
from donjon.adapters.oidc.issuers import DISCOVERY, OidcIssuer
from donjon.errors import Unavailable
from donjon.runtime.callers import CallerRefused, Doorkeeper
from donjon.runtime.credentials import Credentials
from donjon.runtime.rates import Rate, Rates

OURS = ClientAuthority()
ALICE = OURS.issue(x509.DNSName("alice.example"))
ASKING = context(SERVING.certificate, SERVING.key, Clients(authorities=OURS.pem, required=False))


def grant(how: Proof, name: str, *roles: Role, source: str = "", instances: frozenset[str] | None = None) -> Grant:
    return Grant(how=how, source=source, name=name, claims={}, instances=instances, roles=frozenset(roles))


ACCESS = Access(
    open_roles={"closed": frozenset()},
    grants=(
        grant(Proof.OIDC, "alice", Role.POLICY, source="corp", instances=frozenset({"team-a"})),
        grant(Proof.KUBERNETES, "team-a/deployer", Role.POLICY, Role.DRAFT),
        grant(Proof.CERTIFICATE, "dns:alice.example", Role.POLICY, Role.ATTEST),
    ),
)


@dataclass
class World:
    """A server that lets callers through, an issuer and an API server."""

    oidc: FakeIssuer
    api: FakeApi
    callers: Doorkeeper
    moment: datetime = NOW
    port: int = 0
    seconds: float = 0.0
    clients: list[httpx2.AsyncClient] = field(default_factory=list)

    async def ask(
        self,
        role: Role = Role.POLICY,
        instance: str = "team-a",
        *,
        token: str | None = None,
        headers: list[tuple[str, str]] | None = None,
        certificate: Issued | None = None,
    ) -> httpx2.Response:
        trust = trusting(SERVING.authority.pem)
        client = httpx2.AsyncClient(verify=trust if certificate is None else certificate.shown_by(trust))
        self.clients.append(client)
        given = [*(headers or []), *([] if token is None else [("Authorization", f"Bearer {token}")])]
        return await client.get(f"https://{HOST}:{self.port}/{instance}/{role}", headers=given)

    async def told(self, role: Role = Role.POLICY, instance: str = "team-a", **how: object) -> tuple[int, str]:
        """The status, and the caller's name or the code."""
        answer = await self.ask(role, instance, **how)  # type: ignore[arg-type] # As `ask` takes them.
        return answer.status_code, answer.json()["said"]

    async def answer(self, asked: Request) -> Response:
        """What MAA's routes do."""
        instance, role = asked.path_params["instance"], Role(asked.path_params["role"])
        try:
            await self.callers.require(asked, instance, role)
            caller = await self.callers.require(asked, instance, role)
        except CallerRefused as refused:
            return JSONResponse({"said": refused.code, "why": refused.message}, refused.status, refused.headers)
        except Unavailable as error:
            return JSONResponse({"said": error.code}, 503)
        return JSONResponse({"said": f"{caller.how} {caller.name}".strip()})


@asynccontextmanager
async def world(folder: Path, rate: int = 1000, access: Access = ACCESS) -> AsyncIterator[World]:
    async with issuer() as oidc, api_server() as api:
        client, known = KubeApi(api.access(folder)), OidcIssuer(oidc.trusted, lambda: made.seconds)
        api.answer = reviewing(GOOD)
        proofs = Credentials({"corp": known}, TokenReviews(client, AUDIENCE, lambda: made.seconds), lambda: made.moment)
        callers = Doorkeeper(access, proofs, Rates(Rate(each_second=rate), lambda: made.seconds))
        made = World(oidc, api, callers)
        application = Starlette(routes=[Route("/{instance}/{role}", made.answer)])
        server = GuardedServer(application, lambda: ASKING, host=HOST, port=0, limits=Limits())
        made.port = await server.start()
        try:
            yield made
        finally:
            await asyncio.gather(known.close(), client.close(), *(each.aclose() for each in made.clients))
            await server.close(0.2)
            await asyncio.sleep(0.01)


def happens(folder: Path, story: Callable[[World], Awaitable[None]], rate: int = 1000, access: Access = ACCESS) -> None:
    async def run() -> None:
        async with world(folder, rate, access) as made:
            await story(made)

    asyncio.run(run())


def account_token(here: World) -> str:
    """One of the cluster's issuer, which only the API server knows."""
    return here.oidc.token(rsa("cluster"), iss="https://kubernetes.default.svc")


def test_callers_are_known_by_oidc_by_the_api_server_and_by_their_certificates(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        assert await here.told(token=here.oidc.token()) == (200, "oidc corp:alice")
        assert await here.told(token=account_token(here)) == (200, "kubernetes team-a/deployer")
        assert await here.told(certificate=ALICE) == (200, "certificate dns:alice.example")

    happens(tmp_path, story)


def test_what_is_open_is_open_whatever_credentials_come_with_it(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        assert await here.told(Role.ATTEST) == (200, "open")
        assert await here.told(Role.READ, token="nonsense") == (200, "open")  # noqa: S106 - it opens nothing.
        assert (here.api.requests, here.oidc.asked.total()) == ([], 0)

    happens(tmp_path, story)


@pytest.mark.parametrize("role", Role)
def test_an_instance_that_is_closed_knows_its_callers_alone(tmp_path: Path, role: Role) -> None:
    async def story(here: World) -> None:
        assert await here.told(role, "closed") == (401, "DJ550")
        expected = (200, "certificate dns:alice.example") if role in {Role.ATTEST, Role.POLICY} else (403, "DJ552")
        assert await here.told(role, "closed", certificate=ALICE) == expected

    happens(tmp_path, story)


def test_a_known_caller_without_the_role_is_forbidden_and_an_unknown_one_is_asked_who_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(here: World) -> None:
        forbidden = await here.ask(instance="team-b", token=here.oidc.token())
        assert (forbidden.status_code, forbidden.json()["said"]) == (403, "DJ552")
        told = [vars(each)["fields"] for each in caplog.records if each.message == "caller without the role"]
        assert told == [{"caller": "corp:alice", "instance": "team-b", "role": Role.POLICY}]
        assert "www-authenticate" not in forbidden.headers
        assert await here.told(Role.DRAFT, token=here.oidc.token()) == (403, "DJ552")
        assert await here.told(token=here.oidc.token(sub="bob")) == (403, "DJ552")
        nobody = await here.ask()
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
        wrong = await here.ask(token=here.oidc.token(aud="x"))
        assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')

    happens(tmp_path, story)


def test_nothing_configured_means_that_nobody_may_change_or_try_policies(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        for role in (Role.POLICY, Role.DRAFT):
            assert await here.told(role) == (401, "DJ550")
            assert await here.told(role, token=here.oidc.token()) == (403, "DJ552")
            assert await here.told(role, certificate=ALICE) == (403, "DJ552")
        here.callers = Doorkeeper(Access())
        for role in (Role.POLICY, Role.DRAFT):
            assert await here.told(role, token=here.oidc.token(), certificate=ALICE) == (401, "DJ550")

    happens(tmp_path, story, access=Access())


WRONG: dict[str, list[tuple[str, str]]] = {
    "another scheme": [("Authorization", "Basic YTpi")],
    "no token": [("Authorization", "Bearer")],
    "nonsense": [("Authorization", "Bearer nonsense")],
    "letters of no token": [("Authorization", "Bearer \xff.\xff.\xff")],
    "a huge one": [("Authorization", "Bearer " + "x" * 15000)],
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_credentials_that_are_none_are_refused_though_a_certificate_stands_beside_them(
    tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    async def story(here: World) -> None:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        assert await here.told(headers=raw) == (401, "DJ551")
        assert await here.told(headers=raw, certificate=ALICE) == (401, "DJ551")
        assert here.api.requests == []

    happens(tmp_path, story)


def test_two_authorization_headers_are_none(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        good = ("Authorization", f"Bearer {here.oidc.token()}")
        assert await here.told(headers=[good, good]) == (401, "DJ551")

    happens(tmp_path, story)


def test_no_header_says_who_calls(tmp_path: Path) -> None:
    names = ("X-Forwarded-User", "X-Remote-User", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-For", "Host")
    pem = ALICE.pem.decode().replace("\n", "%0A")

    async def story(here: World) -> None:
        for name in names:
            for value in ("alice", "dns:alice.example", pem):
                assert await here.told(headers=[(name, value)]) == (401, "DJ550")

    happens(tmp_path, story)


def test_while_whoever_knows_the_caller_is_away_nobody_passes(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        here.oidc.says[DISCOVERY] = (500, b"")
        here.api.answer = lambda _: status(500, "away")
        assert await here.told(token=here.oidc.token()) == (503, "DJ553")
        assert await here.told(token=account_token(here)) == (503, "DJ554")
        assert await here.told(certificate=ALICE) == (200, "certificate dns:alice.example")

    happens(tmp_path, story)


def test_a_token_of_an_issuer_that_is_not_set_goes_nowhere(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        here.callers = Doorkeeper(ACCESS, Credentials({}, None, lambda: NOW))
        assert await here.told(token=here.oidc.token()) == (401, "DJ551")
        assert (here.api.requests, here.oidc.asked.total()) == ([], 0)

    happens(tmp_path, story)


def test_a_certificate_that_ends_while_its_connection_lives_counts_no_longer(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        here.moment = START + DECADES + timedelta(seconds=1)
        assert await here.told(certificate=ALICE) == (401, "DJ551")
        here.moment = NOW
        assert await here.told(certificate=OURS.issue(common=())) == (401, "DJ551")

    happens(tmp_path, story)


def test_a_certificate_of_another_name_is_another_caller(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        for other in (OURS.issue(x509.DNSName("alice.example.org")), OURS.issue(common=("dns:alice.example",))):
            assert await here.told(certificate=other) == (403, "DJ552")

    happens(tmp_path, story)


def test_the_first_name_of_a_certificate_names_its_caller_in_the_answer_in_the_log_and_in_the_settings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, common = x509.DNSName("alice.example"), x509.DNSName("bob.example"), ("carol",)

    async def story(here: World) -> None:
        assert await here.told(certificate=OURS.issue(first, second, common=common)) == (200, "certificate dns:alice.example")
        answer = await here.ask(certificate=OURS.issue(second, first, common=common))
        assert (answer.status_code, answer.json()["said"]) == (403, "DJ552")
        assert [line.fields["caller"] for line in caplog.records if hasattr(line, "fields")] == ["dns:bob.example"]

    happens(tmp_path, story)


def test_too_many_from_one_address_are_told_when_to_come_again_and_a_request_counts_once(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        assert [await here.told(Role.ATTEST) for _ in range(4)] == [(200, "open")] * 4
        answer = await here.ask(Role.ATTEST)
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["said"]) == (429, "1", "DJ560")
        assert (await here.told(token=here.oidc.token()))[0] == 429
        here.seconds += 1
        assert (await here.told(Role.ATTEST))[0] == 200

    happens(tmp_path, story, rate=2)


def test_a_caller_is_counted_from_wherever_it_calls(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        rates = Rates(Rate(each_second=1), lambda: 0.0)
        here.callers = Doorkeeper(ACCESS, here.callers._proofs, rates)
        rates.wait("certificate dns:alice.example")
        assert (await here.told(certificate=ALICE))[0] == 200
        rates._whole.pop(HOST)
        assert await here.told(certificate=ALICE) == (429, "DJ560")

    happens(tmp_path, story)
