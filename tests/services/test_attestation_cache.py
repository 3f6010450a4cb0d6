"""When the cache asks its upstream, and what it serves while that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from tests.simulation.intel import MOMENT, world

from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import document, plan
from donjon.collateral.bundle import files
from donjon.collateral.document import Document
from donjon.collateral.plan import Absent, Answer, Channel, CollateralRequest
from donjon.errors import DonjonError, Unavailable
from donjon.pki import intel
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor
from donjon.services.attestation.pccs.cache import Cache
from donjon.sgx.platform import Ca, Tee
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.world import World

DAY = timedelta(days=1)
WINDOW = {"issue_date": -1, "next_update": 29}
IDENTITY = plan.qe_identity(Tee.SGX, Channel.STANDARD)


def later(days: int) -> World:
    """The same world, its identity issued some days later."""
    issued = MOMENT + (days - 2) * DAY
    return world(changes={"qe_identity.issue_date": issued, "qe_identity.next_update": issued + 30 * DAY})


def anew(moment: datetime, revoked: frozenset[SimulatedRole] = frozenset()) -> World:
    """The same world, its identity and the root's list issued a day before that moment."""
    windows = {f"{name}.{end}": moment + days * DAY for name in ("qe_identity", "root_crl") for end, days in WINDOW.items()}
    return world(changes={**windows, "root_crl.revoked": revoked})


@dataclass
class Upstream:
    """Has one world's documents, or is away."""

    made: World
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, request: CollateralRequest) -> Answer:
        self.asked.append(request.path.rpartition("v4/")[2])
        if self.away:
            raise Unavailable("DJ281", "away")
        answers = {
            IDENTITY.path: Answer(body=files(self.made.collateral)["qe_identity.json"], chain=self.made.qe_identity_issuer_chain),
            plan.root_ca_crl().path: Answer(body=self.made.root_ca_crl),
            plan.pck_crl(Ca.PROCESSOR).path: Answer(body=self.made.pck_crl, chain=self.made.pck_crl_issuer_chain),
        }
        if request.path not in answers:
            raise Absent("DJ281", "none")
        return answers[request.path]


@dataclass
class Table:
    kept: dict[str, Answer] = field(default_factory=dict)
    full: bool = False

    def all(self) -> dict[str, Answer]:
        return dict(self.kept)

    def read(self, name: str) -> Answer | None:
        return self.kept.get(name)

    def write(self, documents: dict[str, Answer]) -> None:
        if self.full:
            raise Unavailable("DJ502", "database: full")
        self.kept |= documents


@dataclass
class Here:
    upstream: Upstream
    table: Table
    moment: datetime = MOMENT
    seconds: float = 0.0

    def cache(self, chance: float = 0.5) -> Cache:
        made = Cache(
            store=self.table,
            upstream=self.upstream,
            anchor=intel.anchor(self.upstream.made.root),
            moment=lambda: self.moment,
            seconds=lambda: self.seconds,
            chance=lambda: chance,
            metrics=AttestationMetrics("test"),
        )
        made.load()
        return made


def told(story: Callable[[Here, Cache], Awaitable[None]], chance: float = 0.5) -> None:
    async def run() -> None:
        here = Here(Upstream(later(0)), Table())
        cache = here.cache(chance)
        await story(here, cache)
        await cache.close()

    asyncio.run(run())


async def settled(here: Here, count: int) -> None:
    async with asyncio.timeout(5):
        while len(here.upstream.asked) < count:  # noqa: ASYNC110 - a thread asks.
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)


