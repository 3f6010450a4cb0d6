"""The audit records as they are in the database: read for those who verify and show them, and nothing of it proved."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Select, select

from donjon.adapters.storage.database import SQLITE, Database, Torn
from donjon.adapters.storage.instances import StoredInstance, read_all_instances
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.policy_texts import read_texts
from donjon.adapters.storage.tables import ANCHORS, HEADS, RECORDS
from donjon.audit.chain import Record
from donjon.audit.texts import PolicyText
from donjon.errors import Malformed

_AT_ONCE = 1000  # rows in memory
_TYPES = {"writer": str, "number": int, "moment": int, "event": bytes, "previous": bytes, "hash": bytes}


class Snapshot:
    """The audit records, heads, anchors and instances as they are at one moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection.execution_options(yield_per=_AT_ONCE)

    def check_file(self) -> None:
        """Have SQLite look at its whole file; raises `Torn`. PostgreSQL looks after its own."""
        if self._connection.dialect.name == SQLITE:
            answer = self._connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
            if answer != "ok":
                raise Torn("DJ502", f"database: {answer}")

    def statements(self) -> tuple[str, ...]:
        """The texts of all heads and anchors."""
        return tuple(text for table in (HEADS, ANCHORS) for text in self._connection.scalars(select(table.c.statement)))

    def holdings(self) -> dict[str, StoredInstance]:
        """What instances keep, for comparing it with what the records say."""
        return read_all_instances(self._connection)

    def policy_texts(self, policy: str | None = None) -> Iterator[PolicyText]:
        """The texts of policies, or those under one hash."""
        return read_texts(self._connection, policy)

    def chains(self) -> Iterator[Record]:
        """Every record, chain by chain, in the order of their numbers; raises `Malformed` DJ608."""
        return self._records(select(RECORDS).order_by(RECORDS.c.writer, RECORDS.c.number))

    def between(self, since: datetime | None, until: datetime | None) -> Iterator[Record]:
        """The records from one moment until before another, in that order; raises `Malformed` DJ608."""
        query = select(RECORDS).order_by(RECORDS.c.moment, RECORDS.c.writer, RECORDS.c.number)
        if since is not None:
            query = query.where(RECORDS.c.moment >= microseconds(since))
        if until is not None:
            query = query.where(RECORDS.c.moment < microseconds(until))
        return self._records(query)

    def _records(self, query: Select[*tuple[object, ...]]) -> Iterator[Record]:
        try:
            yield from map(record, self._connection.execute(query).mappings())
        except TypeError as error:  # SQLite gives what was put there, of whatever type.
            raise Malformed("DJ608", f"audit records: a row that is no record: {error}") from error


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """The database as it is now; raises `Unavailable` DJ502, of a file that is not whole `Torn`."""
    with database.reading() as connection:
        yield Snapshot(connection)


def record(row: RowMapping) -> Record:
    """The record of a row; raises `Malformed` DJ608."""
    if wrong := [name for name, kind in _TYPES.items() if not isinstance(row[name], kind)]:
        raise Malformed("DJ608", f"audit records: a row whose {wrong[0]} is no {_TYPES[wrong[0]].__name__}")
    return Record(**{name: row[name] for name in _TYPES})
