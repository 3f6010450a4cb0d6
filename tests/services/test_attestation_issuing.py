"""When platforms' certificates are fetched again, by a clock that the test sets, and what is served while nobody answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.adapters import databases
from tests.collateral.machines import HIGH, LOW, issuers, known, registration
from tests.simulation.intel import MOMENT, world

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.platforms import PlatformTable
from donjon.collateral import platforms as rooms
from donjon.collateral.bundle import files
from donjon.collateral.plan import Absent, Answer, CollateralRequest
from donjon.collateral.platforms import Registration
from donjon.collateral.selection import Tcb
from donjon.errors import Unavailable
from donjon.pki import intel
from donjon.services.attestation.pccs.cache import Cache
from donjon.services.attestation.pccs.pck_source import PckSource
from donjon.services.attestation.pccs.platforms import FRESH, Platforms
from donjon.simulation.intel.machines import Svns, pckcerts, tcbm
from donjon.simulation.intel.world import World

DAY = timedelta(days=1)


@dataclass
class Intel:
    """Intel's service, which has one machine's certificates, or is away."""

    made: World = field(default_factory=world)
    tcbs: Sequence[Svns] = (HIGH, LOW)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, request: CollateralRequest) -> Answer:
        what = request.path.rpartition("v4/")[2]
        self.asked.append(what)
        if self.away:
            raise Unavailable("DJ281", "away")
        made, parts = self.made, files(self.made.collateral)
        has = {
            "pckcerts": Answer(body=pckcerts(made.setting, self.tcbs), chain=issuers(made)),
            "tcb": Answer(body=parts["tcb_info.json"], chain=made.tcb_info_issuer_chain),
            "pckcrl": Answer(body=made.pck_crl, chain=made.pck_crl_issuer_chain),
            "rootcacrl": Answer(body=made.root_ca_crl),
        }
        if what not in has:
            raise Absent("DJ281", "none")
        return has[what]


@dataclass
class Here:
    """One cache's platforms; several may share a database."""

    database: Database
    intel: Intel
    moment: datetime = MOMENT
    seconds: float = 0.0
    kept: Platforms = field(init=False)

    def __post_init__(self) -> None:
        metrics = AttestationMetrics("test")
        cache = Cache(
            store=CollateralTable(self.database),
            upstream=self.intel,
            anchor=intel.anchor(self.intel.made.root),
            moment=lambda: self.moment,
            seconds=lambda: self.seconds,
            chance=lambda: 0.5,
            metrics=metrics,
        )
        cache.load()
        self.kept = Platforms(
            cache=cache,
            store=PlatformTable(self.database),
            source=PckSource(self.intel, is_cache=False),
            on_demand=True,
            moment=lambda: self.moment,
            seconds=lambda: self.seconds,
            chance=lambda: 0.5,
            metrics=metrics,
        )

    async def best(self, tcb: Svns, asked: Registration | None = None) -> str:
        raw = bytes.fromhex(tcbm(tcb))
        found = await self.kept.certificate(asked or registration(), rooms.tcb(raw[:16], raw[16:]))
        return found.certificate.tcbm

    def fetched(self) -> int:
        return self.intel.asked.count("pckcerts")


@contextmanager
def database(folder: Path) -> Iterator[Database]:
    opened = databases.opened(f"sqlite:///{folder}/x.db")
    yield opened
    opened.close()


def told(folder: Path, story: Callable[[Here], Awaitable[None]]) -> None:
    async def run() -> None:
        with database(folder) as opened:
            here = Here(opened, Intel())
            await story(here)
            await here.kept.close()

    asyncio.run(run())


def test_a_platforms_certificates_are_fetched_again_at_their_moment_and_nobody_waits(tmp_path: Path) -> None:
    higher: Svns = ((HIGH[0][0] + 1, *HIGH[0][1:]), HIGH[1])

    async def story(here: Here) -> None:
        assert await here.best(higher) == tcbm(HIGH)
        here.intel.tcbs = (higher, HIGH, LOW)
        here.moment += 24 * DAY
        assert await here.best(higher) == tcbm(HIGH)
        assert here.fetched() == 1
        here.moment += 2 * DAY
        assert await here.best(higher) == tcbm(HIGH)  # Nobody waits for the newer ones.
        async with asyncio.timeout(5):
            while await here.best(higher) != tcbm(higher):  # noqa: ASYNC110 - a thread fetches.
                await asyncio.sleep(0.01)
        assert here.fetched() == 2

    told(tmp_path, story)


def test_what_nobody_asks_for_is_fetched_again_when_it_is_looked_after(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.best(HIGH)
        here.moment += 29 * DAY
        await here.kept.look()
        assert here.fetched() == 1
        here.moment += 2 * DAY
        await here.kept.look()
        await here.kept.look()
        assert here.fetched() == 2

    told(tmp_path, story)


def test_while_intel_is_away_certificates_are_selected_by_what_has_ended_and_served_to_their_own_end(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.best(HIGH)
        here.intel.away = True
        here.moment += 200 * DAY  # The TCB info and the CA's list have ended, the certificates and the root's list have not.
        assert await here.best(LOW) == tcbm(LOW)
        here.moment += 9 * 365 * DAY
        with pytest.raises(Unavailable):
            await here.best(LOW)

    told(tmp_path, story)


def test_what_another_process_keeps_is_seen_within_its_minute(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        await here.best(HIGH)
        other = Here(here.database, here.intel)
        assert await other.best(HIGH) == tcbm(HIGH)
        assert here.fetched() == 1
        here.intel.tcbs = (LOW,)
        await other.kept.refresh([registration().name])
        assert await here.best(HIGH) == tcbm(HIGH)
        here.seconds += FRESH + 1
        assert await here.best(HIGH) == tcbm(LOW)

    told(tmp_path, story)


def test_without_encrypted_ppid_and_manifest_intel_is_not_asked(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        with pytest.raises(Absent, match="DJ574"):
            await here.best(HIGH, registration(encrypted_ppid=None))
        assert here.fetched() == 0

    told(tmp_path, story)


def test_a_stored_platform_that_is_not_proved_any_more_is_fetched_again(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        broken = replace(known(), stored_platform=replace(known().stored_platform, certificates=(b"no certificate\n",)))
        PlatformTable(here.database).write([broken])
        assert await here.best(HIGH) == tcbm(HIGH)
        assert here.fetched() == 1

    told(tmp_path, story)


def test_one_that_keeps_failing_is_left_alone_for_a_while(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        here.intel.away = True
        for seconds, count in ((0, 1), (4, 1), (6, 2)):
            here.seconds = seconds
            with pytest.raises(Unavailable):
                await here.best(HIGH)
            assert here.fetched() == count

    told(tmp_path, story)


def test_a_tcb_is_read_with_its_number_little_endian() -> None:
    assert rooms.tcb(bytes(16), b"\x0d\x01") == Tcb(components=bytes(16), pce_svn=0x10D)
