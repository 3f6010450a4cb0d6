"""Audit records that have become old are dropped from the beginnings of their chains; a signed anchor says up to where.

Nothing is dropped but what a head of this service's own states, and a head is as old as it says itself: whoever can write to the
database makes records of any age, and no heads. What is dropped is verified first, so that what was done to it does not vanish
with it, and the anchor names the heads that go, too. A clock alone makes nothing old (`audit.age`). What set a policy that still
applies is recorded again before it goes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import Connection, delete, func, insert, select

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.instances import read_instance
from donjon.adapters.storage.moments import UNIT, microseconds
from donjon.adapters.storage.policy_texts import drop_unnamed
from donjon.adapters.storage.records import record
from donjon.adapters.storage.tables import ANCHORS, HEADS, RECORDS
from donjon.audit import age, statements
from donjon.audit.chain import FIRST, Link, Record
from donjon.audit.event import Event
from donjon.audit.holdings import HoldingChange, Ledger
from donjon.audit.statements import MAX_HEADS, Removal, Statement, StatementKind
from donjon.audit.verification import verify
from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.maa import policies
from donjon.signing.signer import Signer
from donjon.signing.signer_certificate import SignerCertificate

AT_ONCE = 500  # records, after which no more heads go in the same transaction: nobody who writes is to wait for long

_ALONE = 0x444B  # the lock by which one of several replicas drops
_SAMPLES = 32  # heads that are looked at over the time that records are kept, to see that it passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Who signs anchors, by which keys statements were signed, who keeps anchors elsewhere, and for how long records are kept."""

    signer: Signer | None
    keys: tuple[SignerCertificate, ...]  # none: signatures are not looked at
    announce: Callable[[str], None]  # a statement
    restate: Callable[[list[Event]], None]  # returns when they are recorded
    period: timedelta

    def drop(self, database: Database, moment: datetime) -> int:
        """How many records were dropped that are old at that moment.

        Raises `Unavailable` DJ502, `Untrusted` DJ621 where the clock is not believed, and, after all other chains, `Untrusted`
        DJ610 for those that are not whole, and those that no head states: they stay; or DJ626 where none stay but those of a
        time without keys, of which nothing is signed.
        """
        timestamp = microseconds(moment)
        with database.reading() as connection:
            writers = self._old(connection, timestamp - self._length)
            before = self._before(connection, timestamp) if writers else None
        if writers and before is None:
            raise Untrusted(
                "DJ621", "old audit records: not dropped: the newest that a head states is a day old, or there is none"
            )
        count = 0
        broken: list[str] = []
        unsigned: list[str] = []
        for writer in writers:
            try:
                count += sum(self._drop_batches(database, writer, before or 0, timestamp))
            except (Malformed, Untrusted) as error:
                chains = unsigned if self._of_a_time_without_keys(database, writer) else broken
                chains.append(f"audit chain {writer}: not dropped: {error}")
        drop_unnamed(database)
        if broken:
            raise Untrusted("DJ610", "; ".join(broken + unsigned))
        if unsigned:
            raise Untrusted("DJ626", "; ".join(unsigned))
        return count

    @property
    def _length(self) -> int:
        return self.period // UNIT

    def _old(self, connection: Connection, before: int) -> list[str]:
        """Whose records are old by the clock, if some of them are stated: the end of a chain that nobody stated stays."""
        old = select(RECORDS.c.writer).distinct().where(RECORDS.c.moment < before)
        anchored = select(ANCHORS.c.writer).where(ANCHORS.c.writer.not_in(select(HEADS.c.writer)))
        return list(connection.scalars(old.where(RECORDS.c.writer.not_in(anchored)).order_by(RECORDS.c.writer)))

    def _before(self, connection: Connection, moment: int) -> int | None:
        """The moment before which records are old, by heads over all that time: one for each part of it, and the newest."""
        own = (HEADS.c.writer == RECORDS.c.writer) & (HEADS.c.number == RECORDS.c.number)
        past = select(HEADS.c.statement).join(RECORDS, own).where(RECORDS.c.moment <= moment)
        part = RECORDS.c.moment // max(1, self._length // _SAMPLES)
        samples = select(func.min(HEADS.c.statement)).join(RECORDS, own).where(RECORDS.c.moment <= moment).group_by(part)
        newest = past.order_by(RECORDS.c.moment.desc()).limit(_SAMPLES)
        texts = [text for query in (samples, newest) for text in connection.scalars(query)]
        return age.find_cutoff(self._moments(texts), moment, self._length)

    def _of_a_time_without_keys(self, database: Database, writer: str) -> bool:
        """Whether statements of the chain are there, and none of them is signed."""
        queries = (select(table.c.statement).where(table.c.writer == writer) for table in (ANCHORS, HEADS))
        with database.reading() as connection:
            texts = [text for query in queries for text in connection.scalars(query)]
        return bool(self.keys and texts) and all(map(statements.is_unsigned, texts))

    def _moments(self, texts: list[str]) -> Iterator[int]:
        for text in texts:
            try:
                yield statements.parse(text, self.keys).moment
            except DonjonError:
                continue  # Somebody else's: time has not passed for that.

    def _drop_batches(self, database: Database, writer: str, before: int, moment: int) -> Iterator[int]:
        """The numbers of records dropped in one transaction after the other."""
        again: set[str] = set()
        while True:
            with database.changing() as connection:
                database.alone(connection, _ALONE)
                anchor, heads = self._read_statements(connection, writer)
                if not heads and not anchor:
                    raise Untrusted("DJ613", "there is no head of it, not even of its beginning")
                heads = _part([each for each in takewhile(lambda each: each.moment < before, heads) if each.link.number])
                if not heads:
                    return
                old = _until(connection, heads[-1].link)
                self._check(old, [*anchor, *heads])
                standing = [each for each in _standing(connection, old) if each.place not in again]
                text = statements.encode(self._anchor(old, anchor, heads, moment), self.signer)
                events = [_again(connection, each) for each in standing]
                if not standing:
                    _replace(connection, heads[-1].link, text)
            if standing:
                self.restate(events)
                again |= {each.place for each in standing}
            else:
                self.announce(text)
                yield len(old)

    def _read_statements(self, connection: Connection, writer: str) -> tuple[list[Statement], list[Statement]]:
        """The chain's anchor, if there is one, and its first heads in the order of their numbers."""
        by_table = []
        for table in (ANCHORS, HEADS):
            query = select(table.c.statement).where(table.c.writer == writer).order_by(table.c.number).limit(MAX_HEADS)
            by_table.append([statements.parse(text, self.keys) for text in connection.scalars(query)])
        if other := [each for own in by_table for each in own if each.link.writer != writer]:
            raise Untrusted("DJ601", f"a head of chain {other[0].link.writer}")
        anchor, heads = by_table
        return anchor, heads

    def _check(self, old: list[Record], chain_statements: list[Statement]) -> None:
        if findings := verify(old, chain_statements).findings:
            raise Untrusted("DJ610", findings[0].sentence())

    def _anchor(self, old: list[Record], anchor: list[Statement], heads: list[Statement], moment: int) -> Statement:
        removal = Removal(
            first=old[0].number,
            oldest=old[0].moment,
            newest=old[-1].moment,
            retention=self._length,
            anchor=anchor[0].link if anchor else None,
            heads=tuple(each.link for each in heads),
        )
        end = heads[-1]
        return Statement(kind=StatementKind.ANCHOR, link=end.link, moment=moment, last=end.last, removal=removal)


