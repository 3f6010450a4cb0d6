"""What has become old is dropped, what stays can still be verified, and nothing that was tampered with is dropped."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, update
from tests.adapters.test_heads import CERTIFICATE, SIGNER
from tests.audit.chains import anchor, head, written

from donjon.adapters.storage import retention
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.records import snapshot
from donjon.adapters.storage.retention import Retention
from donjon.adapters.storage.tables import ANCHORS, HEADS, RECORDS
from donjon.audit import statements
from donjon.audit.chain import Record
from donjon.audit.statements import Kind
from donjon.audit.verification import Chain, Verification, verify
from donjon.errors import Untrusted
from donjon.pki import signers

KEYS = (signers.parse(CERTIFICATE),)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
A, B = written("a", 9), written("b", 3)  # a millisecond from one record to the next, since 1970


def at(record: int) -> datetime:
    """The moment of that record."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=record - 1)


@pytest.fixture
def kept(database: Database) -> Database:
    """Both chains, and two heads of the first one."""
    columns = [column.name for column in RECORDS.columns]
    with database.changing() as connection:
        connection.execute(insert(RECORDS), [{name: getattr(each, name) for name in columns} for each in (*A, *B)])
        for each in (A[2], A[7]):
            said = statements.encode(head(each), SIGNER)
            connection.execute(insert(HEADS).values(writer="a", number=each.number, statement=said))
    return database


def drop(database: Database, before: datetime, announced: list[str]) -> int:
    return Retention(signer=SIGNER, keys=KEYS, announce=announced.append).drop(database, before, NOW)


def found(database: Database) -> Verification:
    with snapshot(database) as seen:
        return verify(seen.chains(), [statements.parse(text, KEYS) for text in seen.statements()])


def records(database: Database) -> list[Record]:
    with snapshot(database) as seen:
        return list(seen.chains())


@pytest.mark.parametrize("at_once", [retention.AT_ONCE, 2], ids=["at once", "two at once"])
def test_what_is_old_is_dropped_and_the_rest_still_holds(kept: Database, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", at_once)
    announced: list[str] = []
    assert drop(kept, at(1), announced) == 0
    assert drop(kept, at(6), announced) == 5 + 3
    assert records(kept) == A[5:]
    assert found(kept) == Verification(chains=(Chain(writer="a", first=6, last=9, stated=8),), findings=(), more=0)
    assert drop(kept, at(6), announced) == 0
    last = {parsed.link.writer: parsed for parsed in (statements.parse(text, KEYS) for text in announced)}
    assert {writer: (said.kind, said.link.number) for writer, said in last.items()} == {
        "a": (Kind.ANCHOR, 5),
        "b": (Kind.ANCHOR, 3),
    }


def test_all_can_be_dropped_and_a_chain_goes_on(kept: Database) -> None:
    assert drop(kept, NOW, []) == 12
    assert found(kept) == Verification(chains=(), findings=(), more=0)
    following = statements.parse(snapshot_statements(kept)[0], KEYS).link.extended(5, b"{}")
    columns = [column.name for column in RECORDS.columns]
    with kept.changing() as connection:
        connection.execute(insert(RECORDS).values({name: getattr(following, name) for name in columns}))
    assert found(kept).findings == ()


def snapshot_statements(database: Database) -> tuple[str, ...]:
    with snapshot(database) as seen:
        return tuple(sorted(seen.statements(), key=lambda text: statements.parse(text, KEYS).link.writer))


@pytest.mark.parametrize(
    ("tampering", "code"),
    [
        (update(RECORDS).where(RECORDS.c.writer == "a", RECORDS.c.number == 2).values(event=b"{}"), "DJ603"),
        (delete(RECORDS).where(RECORDS.c.writer == "a", RECORDS.c.number == 2), "DJ602"),
        (delete(RECORDS).where(RECORDS.c.writer == "a", RECORDS.c.number == 1), "DJ602"),
        (update(HEADS).where(HEADS.c.number == 3).values(statement=statements.encode(head(A[3]), None)), "DJ601"),
        (insert(ANCHORS).values(writer="a", number=1, statement=statements.encode(anchor(A[0]), None)), "DJ601"),
        (insert(ANCHORS).values(writer="a", number=1, statement="x"), "DJ600"),
    ],
    ids=["changed", "missing", "its beginning missing", "a head of nobody's", "an anchor of nobody's", "an anchor that is none"],
)
def test_a_chain_that_is_not_whole_stays_and_the_others_are_dropped(kept: Database, tampering: object, code: str) -> None:
    with kept.changing() as connection:
        connection.execute(tampering)  # type: ignore[call-overload] # A statement of one of three kinds.
    before = [each for each in records(kept) if each.writer == "a"]
    with pytest.raises(Untrusted, match=code) as told:
        drop(kept, at(6), [])
    assert told.value.code == "DJ610"
    assert records(kept) == before