@pytest.mark.parametrize(("chance", "days"), [(0.0, 19), (1.0, 13)])
def test_a_document_is_fetched_again_ahead_of_its_end_each_at_its_own_moment(chance: float, days: int) -> None:
    async def story(here: Here, cache: Cache) -> None:
        first = await cache.get(IDENTITY)
        here.upstream.made = later(5)
        count = len(here.upstream.asked)
        here.moment = MOMENT + (days - 1) * DAY
        assert await cache.get(IDENTITY) is first
        await asyncio.sleep(0.05)
        assert len(here.upstream.asked) == count
        here.moment = MOMENT + (days + 1) * DAY
        assert await cache.get(IDENTITY) is first  # Nobody waits for the newer one.
        await settled(here, count + 1)
        assert (await cache.get(IDENTITY)).issue_date == MOMENT + 3 * DAY

    told(story, chance)


def test_while_the_upstream_is_away_what_is_here_is_served_to_its_end_and_no_longer() -> None:
    async def story(here: Here, cache: Cache) -> None:
        first = await cache.get(IDENTITY)
        here.upstream.away = True
        here.moment = first.expires
        assert await cache.get(IDENTITY) is first
        await settled(here, 3)
        here.moment += timedelta(seconds=1)
        with pytest.raises(Unavailable, match="away"):
            await cache.get(IDENTITY)
        here.upstream.away, here.upstream.made, here.seconds = False, later(30), 6.0
        assert (await cache.get(IDENTITY)).issue_date == MOMENT + 28 * DAY  # Recovered without a hand.

    told(story)


def test_an_upstream_that_has_none_or_fails_is_left_alone_for_a_while() -> None:
    async def story(here: Here, cache: Cache) -> None:
        missing = plan.tcb_info(Tee.SGX, bytes(6), Channel.STANDARD)
        for seconds, count in ((0, 1), (59, 1), (61, 2)):
            here.seconds = seconds
            with pytest.raises(Absent):
                await cache.get(missing)
            assert len(here.upstream.asked) == count
        here.upstream.away = True
        for seconds, count in ((61, 3), (65, 3), (67, 4)):
            here.seconds = seconds
            with pytest.raises(Unavailable):
                await cache.get(IDENTITY)
            assert len(here.upstream.asked) == count

    told(story)


def test_what_another_process_has_kept_is_taken_from_the_database_instead_of_fetched_again() -> None:
    async def story(here: Here, cache: Cache) -> None:
        first = await cache.get(IDENTITY)
        other = here.cache()
        here.upstream.made = later(20)
        await other.refresh(everything=True)
        here.upstream.away, here.moment = True, first.expires + timedelta(seconds=1)
        assert (await cache.get(IDENTITY)).issue_date == MOMENT + 18 * DAY
        here.table.kept[IDENTITY.name()] = Answer(body=b"{}", chain=b"")
        here.moment += 30 * DAY
        with pytest.raises(Unavailable):
            await cache.get(IDENTITY)

    told(story)


def test_what_cannot_be_kept_is_not_served() -> None:
    async def story(here: Here, cache: Cache) -> None:
        here.table.full = True
        with pytest.raises(Unavailable, match="full"):
            await cache.get(IDENTITY)
        here.table.full, here.seconds = False, 6.0
        assert await cache.get(IDENTITY) is not None

    told(story)


def test_a_newer_list_of_the_roots_takes_away_what_it_revokes() -> None:
    async def story(here: Here, cache: Cache) -> None:
        await cache.get(IDENTITY)
        revoking = {"root_crl.revoked": frozenset({SimulatedRole.TCB_SIGNING}), "root_crl.issue_date": MOMENT}
        here.upstream.made = world(changes=revoking)
        assert (await cache.get(IDENTITY)).evaluation_number > 0
        with suppress(DonjonError):  # Whichever of the two comes first.
            await cache.refresh(everything=True)
        assert IDENTITY.name() not in cache.documents

    told(story)


def test_what_is_stored_is_proved_again_at_the_start() -> None:
    async def story(here: Here, cache: Cache) -> None:
        await cache.get(IDENTITY)
        kept = here.table.kept[IDENTITY.name()]
        here.table.kept[IDENTITY.name()] = Answer(body=kept.body.replace(b"UpToDate", b"UpToDatd"), chain=kept.chain)
        here.upstream.away = True
        again = here.cache()
        with pytest.raises(Unavailable):
            await again.get(IDENTITY)
        assert plan.root_ca_crl().name() in again.documents

    told(story)


