"""The database, SQLite or PostgreSQL: opened, its tables made or brought up to date, and every failure told as ours."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from donjon.adapters.storage import sqlite_file
from donjon.errors import Misconfigured, Unavailable
from donjon.formats.words import recite

SQLITE, POSTGRESQL = "sqlite", "postgresql+psycopg"
FORMS = "sqlite:///PATH or postgresql://USER@HOST/NAME"
WAIT = 5  # seconds for a connection, or for what another holds

HEAD = "0005"
"""The newest of the migrations."""

_SCRIPTS = "donjon.adapters.storage:migrations"
_LOOK = 1  # ms that SQLite waits for another, and as many that we do, before it is tried again
_NEVER = Event()
_PRIMARY = 0xFF  # the part of an extended code that says which result it is (sqlite.org/rescode.html)
_CHANGES = "donjon_changes"
_NEWER = "was it made by a newer version?"
_MIGRATIONS = 0x444A  # the lock by which one of several replicas migrates
_PATIENCE = {
    "connect_timeout": WAIT,
    "keepalives_idle": 10,  # seconds, as the next; a server that has gone without a word is given up after these
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,  # ms
    "options": f"-c statement_timeout=15s -c lock_timeout={WAIT}s -c synchronous_commit=on",
}


class Torn(Unavailable):
    """SQLite's file is not whole: cut short, half written, or a mixture."""


class _Pool(QueuePool):
    """Connections none of which outlives it: once it is disposed of, those in use are closed when they come back.

    So are those of threads that outlive what they work for; SQLAlchemy would leave them to the garbage collector.
    """

    _sqla_logger_namespace = "sqlalchemy.pool.impl.QueuePool"  # Under our own name its lines would be ours, at every level.
    _disposed = False

    def dispose(self) -> None:
        """Close every connection, now or when it comes back."""
        self._disposed = True
        super().dispose()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        if self._disposed:
            super().dispose()


