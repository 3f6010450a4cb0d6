"""TCB infos and identities by TCB evaluation data number: the one that was asked for, or none; and the list of numbers."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from pathlib import Path
from typing import ParamSpec
from urllib.parse import quote, unquote

import pytest
from tests.adapters.fakepccs import Pccs, Reply, answers
from tests.services.pccs import V4, running, settings
from tests.simulation.intel import SEED, world

from donjon.collateral import tcbnumbers
from donjon.collateral.bundle import files
from donjon.errors import Malformed
from donjon.services.attestation.settings.service import AttestationSettings
from donjon.simulation.intel.keys import private_key, raw_signature
from donjon.simulation.intel.world import World

P = ParamSpec("P")
NUMBER = "tcbEvaluationDataNumber"
TDX = "/tdx/certification/v4"
HELD = 20  # the number of a world's documents unless it says another
BEFORE = world("v3 SGX", {"tcb_info.evaluation_number": 18, "qe_identity.evaluation_number": 18})


def numbers(made: World, tee: str = "SGX", changes: Mapping[str, object] | None = None) -> bytes:
    """The list of numbers, signed as Intel's."""
    entries = [
        {NUMBER: number, "tcbRecoveryEventDate": "2026-01-01T00:00:00Z", "tcbDate": "2026-01-01T00:00:00Z"} for number in (20, 18)
    ]
    dates = {"issueDate": "2026-05-30T00:00:00Z", "nextUpdate": "2026-06-29T00:00:00Z"}
    text = json.dumps(
        {"id": tee, "version": 1, **dates, "tcbNumbers": entries, **(changes or {})}, separators=(",", ":")
    ).encode()
    signature = raw_signature(private_key(SEED, made.setting.signing.tcb_info_by), text)
    return b'{"tcbEvaluationDataNumbers":' + text + b',"signature":"' + signature.hex().encode() + b'"}'


def listed(made: World, body: bytes) -> Reply:
    return 200, {"TCB-Evaluation-Data-Numbers-Issuer-Chain": quote(made.tcb_info_issuer_chain.decode())}, body


@pytest.fixture
def made() -> World:
    return world()


def fmspc(made: World) -> str:
    return made.setting.extension.fmspc.hex()


def awaiting(story: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """The test that waits for the end of that story."""

    @wraps(story)
    def test(*arguments: P.args, **more: P.kwargs) -> None:
        asyncio.run(story(*arguments, **more))

    return test


PATHS = ("tcb", "qe/identity")


@pytest.mark.parametrize("path", PATHS)
@awaiting
async def test_a_number_is_answered_by_the_document_of_that_number(made: World, lazy: AttestationSettings, path: str) -> None:
    part = {"tcb": "tcb_info.json", "qe/identity": "qe_identity.json"}[path]
    async with running(lazy) as here:
        found = await here.get(f"{V4}/{path}", fmspc=fmspc(made), **{NUMBER: str(HELD)})
        assert (found.status_code, found.content) == (200, files(made.collateral)[part])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("number", "status"), [(18, 410), (0, 410), (19, 410), (21, 404), (9_999_999_999, 404)])
@awaiting
async def test_another_number_is_answered_by_no_document(
    made: World, lazy: AttestationSettings, path: str, number: int, status: int
) -> None:
    """The upstream answers it by what it has, as Intel's own cache does."""
    async with running(lazy) as here:
        found = await here.get(f"{V4}/{path}", fmspc=fmspc(made), **{NUMBER: str(number)})
        assert found.status_code == status
        assert "DJ562" in found.text


@awaiting
async def test_an_older_edition_comes_from_an_upstream_that_has_it_and_outlives_the_process(
    made: World, upstream: Pccs, lazy: AttestationSettings
) -> None:
    older = files(BEFORE.collateral)["tcb_info.json"]
    async with running(lazy) as here:
        for channel in ("standard", "early"):
            assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made), update=channel)).status_code == 200
        upstream.answers[f"{V4}/tcb"] = answers(BEFORE)[f"{V4}/tcb"]
        found = await here.get(f"{V4}/tcb", fmspc=fmspc(made), **{NUMBER: "18"})
        assert (found.status_code, found.content) == (200, older)
        assert {NUMBER: "18", "fmspc": fmspc(made).upper()} in [query for _, query in upstream.asked]
        current = await here.get(f"{V4}/tcb", fmspc=fmspc(made))
        assert current.content == files(made.collateral)["tcb_info.json"]
    upstream.away = True
    async with running(lazy) as again:
        found = await again.get(f"{V4}/tcb", fmspc=fmspc(made), **{NUMBER: "18"})
        assert (found.status_code, found.content) == (200, older)


