"""Heads: signed in time, told elsewhere, and what fails with them never stands in a decision's way."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from testbed import clock

from donjon.adapters.keys import signing
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import Witness
from donjon.adapters.storage.journal import Journal
from donjon.adapters.storage.records import snapshot
from donjon.audit import statements
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.audit.statements import Statement
from donjon.audit.verification import EVERY, RECORDS, Verification, verify
from donjon.errors import Unavailable
from donjon.signing import signer_certificate
from donjon.signing.signer import Algorithm, Signer

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
SOON = timedelta(seconds=30)  # by which a clock may be put back within a chain
EVENT = Event(kind=EventKind.ATTEST, instance="a", caller="alice", verdict=EventVerdict.ALLOW)
KEY = signing.fresh_key(Algorithm.ES256)
CERTIFICATE = signing.self_signed(KEY, "https://attest.example", MOMENT, timedelta(days=1))
SIGNER = signing.parse_signer(KEY, CERTIFICATE)


@dataclass
class World:
    """A journal's surroundings: its clock, and what was told."""

    now: datetime = MOMENT
    heads: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    away: bool = False

    def signer(self) -> Signer:
        if self.away:
            raise Unavailable("DJ541", "signing keys: none has begun")
        return SIGNER

    def witness(self, records: int = RECORDS, every: timedelta = EVERY) -> Witness:
        return Witness(signer=self.signer, announce=self.heads.append, fail=self.failures.append, every=every, records=records)

    def said(self) -> list[Statement]:
        return [statements.parse(text, (signer_certificate.parse(CERTIFICATE),)) for text in self.heads]

    def numbers(self) -> list[int]:
        return [each.link.number for each in self.said()]


def keep(journal: Journal, count: int = 1) -> None:
    async def one_by_one() -> None:
        for _ in range(count):
            await journal.keep(EVENT, instance="a", generation=0)

    asyncio.run(one_by_one())


def until_there_are(world: World, count: int) -> None:
    """While the journal is open."""
    assert clock.wait_until(lambda: len(world.heads) >= count, seconds=5)


def test_a_head_comes_with_so_many_records_and_at_the_end_and_the_chain_holds_beside_them(database: Database) -> None:
    world = World()
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(records=3))
    keep(journal, 7)
    journal.close()
    assert world.numbers() == [0, 3, 6, 7]
    with snapshot(database) as seen:
        stored = seen.statements()
    assert found(database).findings == ()
    assert sorted(stored) == sorted(world.heads)


def test_the_last_head_says_that_it_is_the_last_also_where_another_says_the_same(database: Database) -> None:
    world = World()
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(records=3))
    keep(journal, 3)
    journal.close()
    assert [(each.link.number, each.last) for each in world.said()] == [(0, False), (3, False), (3, True)]
    with snapshot(database) as seen:
        assert sorted(seen.statements()) == sorted([world.heads[0], world.heads[2]])


def test_a_journal_that_has_kept_nothing_says_nothing(database: Database) -> None:
    world = World()
    Journal(database, writer="w", moment=lambda: world.now, witness=world.witness()).close()
    assert world.heads == []


def test_while_the_journal_is_open_the_chain_is_whole_from_its_first_record_on(database: Database) -> None:
    world = World()
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness())
    keep(journal)
    assert found(database).findings == ()
    assert [(each.last, each.last_stated, each.is_ended) for each in found(database).chains] == [(1, 0, False)]
    journal.close()


def test_a_clock_that_goes_back_ends_the_chain_and_begins_another_and_both_hold(database: Database) -> None:
    world = World()
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness())
    for jump in (timedelta(0), timedelta(days=400), -timedelta(days=400), -timedelta(seconds=60), timedelta(days=1)):
        world.now += jump
        keep(journal, 2)
    journal.close()
    assert found(database).findings == ()
    chains = [(each.writer, each.last, each.is_ended) for each in found(database).chains]
    assert chains == [("w", 4, True), ("w.2", 6, True)]


def found(database: Database) -> Verification:
    with snapshot(database) as seen:
        said = [statements.parse(text, (signer_certificate.parse(CERTIFICATE),)) for text in seen.statements()]
        return verify(seen.chains(pytest.fail), said)


@pytest.mark.parametrize("jump", [SOON, -SOON], ids=["later", "put back"])
def test_a_head_comes_after_some_time(database: Database, jump: timedelta) -> None:
    world = World()
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(every=SOON))
    keep(journal)
    assert world.numbers() == [0]
    world.now += jump
    keep(journal)
    until_there_are(world, 2)
    journal.close()
    assert world.numbers()[-1] == 2


def test_a_head_comes_where_nothing_else_does(database: Database) -> None:
    world, every = World(), timedelta(milliseconds=50)
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(every=every))
    keep(journal)
    world.now += every
    until_there_are(world, 2)
    journal.close()
    assert world.numbers() == [0, 1, 1]


def test_without_a_key_decisions_are_recorded_and_the_next_head_states_them(database: Database) -> None:
    world = World(away=True)
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(records=2))
    keep(journal, 3)
    assert ([str(each) for each in world.failures], world.heads) == (["signing keys: none has begun [DJ541]"] * 2, [])
    world.away = False
    journal.close()
    assert world.numbers() == [3]


def test_without_a_witness_there_are_no_heads(database: Database) -> None:
    journal = Journal(database, writer="w", moment=lambda: MOMENT)
    keep(journal, 2)
    journal.close()
    with snapshot(database) as seen:
        assert seen.statements() == ()
        assert len(list(seen.chains(pytest.fail))) == 2
