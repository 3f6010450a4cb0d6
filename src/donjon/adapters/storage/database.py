"""The database: opened, its tables made or brought up to date, and every failure told as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from donjon.errors import Misconfigured, Unavailable

SQLITE = "sqlite:///"
_SCRIPTS = "donjon.adapters.storage:migrations"
_CHANGES = "donjon_changes"


class Database:
    """One database; safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """Nothing is opened yet; raises `Misconfigured` DJ501 for an address that is not of SQLite."""
        try:
            self._engine = create_engine(url)
        except (ArgumentError, SQLAlchemyError, ImportError) as error:
            raise Misconfigured("DJ501", f"database: {error}; expected {SQLITE} and a path") from error
        if self._engine.dialect.name != "sqlite":
            raise Misconfigured("DJ501", f"database: {self._engine.dialect.name}, expected {SQLITE} and a path")
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._changing = self._engine.execution_options(**{_CHANGES: True})

    def migrate(self) -> None:
        """Bring the tables up to date; raises `Unavailable` DJ502, also for a database that a newer Donjon has made."""
        config = Config()
        config.set_main_option("script_location", _SCRIPTS)
        try:
            with self.changing() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as error:
            raise Unavailable("DJ502", f"database: {error}; was it made by a newer version?") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection; raises `Unavailable` DJ502 where the database fails."""
        with _told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction, kept at the end of the block; raises `Unavailable` DJ502 where the database fails."""
        with _told(), self._changing.begin() as connection:
            yield connection

    def insert(self, table: Table) -> Insert:
        """An insertion that can say what becomes of a row that is there."""
        return insert(table)

    def answers(self) -> bool:
        """Whether it can be read now."""
        try:
            with self.reading() as connection:
                connection.execute(text("SELECT count(*) FROM alembic_version"))
        except Unavailable:
            return False
        return True

    def close(self) -> None:
        """Close every connection."""
        engine: Engine = self._engine
        engine.dispose()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise Unavailable("DJ502", f"database: {reason}") from error


def _prepare(connection: Any, _record: object) -> None:
    """What is acknowledged stays, and readers do not wait for a writer. Transactions begin where `_begin` says so."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer is the only one from its beginning, so that what it has read stays true until it has written."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_CHANGES) else "BEGIN")
