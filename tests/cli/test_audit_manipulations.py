"""Which manipulation `donjon audit verify` finds against whom: the table of docs/audit.md, cell by cell.

An opponent does what is best for them: who has no key keeps the heads that still fit and deletes those that tell; who has the key
signs.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, delete, insert, update
from tests.adapters import databases
from tests.adapters.test_heads import CERTIFICATE, KEY, SIGNER
from tests.audit.chains import again, anchor, head, last
from tests.cli.test_audit import run

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import Witness
from donjon.adapters.storage.instances import SetPolicy
from donjon.adapters.storage.journal import Journal
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.records import snapshot
from donjon.adapters.storage.retention import Retention
from donjon.adapters.storage.tables import ANCHORS, HEADS, POLICIES, RECORDS
from donjon.audit import chain, statements
from donjon.audit.chain import Record
from donjon.audit.event import Event, EventKind, EventVerdict, encode
from donjon.audit.statements import Removal, Statement
from donjon.errors import Untrusted
from donjon.maa import policies
from donjon.pki import pem
from donjon.signing import signer_certificate

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"
KEYS = (signer_certificate.parse(CERTIFICATE),)
BEGUN, STEP = datetime(2026, 3, 1, tzinfo=UTC), timedelta(minutes=4)
COUNT = 12
POLICY, OTHER = "x.y.z", "other"
COLUMNS = [(owner, log) for owner in (False, True) for log in (True, False)]
"""Whether the opponent has the key, and whether the auditor has the log."""


@dataclass
class World:
    """A service's database and log: two chains, which ended, and a third, whose service was killed; `armed`: with the key."""

    database: Database
    address: str
    folder: Path
    armed: bool

    def records(self, writer: str) -> list[Record]:
        with snapshot(self.database) as seen:
            return [each for each in seen.chains(pytest.fail) if each.writer == writer]

    def said(self) -> list[Statement]:
        with snapshot(self.database) as seen:
            return [statements.parse(text, KEYS) for text in seen.statements()]

    def put(self, writer: str, records: list[Record]) -> None:
        """Have these in place of that chain, with what heads the opponent can have of them."""
        links = {chain.start(writer), *map(chain.end, records)}
        fitting = [each for each in self.said() if each.link in links and not (each.last and each.link != chain.end(records[-1]))]
        signed = [replace(head(records[0]), link=chain.start(writer)), last(records[-1])]
        self.clear(writer)
        self.fill(RECORDS, [row(each) for each in records])
        for each in signed if self.armed else fitting:
            self.state(HEADS, each)

    def clear(self, writer: str) -> None:
        with self.database.changing() as connection:
            for table in (RECORDS, HEADS, ANCHORS):
                connection.execute(delete(table).where(table.c.writer == writer))

    def fill(self, table: Table, rows: list[dict[str, object]]) -> None:
        with self.database.changing() as connection:
            connection.execute(insert(table), rows)

    def state(self, table: Table, statement: Statement) -> None:
        text = statements.encode(statement, SIGNER)
        self.fill(table, [{"writer": statement.link.writer, "number": statement.link.number, "statement": text}])

    def swap_policy(self) -> None:
        with self.database.changing() as connection:
            connection.execute(update(POLICIES).values({"token": OTHER}))

    def drop(self, moment: datetime) -> None:
        """As a service does that is started then."""
        with suppress(Untrusted):
            signing = {"signer": SIGNER, "keys": KEYS, "announce": self.announce, "restate": print}
            Retention(**signing, period=timedelta(days=400)).drop(self.database, moment)  # type: ignore[arg-type] # By their names.

    def announce(self, text: str) -> None:
        with (self.folder / "service.log").open("a") as log:
            log.write(json.dumps({"statement": text}) + "\n")

    def verdict(self, *, log: bool) -> str:
        """What `verify` makes of it."""
        said = ("--keys", str(self.folder / "keys"), *(("--heads", str(self.folder / "service.log")) if log else ()))
        code, told = run(self.address, "verify", *said)
        return {0: "told" if "warning:" in told else "unseen", 1: "found"}[int(code)]