class Database:
    """One database; safe to use from several threads."""

    def __init__(self, url: str, *, there: bool = False) -> None:
        """Nothing is opened yet; raises `Misconfigured` DJ501 for an address of neither kind.

        A file that is not there is made, unless it is to be `there`, to be read: then it raises `Unavailable` DJ502.
        """
        self._engine, self._there = _engine(url), there
        file = self._engine.url.database or ""
        if there and self._engine.dialect.name == SQLITE and not Path(file).exists():
            raise Unavailable("DJ502", f"database: {file}: there is no such file")
        self._changing = self._engine.execution_options(**{_CHANGES: True})
        self._sqlite = self._engine.dialect.name == SQLITE

    def migrate(self) -> None:
        """Bring the tables up to date; raises `Unavailable` DJ502, also for a database that a newer Donjon has made."""
        with self.changing() as connection:
            self.alone(connection, _MIGRATIONS)
            if _version(connection) != HEAD:
                _upgrade(connection)

    def check(self) -> str | None:
        """The version of its tables, `None` where there are none yet; changes nothing.

        Raises `Unavailable` DJ502 where it could not be opened, written or brought up to date.
        """
        file = self._engine.url.database
        if self._sqlite and file and not Path(file).exists():
            if obstacle := sqlite_file.obstacle(Path(file)):
                raise Unavailable("DJ502", f"database: {file}: {obstacle}")
            return None
        with self.changing() as connection:
            version = _version(connection)
        if version is not None and version > HEAD:
            raise Unavailable("DJ502", f"database: its tables are of version {recite(version)}, ours of {HEAD}; {_NEWER}")
        return version

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment; raises `Unavailable` DJ502 where the database fails."""
        with self._translate_errors(), self._engine.connect() as connection:
            if not self._sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction, kept at the end of the block; raises `Unavailable` DJ502 where the database fails."""
        try:
            with self._translate_errors(), self._changing.begin() as connection:
                yield connection
        except Unavailable:
            self._engine.dispose()  # A connection that was opened while nothing could be written never writes.
            raise

    def alone(self, connection: Connection, work: int) -> None:
        """Wait until nobody else does that work, which is then this transaction's until its end."""
        if not self._sqlite:  # There whoever changes anything is alone.
            connection.execute(text("SELECT pg_advisory_xact_lock(:work)"), {"work": work})

    def insert(self, table: Table) -> sqlite.Insert:
        """An insertion that can say what becomes of a row that is there; PostgreSQL's says it in the same words."""
        if self._sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - who has SQLite starts sooner without it.

        return cast("sqlite.Insert", postgresql.insert(table))

    def fill(self, connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert these rows, their values in the order of the table's columns, by one statement.

        SQLite's driver gives up the interpreter's lock at every statement, and whoever gets it has it for milliseconds.
        """
        names, place = ", ".join(table.columns.keys()), "?" if self._sqlite else "%s"
        row = f"({', '.join([place] * len(table.columns))})"
        statement = f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * len(rows))}"  # noqa: S608 - names of our own.
        connection.exec_driver_sql(statement, tuple(chain.from_iterable(rows)))

    def look(self, *, writing: bool) -> None:
        """Raises `Unavailable` DJ502 where it cannot be read now, or cannot be written."""
        if writing:
            with self.changing() as connection:
                connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
        else:
            with self.reading() as connection:
                connection.execute(text("SELECT count(*) FROM alembic_version"))

    def close(self) -> None:
        """Close every connection, those in use as soon as they are not."""
        self._engine.pool.dispose()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """What SQLAlchemy raises within the block becomes `Unavailable` DJ502, of a file that is not whole `Torn`."""
        try:
            yield
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            is_torn = getattr(reason, "sqlite_errorcode", sqlite3.SQLITE_OK) & _PRIMARY == sqlite3.SQLITE_CORRUPT
            raise (Torn if is_torn else Unavailable)("DJ502", f"database: {recite(self._reason(reason))}") from error
        except UnicodeDecodeError as error:  # Of SQLite's words about a schema that is none; in rows it says so itself.
            raise Torn("DJ502", "database: its schema is no text") from error

    def _reason(self, error: BaseException) -> str:
        file = self._engine.url.database
        if isinstance(error, sqlite3.Error) and file:
            return sqlite_file.reason(Path(file), error, for_reading=self._there)
        return " ".join(str(error).split())


def _version(connection: Connection) -> str | None:
    """The newest migration that was made; `None` in a database without any."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _upgrade(connection: Connection) -> None:
    """Alembic is read only where it is needed: that takes a sixth of the time in which the service starts."""
    from alembic import command  # noqa: PLC0415 - as said.
    from alembic.config import Config  # noqa: PLC0415 - as said.
    from alembic.util.exc import CommandError  # noqa: PLC0415 - as said.

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Unavailable("DJ502", f"database: {recite(error)}; {_NEWER}") from error


def _engine(text: str) -> Engine:
    try:
        url = make_url(text)
        if url.drivername == SQLITE:
            engine = create_engine(url, poolclass=_Pool)
            event.listen(engine, "connect", _prepare)
            event.listen(engine, "begin", _begin)
            return engine
        if url.drivername in {"postgresql", POSTGRESQL}:
            patience = {name: value for name, value in _PATIENCE.items() if name not in url.query}
            # Connections are tried before use, so that a server that was away is found again without a failure.
            server = url.set(drivername=POSTGRESQL)
            return create_engine(server, poolclass=_Pool, connect_args=patience, pool_pre_ping=True, pool_timeout=WAIT)
    except ImportError as error:
        raise Misconfigured("DJ501", f"database: PostgreSQL needs {error.name}: install the extra donjon[postgresql]") from error
    except (ArgumentError, SQLAlchemyError, ValueError) as error:  # Their words may have the address, and that a password.
        raise Misconfigured("DJ501", f"database: an address that cannot be read, expected {FORMS}") from error
    raise Misconfigured("DJ501", f"database: {url.drivername}, expected {FORMS}")


def _prepare(connection: Any, _entry: object) -> None:
    """What is acknowledged stays, and readers do not wait for a writer. Transactions begin where `_begin` says so."""
    connection.isolation_level = None
    for pragma in (_patience(_LOOK), "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", _patience(WAIT * 1000)):
        _wait_for(connection, pragma)


def _begin(connection: Connection) -> None:
    """A writer is the only one from its beginning, so that what it has read stays true until it has written.

    Who waits for that looks every millisecond whether it is free: SQLite would soon look every tenth of a second, which is much
    longer than another process needs it.
    """
    changing = connection.get_execution_options().get(_CHANGES)
    if changing:
        bare: Any = connection.connection.dbapi_connection  # SQLite's own: SQLAlchemy's would tell each that fails.
        bare.execute(_patience(_LOOK))
        with suppress(sqlite3.OperationalError):  # Told below.
            _wait_for(bare, "BEGIN IMMEDIATE")
            return
    connection.exec_driver_sql(_patience(WAIT * 1000))
    connection.exec_driver_sql("BEGIN IMMEDIATE" if changing else "BEGIN")


def _wait_for(bare: Any, statement: str) -> None:
    """Run it as soon as nobody is in the way; SQLite itself does not wait for whoever makes or mends the journal of a file."""
    for _ in range(int(WAIT * 1000 / (2 * _LOOK))):
        try:
            bare.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY:
                raise
            _NEVER.wait(_LOOK / 1000)
        else:
            return
    bare.execute(statement)


def _patience(milliseconds: float) -> str:
    return f"PRAGMA busy_timeout={int(milliseconds)}"
