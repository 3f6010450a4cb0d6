"""The journal: what it has acknowledged is there, in one chain, and nobody is answered by what has been replaced."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.instances import Change, InstanceTable, RemovePolicy, SetCertificates, SetPolicy, StoredInstance
from donjon.adapters.storage.journal import Journal, Stale
from donjon.adapters.storage.records import snapshot
from donjon.audit import chain
from donjon.audit.chain import Record
from donjon.audit.event import Event, EventKind, EventVerdict, encode
from donjon.errors import Unavailable

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def event(caller: str = "alice") -> Event:
    return Event(kind=EventKind.ATTEST, instance="a", caller=caller, verdict=EventVerdict.ALLOW)


@pytest.fixture
def journal(database: Database) -> Iterator[Journal]:
    opened = Journal(database, writer="w", moment=lambda: MOMENT)
    yield opened
    opened.close()


def records(database: Database) -> list[Record]:
    with snapshot(database) as found:
        return list(found.chains(pytest.fail))


def test_what_was_kept_makes_a_chain(database: Database, journal: Journal) -> None:
    async def many() -> None:
        await asyncio.gather(*(journal.keep(event(str(number)), instance="a", generation=0) for number in range(600)))

    asyncio.run(many())
    link = chain.start("w")
    for number, record in enumerate(records(database)):
        assert record == link.extend(1_772_323_200_000_000, encode(event(str(number))))
        link = chain.end(record)
    assert link.number == 600


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ([], StoredInstance(generation=0, policies={}, certificates=())),
        ([SetPolicy("SgxEnclave", "x")], StoredInstance(generation=1, policies={"SgxEnclave": "x"}, certificates=())),
        (
            [SetPolicy("SgxEnclave", "x"), SetPolicy("TdxVm", "y"), SetPolicy("SgxEnclave", "z")],
            StoredInstance(generation=3, policies={"SgxEnclave": "z", "TdxVm": "y"}, certificates=()),
        ),
        ([SetPolicy("SgxEnclave", "x"), RemovePolicy("SgxEnclave")], StoredInstance(generation=2, policies={}, certificates=())),
        ([SetCertificates((b"2", b"\0", b"1"))], StoredInstance(generation=1, policies={}, certificates=(b"2", b"\0", b"1"))),
        (
            [SetCertificates((b"1", b"2")), SetCertificates((b"2",))],
            StoredInstance(generation=2, policies={}, certificates=(b"2",)),
        ),
        ([SetCertificates((b"1",)), SetCertificates(())], StoredInstance(generation=2, policies={}, certificates=())),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, list) else "",
)
def test_changes_are_there_with_their_records(
    database: Database, journal: Journal, changes: list[Change], kept: StoredInstance
) -> None:
    async def all_of_them() -> None:
        for generation, change in enumerate(changes):
            await journal.keep(event(), instance="a", generation=generation, change=change)

    asyncio.run(all_of_them())
    assert InstanceTable(database).read("a") == kept
    assert InstanceTable(database).read("b") == StoredInstance(generation=0, policies={}, certificates=())
    assert len(records(database)) == len(changes)


def test_nobody_is_answered_by_what_another_replica_has_replaced(database: Database, journal: Journal) -> None:
    other = Journal(database, writer="other", moment=lambda: MOMENT)
    asyncio.run(other.keep(event(), instance="a", generation=0, change=SetPolicy("SgxEnclave", "new")))
    other.close()
    with pytest.raises(Stale) as told:
        asyncio.run(journal.keep(event(), instance="a", generation=0))
    assert told.value.code == "DJ521"
    asyncio.run(journal.keep(event(), instance="a", generation=1))
    assert [record.writer for record in records(database)] == ["other", "w"]


def test_of_two_who_change_at_once_one_is_told_to_read_again(database: Database, journal: Journal) -> None:
    async def both() -> list[BaseException | None]:
        changes = [journal.keep(event(), instance="a", generation=0, change=SetPolicy("SgxEnclave", each)) for each in "xy"]
        return await asyncio.gather(*changes, journal.keep(event(), instance="b", generation=0), return_exceptions=True)

    first, second, other = asyncio.run(both())
    assert (first, other) == (None, None)
    assert isinstance(second, Stale)
    assert InstanceTable(database).read("a") == StoredInstance(generation=1, policies={"SgxEnclave": "x"}, certificates=())
    assert len(records(database)) == 2


def test_while_the_database_fails_callers_are_told_and_afterwards_all_goes_on(database: Database, journal: Journal) -> None:
    asyncio.run(journal.keep(event("1"), instance="a", generation=0))
    with database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_records RENAME TO away")
    with pytest.raises(Unavailable) as told:
        asyncio.run(journal.keep(event("2"), instance="a", generation=0, change=SetPolicy("SgxEnclave", "x")))
    assert told.value.code == "DJ502"
    with database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_records")
    assert InstanceTable(database).read("a").generation == 0
    asyncio.run(journal.keep(event("3"), instance="a", generation=0))
    assert [record.number for record in records(database)] == [1, 2]


def test_what_waits_at_the_end_is_written(database: Database) -> None:
    journal = Journal(database, writer="w", moment=lambda: MOMENT)

    async def leave() -> None:
        waiting = asyncio.create_task(journal.keep(event(), instance="a", generation=0))
        await asyncio.sleep(0)
        journal.close()
        await waiting

    asyncio.run(leave())
    assert len(records(database)) == 1


class Counted(Database):
    """Knows how many transactions there were."""

    transactions = 0

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        self.transactions += 1
        with super().changing() as connection:
            yield connection


def test_callers_of_one_turn_are_written_in_one_transaction(tmp_path: Path) -> None:
    database = Counted(f"sqlite:///{tmp_path}/counted.db")
    database.migrate()
    before = database.transactions
    journal = Journal(database, writer="w", moment=lambda: MOMENT)

    async def one() -> None:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 5000)  # Work meanwhile which other threads can run, as signing is.
        await journal.keep(event(), instance="a", generation=0)

    async def many() -> None:
        await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(many())
    assert database.transactions - before <= 2  # Two, where the thread was let in while they were handed over.
    journal.close()
    database.close()
