"""Heads: signed in time, told elsewhere, and what fails with them never stands in a decision's way."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from testbed import clock

from donjon.adapters.keys import signing
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import EVERY, RECORDS, Witness
from donjon.adapters.storage.journal import Journal
from donjon.adapters.storage.records import snapshot
from donjon.attestation.token import Algorithm
from donjon.audit import statements
from donjon.audit.event import Event, Kind, Verdict
from donjon.audit.statements import Signer
from donjon.audit.verification import verify
from donjon.errors import Unavailable
from donjon.pki import signers

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
EVENT = Event(kind=Kind.ATTEST, instance="a", caller="alice", verdict=Verdict.ALLOWED)
KEY = signing.fresh_key(Algorithm.ES256)
CERTIFICATE = signing.self_signed(KEY, "https://attest.example", MOMENT, timedelta(days=1))
SIGNER = signing.signer(KEY, CERTIFICATE)


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

    def numbers(self) -> list[int]:
        return [statements.parse(text, (signers.parse(CERTIFICATE),)).link.number for text in self.heads]


def keep(journal: Journal, count: int = 1) -> None:
    async def one_by_one() -> None:
        for _ in range(count):
            await journal.keep(EVENT, instance="a", generation=0)

    asyncio.run(one_by_one())


def until_there_is_one(world: World) -> None:
    """While the journal is open."""
    assert clock.wait_until(lambda: bool(world.heads), seconds=5)


def test_a_head_comes_with_so_many_records_and_at_the_end_and_the_chain_holds_beside_them(database: Database) -> None:
    world = World()
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(records=3))
    keep(journal, 7)
    journal.close()
    assert world.numbers() == [3, 6, 7]
    with snapshot(database) as found:
        stored = found.statements()
        said = [statements.parse(text, (signers.parse(CERTIFICATE),)) for text in stored]
        assert verify(found.chains(), said).findings == ()
    assert sorted(stored) == sorted(world.heads)


@pytest.mark.parametrize("jump", [EVERY, -EVERY], ids=["later", "put back"])
def test_a_head_comes_after_some_time(database: Database, jump: timedelta) -> None:
    world = World()
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness())
    keep(journal)
    assert world.numbers() == []
    world.now += jump
    keep(journal)
    until_there_is_one(world)
    journal.close()
    assert world.numbers()[-1] == 2


def test_a_head_comes_where_nothing_else_does(database: Database) -> None:
    world, every = World(), timedelta(milliseconds=50)
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(every=every))
    keep(journal)
    world.now += every
    until_there_is_one(world)
    journal.close()
    assert world.numbers() == [1]


def test_without_a_key_decisions_are_recorded_and_the_next_head_states_them(database: Database) -> None:
    world = World(away=True)
    journal = Journal(database, writer="w", moment=lambda: world.now, witness=world.witness(records=2))
    keep(journal, 3)
    assert ([str(each) for each in world.failures], world.heads) == (["signing keys: none has begun [DJ541]"], [])
    world.away = False
    journal.close()
    assert world.numbers() == [3]


def test_without_a_witness_there_are_no_heads(database: Database) -> None:
    journal = Journal(database, writer="w", moment=lambda: MOMENT)
    keep(journal, 2)
    journal.close()
    with snapshot(database) as found:
        assert found.statements() == ()
        assert len(list(found.chains())) == 2
