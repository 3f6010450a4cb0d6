"""The database: its tables are what the migrations make, and what fails is told as ours."""

import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from donjon.adapters.storage import database as storage
from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.tables import METADATA
from donjon.collateral.plan import Answer
from donjon.errors import Misconfigured, Unavailable
from donjon.formats.words import MAX_RECITAL

ONE, TWO = Answer(body=b"\0one", chain=b"1"), Answer(body=b"two", chain=b"2")


def opened(address: str) -> Database:
    database = Database(address)
    database.migrate()
    return database


def test_what_was_written_is_there_after_a_new_start_and_the_latest_stays(empty: str) -> None:
    first = opened(empty)
    CollateralTable(first).write({"a": ONE, "b": ONE})
    CollateralTable(first).write({"b": TWO})
    first.close()
    again = opened(empty)
    assert CollateralTable(again).all() == {"a": ONE, "b": TWO}
    again.close()


@pytest.mark.parametrize("value", ["7", "1.5", "'x'", "CAST(x'61' AS TEXT)"])
def test_a_document_of_another_type_comes_out_as_bytes_that_prove_nothing(tmp_path: Path, value: str) -> None:
    database = opened(f"sqlite:///{tmp_path}/one.db")
    table = CollateralTable(database)
    table.write({"a": ONE})
    with database.changing() as connection:
        connection.execute(text(f"UPDATE documents SET body = {value}, chain = {value}"))  # noqa: S608 - the test's own.
    for each in (table.all()["a"], table.read("a")):
        assert each is not None
        assert (type(each.body), type(each.chain)) == (bytes, bytes)
    database.close()


def closed(bare: Any) -> bool:
    """Whether SQLite's or PostgreSQL's own connection is closed."""
    if not isinstance(bare, sqlite3.Connection):
        return bool(bare.closed)
    try:
        bare.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_who_is_at_work_when_it_is_closed_and_who_comes_later_leave_no_connection_open(address: str) -> None:
    database = opened(address)
    with database.reading() as early:
        database.close()
        connections = [early.connection.dbapi_connection]
        assert not closed(connections[0])
    with database.reading() as late:
        connections.append(late.connection.dbapi_connection)
    assert [closed(each) for each in connections] == [True, True]


def test_connections_in_use_when_a_change_fails_are_closed_afterwards(address: str) -> None:
    database = opened(address)
    with database.reading() as connection:
        bare = connection.connection.dbapi_connection
        with pytest.raises(Unavailable), database.changing() as other:
            other.execute(text("SELECT * FROM nowhere"))
        assert not closed(bare)
    assert closed(bare)
    database.close()


def test_the_migrations_make_the_tables_that_the_code_knows(empty: str) -> None:
    database = opened(empty)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    database.close()


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    config = Config()
    config.set_main_option("script_location", "donjon.adapters.storage:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == storage.HEAD


def test_replicas_that_start_at_once_migrate_once(empty: str) -> None:
    databases = [Database(empty) for _ in range(4)]
    with ThreadPoolExecutor(len(databases)) as pool:
        list(pool.map(Database.migrate, databases))
    for database in databases:
        database.look(writing=True)
        database.close()


def test_processes_that_open_a_new_file_at_once_wait_for_one_another(tmp_path: Path) -> None:
    """Who makes its journal, or mends that of a process that was killed, keeps others waiting for a moment, and no longer."""
    for number in range(20):
        databases = [Database(f"sqlite:///{tmp_path}/{number}.db") for _ in range(4)]
        with ThreadPoolExecutor(len(databases)) as pool:
            list(pool.map(Database.migrate, databases))
        for database in databases:
            database.close()


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.changing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="newer version"):
        database.migrate()
    with pytest.raises(Unavailable, match=r"of version 9999, ours of .*newer version"):
        database.check()


def test_a_version_of_thousands_of_signs_is_told_in_short(tmp_path: Path) -> None:
    database = opened(f"sqlite:///{tmp_path}/one.db")
    with database.changing() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{'9' * 5_000}'")  # noqa: S608 - the test's own.
    for look in (database.check, database.migrate):
        with pytest.raises(Unavailable, match="newer version") as told:
            look()
        assert len(str(told.value)) < 2 * MAX_RECITAL
    database.close()


def test_a_connection_in_use_when_its_database_is_closed_is_closed_afterwards(database: Database) -> None:
    """Threads outlive what cancels them, and a connection that is only let go is complained of."""
    with database.reading() as connection:
        bare: Any = connection.connection.dbapi_connection
        database.close()
    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        bare.execute("SELECT 1")


def test_a_file_that_is_no_database_is_a_coded_error(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Unavailable) as told:
        database.migrate()
    assert told.value.code == "DJ502"
    database.close()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "postgres",
        "mysql://donjon:secret@db/x",
        "postgresql://donjon:secret@db:port/x",
        "sqlite+aiosqlite:///x",
        "postgresql+psycopg2://x",
    ],
)
def test_an_address_of_another_kind_is_refused_and_its_password_is_not_told(address: str) -> None:
    with pytest.raises(Misconfigured, match="sqlite:///PATH or postgresql://") as told:
        Database(address)
    assert told.value.code == "DJ501"
    assert "secret" not in str(told.value)


def test_postgresql_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Misconfigured, match=r"install the extra donjon\[postgresql\]"):
        Database("postgresql://donjon@db/x")