def row(record: Record) -> dict[str, object]:
    return {column.name: getattr(record, column.name) for column in RECORDS.columns}


def event(number: int) -> Event:
    kind, facts = (
        (EventKind.POLICY_SET, {"type": "SgxEnclave", "token": policies.sha256_base64url(POLICY)})
        if not number
        else (EventKind.ATTEST, {})
    )
    return Event(kind=kind, instance="i", caller=f"caller {number}", verdict=EventVerdict.ALLOW, facts=facts)


def written(world: World, writer: str, count: int, *, changes: bool) -> None:
    """A chain as a service writes it."""
    now = [BEGUN]
    witness = Witness(signer=lambda: SIGNER, announce=world.announce, fail=print, every=timedelta(days=9), records=2)
    journal = Journal(world.database, writer=writer, moment=lambda: now[0], witness=witness)

    async def keep() -> None:
        for number in range(count):
            change = SetPolicy("SgxEnclave", POLICY) if changes and not number else None
            generation = 1 if changes and number else 0
            await journal.keep(
                event(number if changes else number + 1),
                instance="i" if changes else writer,
                generation=generation,
                change=change,
            )
            now[0] += STEP

    asyncio.run(keep())
    journal.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one.pem").write_bytes(KEY + pem.encode((CERTIFICATE,)))
    address = f"sqlite:///{tmp_path}/x.db"
    database = databases.opened(address)
    made = World(database, address, tmp_path, armed=False)
    written(made, "w", COUNT, changes=True)
    written(made, "v", 2, changes=False)
    yield made
    database.close()


