"""A database that is full, locked or away: callers are told by a code, nothing is half kept, and all goes on by itself."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.adapters.postgres import Server

from donjon.adapters.storage import database as storage
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.instances import InstanceTable, SetPolicy
from donjon.adapters.storage.journal import Journal, Stale
from donjon.adapters.storage.records import snapshot
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.audit.verification import verify
from donjon.errors import DonjonError, Unavailable

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
EVENT = Event(kind=EventKind.ATTEST, instance="a", caller="alice", verdict=EventVerdict.ALLOW, trace="x" * 10_000)


def kept(journal: Journal, generation: int = 0, policy: str | None = None) -> str:
    """The code with which one decision fails, perhaps with a change; none where it is kept."""
    change = None if policy is None else SetPolicy("SgxEnclave", policy)
    try:
        asyncio.run(journal.keep(EVENT, instance="a", generation=generation, change=change))
    except DonjonError as error:
        return error.code
    return ""


def whole(database: Database) -> int:
    """How many records there are, none of which anything is wrong with but that no journal here states heads (DJ613)."""
    with snapshot(database) as seen:
        found = verify(seen.chains(pytest.fail), [])
    assert {each.code for each in found.findings} <= {"DJ613"}
    return sum(chain.last for chain in found.chains)


@contextmanager
def opened(database: Database, writer: str = "w") -> Iterator[Journal]:
    journal = Journal(database, writer=writer, moment=lambda: MOMENT)
    yield journal
    journal.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "donjon", folder], check=False, capture_output=True)
    if os.geteuid() != 0 or mounted.returncode:
        pytest.skip(f"needs root: {mounted.stderr.decode(errors='replace').strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(small: Path) -> None:
    database = Database(f"sqlite:///{small}/x.db")
    database.migrate()
    filler = small / "filler"
    with opened(database) as journal:
        acknowledged = sum(kept(journal) == "" for _ in range(5))
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(bytes(1 << 20))
        assert [kept(journal, policy="new") for _ in range(3)] == ["DJ502"] * 3
        with pytest.raises(Unavailable, match=f"{small}/x.db: .*: the file system of {small} is full; make room"):
            database.look(writing=True)
        assert InstanceTable(database).read("a").generation == 0
        filler.unlink()
        acknowledged += sum(kept(journal) == "" for _ in range(3))
    assert whole(database) == acknowledged == 8
    database.close()


def test_a_database_that_somebody_holds_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "WAIT", 0.1)
    database = Database(f"sqlite:///{tmp_path}/x.db")
    database.migrate()
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    with opened(database) as journal:
        assert kept(journal) == ""
        other.execute("BEGIN IMMEDIATE")
        assert kept(journal) == "DJ502"
        assert InstanceTable(database).read("a").generation == 0  # Who reads does not wait.
        other.execute("ROLLBACK")
        assert kept(journal) == ""
    other.close()
    assert whole(database) == 2
    database.close()


def test_a_server_that_stops_and_starts(postgresql: Server) -> None:
    database = Database(postgresql.database())
    database.migrate()
    with opened(database) as journal:
        assert kept(journal) == ""
        postgresql.stop()
        try:
            assert [kept(journal, policy="new"), kept(journal)] == ["DJ502"] * 2
            for writing in (False, True):
                with pytest.raises(Unavailable, match="DJ502"):
                    database.look(writing=writing)
        finally:
            postgresql.start()
        database.look(writing=True)
        assert [kept(journal, policy="newer"), kept(journal, 1)] == ["", ""]
    assert InstanceTable(database).read("a").policies == {"SgxEnclave": "newer"}
    assert whole(database) == 3
    database.close()


def test_a_server_that_has_started_again_is_found_without_a_failure(postgresql: Server) -> None:
    database = Database(postgresql.database())
    database.migrate()
    with opened(database) as journal:
        assert kept(journal) == ""
        postgresql.stop()
        postgresql.start()
        assert kept(journal) == ""
    assert whole(database) == 2
    database.close()


class Untold(Database):
    """A database that goes away in the commit, before or after it was done."""

    ends: tuple[str, ...] = ()

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        end, self.ends = (self.ends[0], self.ends[1:]) if self.ends else ("", ())
        with super().changing() as connection:
            yield connection
            if end == "before":
                raise Unavailable("DJ502", "database: away before the commit")
        if end == "after":
            raise Unavailable("DJ502", "database: away after the commit")


@pytest.mark.parametrize(
    ("ends", "count"),
    [(("before",), 2), (("after",), 3), (("before", "before"), 2), (("after", "before"), 3), (("after", "after"), 4)],
)
def test_a_commit_of_which_nobody_knows_the_end(address: str, ends: tuple[str, ...], count: int) -> None:
    database = Untold(address)
    database.migrate()
    with opened(database) as journal:
        assert kept(journal) == ""
        database.ends = ends
        assert [kept(journal) for _ in ends] == ["DJ502"] * len(ends)
        assert kept(journal) == ""
    assert whole(database) == count
    database.close()


def test_replicas_that_change_one_instance_at_once_lose_no_change(database: Database) -> None:
    replicas, changes = 3, 8

    async def change(journal: Journal, name: str) -> None:
        table, done = InstanceTable(database), 0
        while done < changes:
            generation = (await asyncio.to_thread(table.read, "a")).generation
            try:
                await journal.keep(EVENT, instance="a", generation=generation, change=SetPolicy(name, str(done)))
            except Stale:
                continue
            done += 1

    async def attest(journal: Journal) -> None:
        for _ in range(3 * changes):
            await journal.keep(EVENT, instance="b", generation=0)

    async def all_of_them(journals: list[Journal]) -> None:
        await asyncio.gather(*(change(each, f"x{at}") for at, each in enumerate(journals)), *map(attest, journals))

    journals = [Journal(database, writer=f"w{at}", moment=lambda: MOMENT) for at in range(replicas)]
    asyncio.run(all_of_them(journals))
    for each in journals:
        each.close()
    last = InstanceTable(database).read("a")
    assert last.generation == replicas * changes
    assert last.policies == {f"x{at}": str(changes - 1) for at in range(replicas)}
    assert whole(database) == 4 * replicas * changes
