"""An upstream that is another PCCS gives one PCK certificate at a time: strangers take none from a machine, and none is lost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.adapters.fakepccs import Key, Pccs, Reply, answers, serving
from tests.collateral.machines import issuers
from tests.services.pccs import V4, Here
from tests.services.test_attestation_platforms import check, lazy, told
from tests.simulation.intel import world

from donjon.collateral.plan import PCK_CHAIN_HEADER
from donjon.services.attestation.pccs import platform_memory
from donjon.simulation.intel.machines import Svns, pck_certificate
from donjon.simulation.intel.setting import COMPONENTS, PCE_SVN
from donjon.simulation.intel.world import World

LEVELS: list[Svns] = [((COMPONENTS[0], *COMPONENTS[1:15], 100 + step), PCE_SVN + 1) for step in range(22)]
"""As many as Intel has for some machines, the lowest first."""


class OneByOne(Pccs):
    """Intel's own cache: the certificate of the TCB that is asked for, or of the next one below it, or 404."""

    def __init__(self, made: World, levels: list[Svns]) -> None:
        super().__init__(answers(made))
        self.made, self.levels = made, levels
        self.answers: dict[Key, Reply] = _Selecting(self)

    def requests(self) -> int:
        return sum(path.endswith("/pckcert") for path, _ in self.asked)


class _Selecting(dict[Key, Reply]):
    def __init__(self, pccs: OneByOne) -> None:
        super().__init__(pccs.answers)
        self._pccs = pccs

    def get(self, key: Key, default: Reply | None = None) -> Reply | None:  # type: ignore[override] # As the server calls it.
        if key != f"{V4}/pckcert":
            return super().get(key, default)
        _, query = self._pccs.asked[-1]
        asked = bytes.fromhex(query["cpusvn"]), int.from_bytes(bytes.fromhex(query["pcesvn"]), "little")
        below = [each for each in self._pccs.levels if each[1] <= asked[1] and all(map(int.__le__, each[0], asked[0]))]
        if not below:
            return 404, {}, b"no cache data"
        chain = {PCK_CHAIN_HEADER: quote(issuers(self._pccs.made).decode())}
        return 200, chain, pck_certificate(self._pccs.made.setting, below[-1])


@pytest.fixture(scope="module")
def made() -> World:
    return world()


@pytest.fixture
def upstream(made: World) -> Iterator[OneByOne]:
    pccs = OneByOne(made, list(LEVELS))
    with serving(pccs):
        yield pccs


def invented(number: int) -> Svns:
    """A TCB that no machine has, and for which there is no certificate."""
    return (number % 256, number // 256, *([0] * 14)), 1


def test_a_client_that_walks_all_levels_gets_each_one_and_again_from_here(
    tmp_path: Path, made: World, upstream: OneByOne
) -> None:
    async def story(here: Here) -> None:
        for _ in range(2):
            for level in LEVELS:
                check(await here.certificate(level), made, level)
        assert upstream.requests() == len(LEVELS)

    told(lazy(tmp_path, made, upstream), story)


def test_levels_that_are_asked_for_at_once_are_all_kept(tmp_path: Path, made: World, upstream: OneByOne) -> None:
    async def story(here: Here) -> None:
        found = await asyncio.gather(*map(here.certificate, LEVELS))
        for level, answer in zip(LEVELS, found, strict=True):
            check(answer, made, level)
        count = upstream.requests()
        for level in LEVELS:
            check(await here.certificate(level), made, level)
        assert upstream.requests() == count == len(LEVELS)

    told(lazy(tmp_path, made, upstream), story)


def test_strangers_with_tcbs_that_nobody_has_take_nothing_from_the_machine(
    tmp_path: Path, made: World, upstream: OneByOne
) -> None:
    async def story(here: Here) -> None:
        check(await here.certificate(LEVELS[3]), made, LEVELS[3])
        for number in range(platform_memory.MAX_TCBS + 40):
            assert (await here.certificate(invented(number))).status_code == 404
        for number in range(platform_memory.MAX_TCBS + 40):
            higher = ((*LEVELS[3][0][:15], 101), PCE_SVN + 2 + number)
            check(await here.certificate(higher), made, LEVELS[1])
        for level in LEVELS:
            check(await here.certificate(level), made, level)

    told(lazy(tmp_path, made, upstream), story)


def test_a_stranger_who_comes_first_with_a_tcb_that_nobody_has_keeps_nobody_waiting(
    tmp_path: Path, made: World, upstream: OneByOne
) -> None:
    async def story(here: Here) -> None:
        assert (await here.certificate(invented(0))).status_code == 404
        check(await here.certificate(LEVELS[0]), made, LEVELS[0])

    told(lazy(tmp_path, made, upstream), story)


def test_what_failed_is_asked_for_no_second_time_at_once(tmp_path: Path, made: World, upstream: OneByOne) -> None:
    async def story(here: Here) -> None:
        check(await here.certificate(LEVELS[0]), made, LEVELS[0])
        for _ in range(5):
            assert (await here.certificate(invented(0))).status_code == 404
        assert upstream.requests() == 2

    told(lazy(tmp_path, made, upstream), story)


def test_a_refresh_forgets_what_was_asked_for(tmp_path: Path, made: World, upstream: OneByOne) -> None:
    upstream.levels = LEVELS[:2]

    async def story(here: Here) -> None:
        check(await here.certificate(LEVELS[9]), made, LEVELS[1])
        upstream.levels = list(LEVELS)
        check(await here.certificate(LEVELS[9]), made, LEVELS[1])
        assert (await here.send("POST", f"{V4}/refresh?type=certs", admin="a")).status_code == 200
        check(await here.certificate(LEVELS[9]), made, LEVELS[9])

    told(lazy(tmp_path, made, upstream), story)


def test_callers_are_counted_for_each_tcb_that_is_not_here(tmp_path: Path, made: World, upstream: OneByOne) -> None:
    async def story(here: Here) -> None:
        check(await here.certificate(LEVELS[0]), made, LEVELS[0])
        answers = [await here.certificate(invented(number)) for number in range(6)]
        assert 429 in [each.status_code for each in answers]
        check(await here.certificate(LEVELS[0]), made, LEVELS[0])

    told(lazy(tmp_path, made, upstream, rate_limit=1), story)