def added(records: list[Record], made: Event, by: timedelta = STEP) -> Record:
    """One more record, behind these."""
    return chain.end(records[-1]).extend(records[-1].moment + by // timedelta(microseconds=1), encode(made))


def changed(records: list[Record], number: int) -> list[Record]:
    """These, one of them with another event."""
    return [replace(each, event=encode(event(99))) if each.number == number else each for each in records]


def change(world: World) -> None:
    """One record, and nothing else."""
    with world.database.changing() as connection:
        own = (RECORDS.c.writer == "w") & (RECORDS.c.number == 5)
        connection.execute(update(RECORDS).where(own).values(event=encode(event(99))))


def remove(world: World) -> None:
    with world.database.changing() as connection:
        connection.execute(delete(RECORDS).where((RECORDS.c.writer == "w") & (RECORDS.c.number == 5)))


def rewrite(world: World) -> None:
    world.put("w", again(changed(world.records("w"), 3), 3))


def rewrite_the_end(world: World) -> None:
    world.put("w", again(changed(world.records("w"), COUNT), COUNT))


def cut(world: World) -> None:
    world.put("w", world.records("w")[: COUNT // 2])


def append(world: World) -> None:
    records = world.records("w")
    world.put("w", [*records, added(records, event(99))])


def append_dated_back(world: World) -> None:
    records = world.records("w")
    world.put("w", [*records, added(records, event(99), -timedelta(days=9))])


def invent(world: World) -> None:
    """A chain of a service that never ran."""
    world.put("never", [chain.start("never").extend(microseconds(BEGUN), encode(event(99)))])


def take_away(world: World) -> None:
    world.clear("v")


def empty(world: World) -> None:
    for writer in ("w", "v"):
        world.clear(writer)


def launder(world: World) -> None:
    """Invented records of 2017 in place of a chain, for a service with --audit-days; who has the key makes the anchor."""
    old = chain.start("v").extend(microseconds(datetime(2017, 1, 1, tzinfo=UTC)), b"{}")
    end = world.records("v")[-1]
    world.clear("v")
    if not world.armed:
        world.fill(RECORDS, [row(old), row(chain.end(old).extend(old.moment, b"{}"))])
        world.drop(BEGUN + COUNT * STEP)
        return
    removal = Removal(first=1, oldest=old.moment, newest=old.moment, retention=1, heads=(chain.end(end),))
    later = microseconds(BEGUN + timedelta(days=9))
    world.state(ANCHORS, replace(anchor(end), moment=later, last=True, removal=removal))


def restore(world: World) -> None:
    """The database as it was when half of the records were there, and no end of their chain."""
    records = world.records("w")[: COUNT // 2]
    statements_then = [each for each in world.said() if each.link.writer == "w" and each.link.number <= len(records)]
    for writer in ("w", "v"):
        world.clear(writer)
    world.fill(RECORDS, [row(each) for each in records])
    for each in statements_then:
        world.state(HEADS, each)


def swap(world: World) -> None:
    world.swap_policy()


def swap_with_a_record(world: World) -> None:
    """Who has no key puts the record behind a chain's end; who has it makes a chain of its own for it."""
    made = replace(event(0), facts={"type": "SgxEnclave", "token": policies.sha256_base64url(OTHER)})
    records = world.records("w")
    world.swap_policy()
    if world.armed:
        world.put("never", [chain.start("never").extend(records[-1].moment + 1, encode(made))])
    else:
        world.put("w", [*records, added(records, made)])


def forge_the_end_of_a_killed_service(world: World) -> None:
    """What stands behind its last head."""
    written(world, "k", 3, changes=False)
    lines = (world.folder / "service.log").read_text().splitlines()
    (world.folder / "service.log").write_text("".join(f"{line}\n" for line in lines[:-1]))
    world.put("k", again(changed(world.records("k"), 3), 3))


def jump(world: World) -> None:
    """The clock of a service with --audit-days."""
    before = world.records("w") + world.records("v")
    world.drop(BEGUN + timedelta(days=4000))
    assert world.records("w") + world.records("v") == before


DEEDS: dict[str, Callable[[World], None]] = {
    "changes a record": change,
    "deletes a record": remove,
    "writes a record, and all that follow, anew": rewrite,
    "the same, within the last ten minutes of a chain": rewrite_the_end,
    "cuts off a chain's end, at an earlier head": cut,
    "adds records behind a chain's end": append,
    "adds records that are dated back": append_dated_back,
    "adds a chain of a service that never ran": invent,
    "takes a whole chain away": take_away,
    "deletes everything": empty,
    "has a chain dropped for its age (H4)": launder,
    "puts an old copy of the database back": restore,
    "swaps a policy": swap,
    "swaps a policy, and adds a record of it": swap_with_a_record,
    "alters what a killed service wrote after its last head": forge_the_end_of_a_killed_service,
    "lets the service's clock jump ahead": jump,
}


def told() -> dict[str, list[str]]:
    """The document's table: its cells by the words of each row."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## Against whom")[2].partition("\n## ")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| ")]
    return {words: cells for words, *cells in rows[1:]}


def test_the_table_has_every_deed_and_no_other() -> None:
    assert list(told()) == list(DEEDS)
    assert {len(cells) for cells in told().values()} == {len(COLUMNS)}


def test_what_nobody_touched_is_whole_with_and_without_the_log(world: World) -> None:
    assert [world.verdict(log=log) for log in (True, False)] == ["unseen", "unseen"]


@pytest.mark.parametrize("column", range(len(COLUMNS)), ids=["log", "no log", "key, log", "key, no log"])
@pytest.mark.parametrize("deed", DEEDS)
def test_it_is_as_the_documentation_says(world: World, deed: str, column: int) -> None:
    world.armed, log = COLUMNS[column]
    DEEDS[deed](world)
    harmless = {"harmless": "unseen"}
    cell = told()[deed][column]
    assert world.verdict(log=log) == harmless.get(cell, cell)
