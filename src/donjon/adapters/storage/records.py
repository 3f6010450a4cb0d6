"""The audit records as they are in the database: read for those who verify and show them, and nothing of it proved."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select, type_coerce
from sqlalchemy.types import NullType

from donjon.adapters.storage.database import SQLITE, Database, Torn
from donjon.adapters.storage.instances import StoredInstance, read_all_instances
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.policy_texts import read_texts
from donjon.adapters.storage.tables import ANCHORS, HEADS, RECORDS
from donjon.audit.chain import Record
from donjon.audit.texts import PolicyText
from donjon.errors import Malformed

_AT_ONCE = 1000  # rows in memory
_ROWS = select(*(type_coerce(each, NullType()).label(each.name) for each in RECORDS.columns))
"""SQLite gives what was put there, of whatever type, so nothing is converted."""
_TYPES = {"writer": str, "number": int, "moment": int, "event": bytes, "previous": bytes, "hash": bytes}


class Snapshot:
    """The audit records, heads, anchors and instances as they are at one moment, whatever somebody put there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection.execution_options(yield_per=_AT_ONCE)
        if connection.dialect.name == SQLITE:
            # A text of other bytes than UTF-8 would end the reading of all the others.
            bare: Any = connection.connection.dbapi_connection
            bare.text_factory = _text

    def check_file(self) -> None:
        """Have SQLite look at its whole file; raises `Torn`. PostgreSQL looks after its own."""
        if self._connection.dialect.name == SQLITE:
            answer = self._connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
            if answer != "ok":
                raise Torn("DJ502", f"database: {answer}")

    def statements(self) -> tuple[str, ...]:
        """The texts of all heads and anchors."""
        tables = (HEADS, ANCHORS)
        return tuple(str(text) for table in tables for text in self._connection.scalars(select(table.c.statement)))

    def holdings(self) -> dict[str, StoredInstance]:
        """What instances keep, for comparing it with what the records say."""
        return read_all_instances(self._connection)

    def policy_texts(self, policy: str | None = None) -> Iterator[PolicyText]:
        """The texts of policies, or those under one hash."""
        return read_texts(self._connection, policy)

    def chains(self, tell: Callable[[str], None]) -> Iterator[Record]:
        """Every record, chain by chain, in the order of their numbers; a row that is none is told, and left out."""
        return self._records(_ROWS.order_by(RECORDS.c.writer, RECORDS.c.number), tell)

    def between(self, since: datetime | None, until: datetime | None, tell: Callable[[str], None]) -> Iterator[Record]:
        """The records from one moment until before another, in that order; a row that is none is told, and left out."""
        query = _ROWS.order_by(RECORDS.c.moment, RECORDS.c.writer, RECORDS.c.number)
        if since is not None:
            query = query.where(RECORDS.c.moment >= microseconds(since))
        if until is not None:
            query = query.where(RECORDS.c.moment < microseconds(until))
        return self._records(query, tell)

    def _records(self, query: Select[*tuple[object, ...]], tell: Callable[[str], None]) -> Iterator[Record]:
        for row in self._connection.execute(query).mappings():
            try:
                yield record(row)
            except Malformed as error:
                tell(error.message)


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """The database as it is now; raises `Unavailable` DJ502, of a file that is not whole `Torn`."""
    with database.reading() as connection:
        yield Snapshot(connection)


@contextmanager
def snapshot_of(address: str) -> Iterator[Snapshot]:
    """The database of that address, which must be there, as it is now; raises as `Database` and `snapshot` do."""
    with closing(Database(address, there=True)) as database, snapshot(database) as records:
        yield records


def record(row: RowMapping) -> Record:
    """The record of a row; raises `Malformed` DJ608."""
    if wrong := [name for name, kind in _TYPES.items() if not isinstance(row[name], kind)]:
        raise Malformed("DJ608", f"audit records: a row whose {wrong[0]} is no {_TYPES[wrong[0]].__name__}")
    return Record(**{name: row[name] for name in _TYPES})


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")
