"""Service accounts by TokenReview, asked of the fake API server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.adapters.fakeapi import FakeApi, Request, api_server, http, status

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.kubeapi.reviews import AT_ONCE, CACHE_SECONDS, MAX_CACHE, PATH, TokenReviews
from donjon.errors import DonjonError, Unavailable, Untrusted
from donjon.formats.json import Json, JsonObject

AUDIENCE = "https://attest.example"
USER: JsonObject = {"username": "system:serviceaccount:team-a:deployer", "groups": ["system:serviceaccounts"]}
GOOD: JsonObject = {"authenticated": True, "audiences": [AUDIENCE], "user": USER}


def reviewing(said: Json) -> Callable[[Request], bytes]:
    """It answers every review with that status."""
    return lambda _: http(201, json.dumps({"kind": "TokenReview", "status": said}).encode())


@dataclass
class World:
    api: FakeApi
    reviews: TokenReviews
    seconds: float = 0.0

    async def code(self, token: str = "t") -> str:  # noqa: S107 - it opens nothing.
        """With which code that token is refused; none where it is not."""
        try:
            await self.reviews.account(token)
        except (Untrusted, Unavailable) as error:
            return error.code
        return ""

    @property
    def asked(self) -> int:
        return len(self.api.asked("POST", PATH))


def happens(folder: Path, story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with api_server() as api:
            client = KubeApi(api.access(folder))
            world = World(api, TokenReviews(client, AUDIENCE, lambda: world.seconds))
            api.answer = reviewing(GOOD)
            try:
                await story(world)
            finally:
                await client.close()

    asyncio.run(run())


def test_the_api_server_says_whose_a_token_is_for_our_audience(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await world.reviews.account("the-token") == "team-a/deployer"
        asked = json.loads(world.api.requests[0].body)
        assert (asked["kind"], asked["spec"]) == ("TokenReview", {"token": "the-token", "audiences": [AUDIENCE]})

    happens(tmp_path, story)


@pytest.mark.parametrize(
    "said",
    [
        {**GOOD, "authenticated": False},
        {**GOOD, "authenticated": "true"},
        {"error": "invalid bearer token"},
        {**GOOD, "audiences": []},
        {**GOOD, "audiences": ["https://kubernetes.default.svc"]},
        {**GOOD, "audiences": AUDIENCE},
        {"authenticated": True, "user": USER},
        {**GOOD, "user": {"username": "kubernetes-admin"}},
        {**GOOD, "user": {"username": "system:node:n"}},
        {**GOOD, "user": {"username": 1}},
        None,
    ],
)
def test_whom_the_api_server_does_not_know_as_a_service_account_for_us_is_refused(tmp_path: Path, said: Json) -> None:
    async def story(world: World) -> None:
        world.api.answer = reviewing(said)
        assert await world.code() == "DJ551"

    happens(tmp_path, story)


@pytest.mark.parametrize("answer", [status(403, "forbidden"), status(500, "etcd"), http(201, b"[]"), http(201, b"no"), b""])
def test_an_api_server_that_does_not_say_lets_nobody_pass_and_is_asked_again(tmp_path: Path, answer: bytes) -> None:
    async def story(world: World) -> None:
        world.api.answer = lambda _: answer
        assert await world.code() == "DJ554"
        world.api.answer = reviewing(GOOD)
        assert await world.code() == ""

    happens(tmp_path, story)


def test_answers_are_kept_for_seconds_both_ways(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for said, code in ((GOOD, ""), (None, "DJ551")):
            world.api.answer = reviewing(said)
            world.seconds += CACHE_SECONDS
            before = world.asked
            assert [await world.code() for _ in range(3)] == [code] * 3
            assert world.asked == before + 1
            world.seconds += CACHE_SECONDS - 0.1
            assert (await world.code(), world.asked) == (code, before + 1)
            world.seconds += 0.1

    happens(tmp_path, story)


def test_many_with_one_token_at_once_cost_few_questions(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.api.lag = 0.05
        assert set(await asyncio.gather(*(world.code() for _ in range(10 * AT_ONCE)))) == {""}
        assert world.asked <= AT_ONCE

    happens(tmp_path, story)


def test_of_what_is_kept_there_is_a_bound_and_no_token_in_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.reviews._cache.update({b"%d" % number: (1e9, None) for number in range(MAX_CACHE)})
        await world.reviews.account("secret-token")
        assert len(world.reviews._cache) == MAX_CACHE
        assert "secret-token" not in repr(world.reviews._cache)

    happens(tmp_path, story)


def test_an_api_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.api.stop()
        with pytest.raises(DonjonError, match="DJ554"):
            await world.reviews.account("t")

    happens(tmp_path, story)