def test_a_list_of_the_roots_that_another_process_kept_and_that_has_ended_is_fetched_anew() -> None:
    async def story(here: Here, cache: Cache) -> None:
        first = await here.cache().get(plan.root_ca_crl())
        here.moment = first.expires + timedelta(seconds=1)
        here.upstream.made = anew(here.moment)
        assert (await cache.get(IDENTITY)).expires > here.moment

    told(story)


def test_a_newer_list_of_the_roots_that_another_process_kept_takes_away_what_it_revokes() -> None:
    async def story(here: Here, cache: Cache) -> None:
        await cache.get(IDENTITY)
        here.moment = cache.documents[plan.root_ca_crl().name()].expires + timedelta(seconds=1)
        here.upstream.made = anew(here.moment, frozenset({SimulatedRole.TCB_SIGNING}))
        await here.cache().get(plan.root_ca_crl())
        here.upstream.away = True
        await cache.get(plan.root_ca_crl())
        assert IDENTITY.name() not in cache.documents

    told(story)


def test_what_is_stored_without_a_list_of_the_roots_is_fetched_with_it() -> None:
    async def story(here: Here, cache: Cache) -> None:
        await here.cache().get(IDENTITY)
        del here.table.kept[plan.root_ca_crl().name()]
        assert (await cache.get(IDENTITY)).expires > here.moment

    told(story)


def test_what_was_brought_before_the_root_revoked_it_is_not_taken() -> None:
    async def story(here: Here, cache: Cache) -> None:
        await here.cache().get(IDENTITY)
        brought = cache.prove_all(here.table.all())
        here.table.kept.clear()
        here.moment += DAY
        here.upstream.made = anew(here.moment + DAY, frozenset({SimulatedRole.TCB_SIGNING}))
        await cache.get(plan.root_ca_crl())
        await cache.accept(brought)
        assert {*cache.documents} == {plan.root_ca_crl().name()}

    told(story)


def test_a_list_of_the_roots_that_revokes_nothing_more_costs_nothing_for_each_document(monkeypatch: pytest.MonkeyPatch) -> None:
    proved: list[str] = []
    prove = document.prove

    def counted(request: CollateralRequest, answer: Answer, revoked: Crl, anchor: Anchor) -> Document:
        proved.append(request.path)
        return prove(request, answer, revoked, anchor)

    async def story(here: Here, cache: Cache) -> None:
        await cache.get(IDENTITY)
        await cache.get(plan.pck_crl(Ca.PROCESSOR))
        here.upstream.made = world(changes={"root_crl.issue_date": MOMENT})
        monkeypatch.setattr(document, "prove", counted)
        found = await cache.refetch(plan.root_ca_crl())
        assert found.issue_date == MOMENT
        assert proved == []

    told(story)


def test_an_older_list_in_the_database_does_not_hide_what_is_revoked_now() -> None:
    revoking = {"root_crl.revoked": frozenset({SimulatedRole.TCB_SIGNING}), "root_crl.issue_date": MOMENT}

    async def story(here: Here, cache: Cache) -> None:
        await cache.get(IDENTITY)
        older, chain = here.table.kept[plan.root_ca_crl().name()], here.table.kept[IDENTITY.name()].chain
        here.upstream.made = world(changes=revoking)
        await cache.refetch(plan.root_ca_crl())
        ends = cache.documents[plan.root_ca_crl().name()].expires
        here.upstream.away, here.moment = True, ends + timedelta(seconds=1)
        newer = files(later((ends - MOMENT).days).collateral)["qe_identity.json"]
        here.table.kept = {plan.root_ca_crl().name(): older, IDENTITY.name(): Answer(body=newer, chain=chain)}
        for request in (plan.root_ca_crl(), IDENTITY):
            with pytest.raises(Unavailable):
                await cache.get(request)

    told(story)
