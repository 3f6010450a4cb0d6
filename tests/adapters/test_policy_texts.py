"""The texts of policies: there with the records that name them, written once, dropped when no record names them any more."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import delete, select, text

from donjon.adapters.storage import database as storage
from donjon.adapters.storage import policy_texts
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.instances import InstanceTable, SetPolicy
from donjon.adapters.storage.journal import Journal
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.policy_texts import TextsFull, drop_unnamed
from donjon.adapters.storage.records import snapshot
from donjon.adapters.storage.tables import POLICY_TEXTS, RECORDS
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.audit.texts import PolicyText
from donjon.errors import Unavailable
from donjon.formats import base64url
from donjon.maa import policies

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def encoded(number: int, size: int = 0) -> str:
    return base64url.encode(b"version=1.2;// %d %s" % (number, b"x" * size))


def event(number: int, size: int = 0) -> Event:
    """A decision by that policy."""
    whole = encoded(number, size)
    facts = {"policy": policies.sha256_base64url(whole)}
    return Event(kind=EventKind.ATTEST, instance="a", caller="", verdict=EventVerdict.ALLOW, facts=facts, text=whole)


@dataclass
class World:
    """A journal, and what time it is."""

    database: Database
    now: datetime = MOMENT
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.database, writer="w", moment=lambda: self.now)

    def keep(self, *events: Event) -> None:
        async def all_at_once() -> None:
            await asyncio.gather(*(self.journal.keep(each, instance="a", generation=0) for each in events))

        asyncio.run(all_at_once())

    def change(self, number: int, generation: int, size: int = 0) -> None:
        change = SetPolicy("SgxEnclave", str(number))
        asyncio.run(self.journal.keep(event(number, size), instance="a", generation=generation, change=change))

    def texts(self) -> list[PolicyText]:
        with snapshot(self.database) as found:
            return sorted(found.policy_texts(), key=lambda each: each.text)

    def marks(self) -> list[tuple[int, int]]:
        """Since when each is there, and when it was marked last: hours after the beginning."""
        with self.database.reading() as connection:
            rows = connection.execute(select(POLICY_TEXTS.c.since, POLICY_TEXTS.c.latest)).all()
        begun, hour = microseconds(MOMENT), HOUR // timedelta(microseconds=1)
        return [((row.since - begun) // hour, (row.latest - begun) // hour) for row in rows]


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    made = World(database)
    yield made
    made.journal.close()


def named(*numbers: int) -> list[PolicyText]:
    texts = [(encoded(number), policies.sha256_base64url(encoded(number))) for number in numbers]
    return sorted((PolicyText(instance="a", hash=digest, text=whole) for whole, digest in texts), key=lambda each: each.text)


def test_a_text_is_there_with_the_first_record_that_names_it(world: World) -> None:
    world.keep(event(1), event(1), event(2))
    world.keep(event(1))
    assert world.texts() == named(1, 2)
    with snapshot(world.database) as found:
        assert list(found.policy_texts(named(2)[0].hash)) == named(2)
        assert list(found.policy_texts("x")) == []


def test_a_text_is_written_once_and_marked_once_an_hour(world: World) -> None:
    world.keep(event(1))
    with world.database.changing() as connection:
        connection.execute(delete(POLICY_TEXTS))
    world.now += HOUR - timedelta(seconds=1)
    world.keep(event(1), event(1))
    assert world.texts() == [], "nobody wrote it again"
    world.now += timedelta(seconds=1)
    world.keep(event(1))
    assert world.texts() == named(1)
    world.now += HOUR
    world.keep(event(1))
    assert world.marks() == [(1, 2)]


def test_a_mark_never_goes_back(world: World) -> None:
    world.now += 5 * HOUR
    world.keep(event(1))
    world.now = MOMENT
    world.keep(event(1))
    assert world.marks() == [(5, 5)]


def test_what_was_not_kept_is_written_the_next_time(world: World) -> None:
    with world.database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_records RENAME TO away")
    with pytest.raises(Unavailable, match="DJ502"):
        world.keep(event(1))
    with world.database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_records")
    assert world.texts() == []
    world.keep(event(1))
    assert world.texts() == named(1)


def test_a_text_goes_when_no_record_names_it_any_more_and_not_before(world: World) -> None:
    world.keep(event(1))
    world.now += 3 * DAY
    world.keep(event(2))
    drop_unnamed(world.database)
    assert world.texts() == named(1, 2)
    with world.database.changing() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number == 1))
    drop_unnamed(world.database)
    assert world.texts() == named(2)


def test_where_there_is_no_record_at_all_nothing_is_dropped(world: World) -> None:
    world.keep(event(1))
    with world.database.changing() as connection:
        connection.execute(delete(RECORDS))
    drop_unnamed(world.database)
    assert world.texts() == named(1)


def test_the_new_policies_of_a_day_are_bounded_but_for_one_an_hour_and_others_are_set_as_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_texts, "MAX_NEW", 2 * policy_texts.LEAST_WEIGHT + 1)
    world.change(1, 0, size=1000)
    world.change(2, 1, size=1000)
    with pytest.raises(TextsFull, match="DJ630"):
        world.change(3, 2, size=1000)
    stored = InstanceTable(world.database).read("a")
    assert (stored.generation, stored.policies) == (2, {"SgxEnclave": "2"})
    world.change(1, 2, size=1000)
    asyncio.run(world.journal.keep(event(4, size=3000), instance="a", generation=3))
    world.now += HOUR
    world.change(3, 3, size=1000)
    with pytest.raises(TextsFull, match="one new one an hour"):
        world.change(5, 4, size=1000)
    world.now += DAY
    world.change(5, 4, size=1000)
    assert len(world.texts()) == 5


def test_a_text_is_kept_by_one_replica_while_another_drops_what_is_old(world: World) -> None:
    world.keep(event(1))
    other = World(world.database, now=MOMENT + 30 * DAY)
    other.journal.close()
    other.journal = Journal(world.database, writer="other", moment=lambda: other.now)
    other.keep(event(1))
    with world.database.changing() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.writer == "w"))
    drop_unnamed(world.database)
    assert world.texts() == named(1)
    other.journal.close()


def test_a_database_of_an_earlier_version_is_shown_and_gets_the_texts_of_its_policies(empty: str) -> None:
    token = policies.unsecured_token("version=1.0;authorizationrules{};issuancerules{};")
    database = Database(empty)
    config = Config()
    config.set_main_option("script_location", storage._SCRIPTS)
    with database.changing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for name, each in (("a", token), ("b", "no token")):
            row = {"instance": name, "token": each}
            connection.execute(text("INSERT INTO policies VALUES (:instance, 'SgxEnclave', :token)"), row)
    with snapshot(database) as found:
        assert list(found.policy_texts()) == []
    database.migrate()
    with snapshot(database) as found:
        (kept,) = found.policy_texts()
    assert (kept.instance, kept.decode()) == ("a", "version=1.0;authorizationrules{};issuancerules{};")
    database.close()
