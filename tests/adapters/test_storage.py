"""The database: its tables are what the migrations make, and what fails is told as ours."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.tables import METADATA
from donjon.collateral.plan import Answer
from donjon.errors import Unavailable

ONE, TWO = Answer(body=b"\0one", chain=b"1"), Answer(body=b"two", chain=b"2")


def opened(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder}/x.db")
    database.migrate()
    return database


def test_what_was_written_is_there_after_a_new_start_and_the_latest_stays(tmp_path: Path) -> None:
    first = opened(tmp_path)
    CollateralTable(first).write({"a": ONE, "b": ONE})
    CollateralTable(first).write({"b": TWO})
    first.close()
    again = opened(tmp_path)
    assert CollateralTable(again).all() == {"a": ONE, "b": TWO}
    again.close()


def test_the_migrations_make_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Unavailable, match="newer version"):
        database.migrate()
    database.close()


def test_a_file_that_is_no_database_is_a_coded_error(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Unavailable) as told:
        database.migrate()
    assert told.value.code == "DJ502"
    database.close()
