"""What has become old is dropped, what stays can still be verified, and nothing that was tampered with is dropped."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, text, update
from testbed import clock
from tests.adapters.postgres import Server
from tests.adapters.test_heads import CERTIFICATE, SIGNER
from tests.audit.chains import anchor, head, last

from donjon.adapters.storage import retention
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.records import snapshot
from donjon.adapters.storage.retention import Retention
from donjon.adapters.storage.tables import ANCHORS, HEADS, RECORDS
from donjon.audit import chain, statements
from donjon.audit.chain import Record
from donjon.audit.event import Event
from donjon.audit.statements import Removal, Statement, StatementKind
from donjon.audit.verification import Chain, Verification, verify
from donjon.errors import Untrusted
from donjon.signing import signer_certificate

KEYS = (signer_certificate.parse(CERTIFICATE),)
DAY = timedelta(days=1)
KEPT, NOW = 4 * DAY, datetime(2026, 3, 1, tzinfo=UTC)
BEGUN = NOW - 9 * DAY + timedelta(hours=1)


def daily(writer: str, count: int) -> list[Record]:
    """A chain with a record a day."""
    records: list[Record] = []
    link = chain.start(writer)
    for day in range(count):
        records.append(link.extend(microseconds(BEGUN + day * DAY), b'{"day":%d}' % day))
        link = chain.end(records[-1])
    return records


A, B = daily("a", 9), daily("b", 4)


def put(database: Database, records: list[Record], said: list[Statement]) -> None:
    """As a service would have written them."""
    columns = [column.name for column in RECORDS.columns]
    with database.changing() as connection:
        connection.execute(insert(RECORDS), [{name: getattr(each, name) for name in columns} for each in records])
        for each in said:
            row = {"writer": each.link.writer, "number": each.link.number, "statement": statements.encode(each, SIGNER)}
            connection.execute(insert(HEADS).values(row))


@pytest.fixture
def kept(database: Database) -> Database:
    """Both chains, with a head every day, but one of the first chain; the other one ended."""
    put(database, [*A, *B], [*[head(each) for each in (*A, *B[:3]) if each is not A[3]], last(B[3])])
    return database


def drop(database: Database, moment: datetime, announced: list[str] | None = None) -> int:
    told = [] if announced is None else announced
    return Retention(signer=SIGNER, keys=KEYS, announce=told.append, restate=nothing, period=KEPT).drop(database, moment)


def nothing(events: list[Event]) -> None:
    """No change is in these chains."""
    assert events == []


def found(database: Database) -> Verification:
    with snapshot(database) as seen:
        return verify(seen.chains(pytest.fail), [statements.parse(text, KEYS) for text in seen.statements()])


def records(database: Database) -> list[Record]:
    with snapshot(database) as seen:
        return list(seen.chains(pytest.fail))


def said(database: Database) -> list[Statement]:
    with snapshot(database) as seen:
        return [statements.parse(text, KEYS) for text in seen.statements()]


@pytest.mark.parametrize("at_once", [retention.AT_ONCE, 1], ids=["at once", "head by head"])
def test_what_is_old_is_dropped_and_the_rest_still_holds(kept: Database, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", at_once)
    announced: list[str] = []
    assert drop(kept, NOW - 2 * DAY, announced) == 3 + 3
    assert drop(kept, NOW - 2 * DAY, announced) == 0
    assert drop(kept, NOW, announced) == 2 + 1
    assert records(kept) == A[5:]
    assert found(kept) == Verification(
        chains=(
            Chain(writer="a", first=6, last=9, last_stated=9, last_dropped=5),
            Chain(writer="b", first=5, last=4, last_stated=4, is_ended=True, last_dropped=4),
        ),
        findings=(),
        more=0,
    )
    told = [statements.parse(text, KEYS) for text in announced]
    assert {each.kind for each in told} == {StatementKind.ANCHOR}
    assert set(told) >= {each for each in said(kept) if each.kind is StatementKind.ANCHOR}


def test_an_anchor_names_what_it_replaces(kept: Database) -> None:
    announced: list[str] = []
    drop(kept, NOW - 3 * DAY, announced)
    drop(kept, NOW, announced)
    first, second = [each for text in announced if (each := statements.parse(text, KEYS)).link.writer == "a"]
    length = KEPT // timedelta(microseconds=1)
    assert first.removal == Removal(
        first=1, oldest=A[0].moment, newest=A[1].moment, retention=length, heads=(chain.end(A[0]), chain.end(A[1]))
    )
    assert second.removal == Removal(
        first=3,
        oldest=A[2].moment,
        newest=A[4].moment,
        retention=length,
        anchor=chain.end(A[1]),
        heads=(chain.end(A[2]), chain.end(A[4])),
    )


def test_what_no_head_states_stays(kept: Database) -> None:
    assert drop(kept, NOW - DAY) == 3 + 4, "of the fourth there is no head, and that behind it is younger"
    assert records(kept) == A[3:]


def test_the_end_of_a_chain_that_nobody_stated_stays_and_is_no_error(kept: Database) -> None:
    killed = daily("c", 4)
    put(kept, killed, [head(killed[1])])
    assert drop(kept, NOW) == 5 + 4 + 2
    assert drop(kept, NOW) == 0
    assert records(kept) == [*A[5:], *killed[2:]]


def test_a_chain_goes_on_behind_what_was_dropped(kept: Database) -> None:
    later = daily("a", 16)[9:]
    put(kept, later, [head(later[-1])])
    assert drop(kept, NOW + 7 * DAY) == 6 + 4
    assert found(kept).findings == ()


@pytest.mark.parametrize(
    ("tampering", "code"),
    [
        (update(RECORDS).where(RECORDS.c.writer == "a", RECORDS.c.number == 2).values(event=b"{}"), "DJ603"),
        (delete(RECORDS).where(RECORDS.c.writer == "a", RECORDS.c.number == 2), "DJ602"),
        (delete(RECORDS).where(RECORDS.c.writer == "a", RECORDS.c.number == 1), "DJ602"),
        (
            update(HEADS).where(HEADS.c.writer == "a", HEADS.c.number == 3).values(statement=statements.encode(head(A[3]), None)),
            "DJ601",
        ),
        (
            update(HEADS)
            .where(HEADS.c.writer == "a", HEADS.c.number == 3)
            .values(statement=statements.encode(last(B[3]), SIGNER)),
            "DJ601",
        ),
        (insert(ANCHORS).values(writer="a", number=1, statement=statements.encode(anchor(A[0]), None)), "DJ601"),
        (insert(ANCHORS).values(writer="a", number=1, statement="x"), "DJ600"),
    ],
    ids=[
        "changed",
        "missing",
        "its beginning missing",
        "a head of nobody's",
        "a head of another chain",
        "an anchor of nobody's",
        "an anchor that is none",
    ],
)
def test_a_chain_that_is_not_whole_stays_and_the_others_are_dropped(kept: Database, tampering: object, code: str) -> None:
    with kept.changing() as connection:
        connection.execute(tampering)  # type: ignore[call-overload] # A statement of one of three kinds.
    before = [each for each in records(kept) if each.writer == "a"]
    with pytest.raises(Untrusted, match=code) as told:
        drop(kept, NOW)
    assert told.value.code == "DJ610"
    assert records(kept) == before


def test_a_chain_of_which_young_heads_alone_are_left_stays(kept: Database) -> None:
    with kept.changing() as connection:
        connection.execute(delete(HEADS).where(HEADS.c.writer == "a", HEADS.c.number < 6))
    assert drop(kept, NOW) == 4
    assert records(kept) == A


def test_a_chain_without_heads_stays(kept: Database) -> None:
    with kept.changing() as connection:
        connection.execute(delete(HEADS).where(HEADS.c.writer == "b"))
    with pytest.raises(Untrusted, match="chain b: not dropped: there is no head of it, not even of its beginning") as told:
        drop(kept, NOW)
    assert told.value.code == "DJ610"
    assert records(kept) == [*A[5:], *B]


def test_a_chain_of_a_time_without_keys_stays_and_is_told_apart_from_one_that_was_tampered_with(kept: Database) -> None:
    with kept.changing() as connection:
        for each in B[:3]:
            unsigned = statements.encode(head(each), None)
            own = (HEADS.c.writer == "b") & (HEADS.c.number == each.number)
            connection.execute(update(HEADS).where(own).values(statement=unsigned))
    with pytest.raises(Untrusted, match="chain b: not dropped") as mixed:
        drop(kept, NOW)
    with kept.changing() as connection:
        end = (HEADS.c.writer == "b") & (HEADS.c.number == B[3].number)
        connection.execute(update(HEADS).where(end).values(statement=statements.encode(last(B[3]), None)))
    with pytest.raises(Untrusted, match="chain b: not dropped") as unkeyed:
        drop(kept, NOW)
    assert (mixed.value.code, unkeyed.value.code) == ("DJ610", "DJ626")
    assert [each for each in records(kept) if each.writer == "b"] == B


@pytest.mark.parametrize("where", ["behind its end", "as a chain without heads"])
def test_records_of_an_invented_age_are_no_reason_to_drop_anything(kept: Database, where: str) -> None:
    """Whoever can write to the database writes hashes, too; heads they cannot write."""
    begun, old = chain.start("c"), microseconds(datetime(2017, 1, 1, tzinfo=UTC))
    young = begun.extend(microseconds(NOW - timedelta(hours=2)), b"{}")
    if where == "behind its end":
        put(kept, [young, chain.end(young).extend(old, b"{}")], [last(young)])
    else:
        put(kept, [begun.extend(old, b"{}")], [])
    before = [each for each in records(kept) if each.writer == "c"]
    with suppress(Untrusted):
        drop(kept, NOW)
    assert [each for each in records(kept) if each.writer == "c"] == before
    assert "c" not in {each.link.writer for each in said(kept) if each.kind is StatementKind.ANCHOR}


@pytest.mark.parametrize("jump", [2 * DAY, 4 * DAY, 400 * DAY, 4000 * DAY, -4000 * DAY])
def test_a_clock_that_jumped_makes_nothing_old(kept: Database, jump: timedelta) -> None:
    before = records(kept)
    with suppress(Untrusted):
        drop(kept, NOW + jump)
    assert records(kept) == before
    assert drop(kept, NOW) == 5 + 4


def test_a_clock_that_jumped_and_by_which_something_was_recorded_makes_a_fourth_older_at_most(kept: Database) -> None:
    later = chain.start("later").extend(microseconds(NOW + 4000 * DAY), b"{}")
    put(kept, [later], [head(later)])
    assert drop(kept, NOW + 4000 * DAY) == 5 + 4
    with pytest.raises(Untrusted) as told:
        drop(kept, NOW + 4003 * DAY)
    assert told.value.code == "DJ621"
    assert drop(kept, NOW) == 0


def test_heads_that_somebody_else_signed_are_no_proof_that_time_passed(kept: Database) -> None:
    later = NOW + 3 * DAY
    young = chain.start("c").extend(microseconds(later - timedelta(hours=1)), b"{}")
    put(kept, [young], [])
    row = {"writer": "c", "number": 1, "statement": statements.encode(head(young), None)}
    with kept.changing() as connection:
        connection.execute(insert(HEADS).values(row))
    with pytest.raises(Untrusted) as refused:
        drop(kept, later)
    assert refused.value.code == "DJ621"
    assert records(kept) == [*A, *B, young]


def test_where_nothing_is_left_but_what_nobody_stated_the_clock_is_not_asked(kept: Database) -> None:
    killed = daily("c", 4)
    put(kept, killed, [head(killed[1])])
    drop(kept, NOW)
    with kept.changing() as connection:
        for table in (RECORDS, HEADS, ANCHORS):
            connection.execute(delete(table).where(table.c.writer != "c"))
    assert drop(kept, NOW) == 0
    assert records(kept) == killed[2:]


def anchors_of_d(database: Database, count: int, every: int) -> list[Statement]:
    """Those that are made of one more chain, of which a head states every so many records."""
    made: list[Record] = []
    link = chain.start("d")
    for number in range(count):
        made.append(link.extend(microseconds(BEGUN) + number, b"{}"))
        link = chain.end(made[-1])
    put(database, made, [head(each) for each in made if each.number % every == 0])
    announced: list[str] = []
    assert drop(database, NOW, announced) == count + 9
    return [each for text in announced if (each := statements.parse(text, KEYS)).link.writer == "d"]


def test_so_many_records_are_dropped_in_one_transaction_and_no_more(kept: Database) -> None:
    assert [each.link.number for each in anchors_of_d(kept, 1200, 400)] == [800, 1200]


def test_an_anchor_names_so_many_heads_that_it_can_still_be_read(kept: Database) -> None:
    assert [len(each.removal.heads) for each in anchors_of_d(kept, 70, 1) if each.removal] == [32, 32, 6]


def test_who_drops_on_a_server_waits_until_nobody_else_does(postgresql: Server) -> None:
    database = Database(postgresql.database())
    database.migrate()
    put(database, A, [head(each) for each in A])
    with ThreadPoolExecutor(1) as pool, database.changing() as other:
        database.alone(other, retention._ALONE)
        dropping = pool.submit(drop, database, NOW)
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        assert clock.wait_until(lambda: other.scalar(waiting) == 1, seconds=4)
        assert records(database) == A
        other.commit()
        assert dropping.result(10) > 0
    database.close()