def _part(heads: list[Statement]) -> list[Statement]:
    """The first of these heads, with as many records as are dropped at once, or one head's."""
    first_number = heads[0].link.number if heads else FIRST
    return [*heads[:1], *takewhile(lambda each: each.link.number - first_number < AT_ONCE, heads[1:])]


def _until(connection: Connection, link: Link) -> list[Record]:
    own = (RECORDS.c.writer == link.writer) & (RECORDS.c.number <= link.number)
    return [record(row) for row in connection.execute(select(RECORDS).where(own).order_by(RECORDS.c.number)).mappings()]


def _standing(connection: Connection, old: list[Record]) -> list[HoldingChange]:
    """The last changes in these records that made what is kept now."""
    ledger = Ledger()
    for each in old:
        ledger.take(each)
    return [each for each in ledger.last.values() if each.stands and each.holds(read_instance(connection, each.instance))]


def _again(connection: Connection, change: HoldingChange) -> Event:
    """The change, to be told again with the text of its policy."""
    token = read_instance(connection, change.instance).policies.get(change.subject[1], "")
    return replace(change.again(), text=policies.stored_text(token) or "")


def _replace(connection: Connection, link: Link, anchor: str) -> None:
    for table in (RECORDS, HEADS):
        connection.execute(delete(table).where(table.c.writer == link.writer, table.c.number <= link.number))
    connection.execute(delete(ANCHORS).where(ANCHORS.c.writer == link.writer))
    connection.execute(insert(ANCHORS).values(writer=link.writer, number=link.number, statement=anchor))
