"""Audit records that have become old are dropped from the beginnings of their chains; a signed anchor says up to where.

What is dropped is verified first, so that what was done to it does not vanish with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from sqlalchemy import Connection, delete, insert, select

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.records import record
from donjon.adapters.storage.tables import ANCHORS, HEADS, RECORDS
from donjon.audit import chain, statements
from donjon.audit.chain import Record
from donjon.audit.statements import Kind, Signer, Statement
from donjon.audit.verification import verify
from donjon.errors import Malformed, Untrusted
from donjon.pki.signers import SignerCertificate

AT_ONCE = 500  # records in one transaction, so that nobody who writes waits for long

_ALONE = 0x444B  # the lock by which one of several replicas drops


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Who signs anchors, by which keys earlier ones were signed, and who keeps them elsewhere."""

    signer: Signer | None
    keys: tuple[SignerCertificate, ...]  # none: signatures are not looked at
    announce: Callable[[str], None]  # a statement

    def drop(self, database: Database, before: datetime, moment: datetime) -> int:
        """How many records from before were dropped.

        Raises `Unavailable` DJ502, and, after all other chains, `Untrusted` DJ610 for those that are not whole: they stay.
        """
        oldest, stated = microseconds(before), microseconds(moment)
        with database.reading() as connection:
            writers = connection.scalars(select(RECORDS.c.writer).distinct().where(RECORDS.c.moment < oldest)).all()
        dropped, broken = 0, []
        for writer in writers:
            try:
                dropped += sum(self._dropped(database, writer, oldest, stated))
            except (Malformed, Untrusted) as error:
                broken.append(f"audit chain {writer}: not dropped: {error}")
        if broken:
            raise Untrusted("DJ610", "; ".join(broken))
        return dropped

    def _dropped(self, database: Database, writer: str, oldest: int, moment: int) -> Iterator[int]:
        """The numbers of records dropped in one transaction after the other."""
        while True:
            with database.changing() as connection:
                database.alone(connection, _ALONE)
                old = list(takewhile(lambda each: each.moment < oldest, _beginning(connection, writer)))
                if not old:
                    return
                self._check(connection, writer, old)
                said = Statement(kind=Kind.ANCHOR, link=chain.end(old[-1]), moment=moment)
                text = statements.encode(said, self.signer)
                _replace(connection, writer, old[-1].number, text)
            self.announce(text)
            yield len(old)

    def _check(self, connection: Connection, writer: str, old: list[Record]) -> None:
        chosen = [
            select(table.c.statement).where(table.c.writer == writer, table.c.number <= old[-1].number)
            for table in (ANCHORS, HEADS)
        ]
        texts = [text for each in chosen for text in connection.scalars(each)]
        if found := verify(old, [statements.parse(text, self.keys) for text in texts]).findings:
            raise Untrusted("DJ610", found[0].sentence())


def _beginning(connection: Connection, writer: str) -> Iterator[Record]:
    chosen = select(RECORDS).where(RECORDS.c.writer == writer).order_by(RECORDS.c.number).limit(AT_ONCE)
    return map(record, connection.execute(chosen).mappings())


def _replace(connection: Connection, writer: str, number: int, anchor: str) -> None:
    for table in (RECORDS, HEADS):
        connection.execute(delete(table).where(table.c.writer == writer, table.c.number <= number))
    connection.execute(delete(ANCHORS).where(ANCHORS.c.writer == writer))
    connection.execute(insert(ANCHORS).values(writer=writer, number=number, statement=anchor))