@awaiting
async def test_offline_a_number_is_answered_by_what_was_kept(made: World, lazy: AttestationSettings, tmp_path: Path) -> None:
    async with running(lazy) as here:
        await here.get(f"{V4}/tcb", fmspc=fmspc(made))
    async with running(settings(tmp_path, made.root)) as offline:
        assert (await offline.get(f"{V4}/tcb", fmspc=fmspc(made), **{NUMBER: str(HELD)})).status_code == 200
        assert (await offline.get(f"{V4}/tcb", fmspc=fmspc(made), **{NUMBER: "21"})).status_code == 404


@pytest.mark.parametrize("path", [*PATHS, "qve/identity"])
@pytest.mark.parametrize(
    "query",
    [
        {NUMBER: str(HELD), "update": "early"},
        {NUMBER: str(HELD), "update": "standard"},
        {NUMBER: str(HELD), "update": ""},
        {NUMBER: ""},
        {NUMBER: "-1"},
        {NUMBER: "20.0"},
        {NUMBER: "\u0662\u0660"},
        {NUMBER: "1" * 11},
    ],
)
@awaiting
async def test_a_number_with_a_channel_and_no_number_are_refused(
    made: World, lazy: AttestationSettings, path: str, query: dict[str, str]
) -> None:
    async with running(lazy) as here:
        found = await here.get(f"{V4}/{path}", fmspc=fmspc(made), **query)
        assert found.status_code == 400
        assert NUMBER in found.text


@awaiting
async def test_the_numbers_come_with_their_chain_and_from_the_cache_afterwards(
    made: World, upstream: Pccs, lazy: AttestationSettings
) -> None:
    body = numbers(made)
    upstream.answers[f"{V4}/tcbevaluationdatanumbers"] = listed(made, body)
    async with running(lazy) as here:
        for _ in range(2):
            found = await here.get(f"{V4}/tcbevaluationdatanumbers")
            assert (found.status_code, found.content) == (200, body)
            assert found.headers["content-type"] == "application/json"
            chain = unquote(found.headers["TCB-Evaluation-Data-Numbers-Issuer-Chain"]).encode()
            assert chain == made.tcb_info_issuer_chain
            upstream.away = True
        assert (await here.get(f"{TDX}/tcbevaluationdatanumbers")).status_code == 502
    async with running(lazy) as again:
        assert (await again.get(f"{V4}/tcbevaluationdatanumbers")).content == body


@awaiting
async def test_an_upstream_without_numbers_is_no_list(lazy: AttestationSettings) -> None:
    async with running(lazy) as here:
        assert (await here.get(f"{V4}/tcbevaluationdatanumbers")).status_code == 404


@pytest.mark.parametrize(
    ("tee", "spoil"),
    [("TDX", b""), ("SGX", b"20")],
    ids=["of another kind of platform", "changed after it was signed"],
)
@awaiting
async def test_a_list_that_is_not_what_was_asked_for_is_not_passed_on(
    made: World, upstream: Pccs, lazy: AttestationSettings, tee: str, spoil: bytes
) -> None:
    body = numbers(made, tee)
    upstream.answers[f"{V4}/tcbevaluationdatanumbers"] = listed(made, body.replace(spoil, b"21", 1) if spoil else body)
    async with running(lazy) as here:
        assert (await here.get(f"{V4}/tcbevaluationdatanumbers")).status_code == 502


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"id": "QE"},
        {"tcbNumbers": []},
        {"tcbNumbers": [{NUMBER: "20"}]},
        {"tcbNumbers": [{NUMBER: 1}] * (tcbnumbers.MAX_NUMBERS + 1)},
        {"nextUpdate": "soon"},
    ],
)
def test_a_list_of_another_form_is_refused(made: World, changes: dict[str, object]) -> None:
    text = numbers(made, changes=changes).removeprefix(b'{"tcbEvaluationDataNumbers":').rpartition(b',"signature"')[0]
    with pytest.raises(Malformed):
        tcbnumbers.parse(text)
