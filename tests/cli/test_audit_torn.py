"""`donjon audit verify` of a database that somebody spoilt: no bad copy is called whole, no strange row hides the others."""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from sqlalchemy import text
from tests.adapters import databases
from tests.adapters.test_heads import CERTIFICATE, KEY, SIGNER

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import Witness
from donjon.adapters.storage.journal import Journal
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.cli.audit.command import audit
from donjon.pki import pem
from donjon.signing.signer import Signer

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
FILE = 4096  # bytes of a page of SQLite's
EVENT = Event(kind=EventKind.ATTEST, instance="a", caller="", verdict=EventVerdict.ALLOW, facts={"quote": "5d" * 64})


def record(database: Database, writer: str, count: int = 300, signer: Signer | None = None) -> list[str]:
    """A chain, ended, and its heads."""
    heads: list[str] = []
    witness = Witness(signer=lambda: signer, announce=heads.append, fail=print)
    journal = Journal(database, writer=writer, moment=lambda: MOMENT, witness=witness)

    async def all_at_once() -> None:
        await asyncio.gather(*(journal.keep(EVENT, instance="a", generation=0) for _ in range(count)))

    asyncio.run(all_at_once())
    journal.close()
    return heads


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A service's file, whose newest transactions are beside it."""
    database = databases.opened(f"sqlite:///{tmp_path}/x.db")
    (tmp_path / "log").write_text("\n".join(record(database, "one")))
    yield tmp_path / "x.db"
    database.close()


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> Path:
    """A copy as SQLite makes it."""
    with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(tmp_path / "copy.db")) as there:
        here.backup(there)
    return tmp_path / "copy.db"


def verified(file: Path, *more: str) -> tuple[int, str]:
    done = CliRunner().invoke(audit, ["verify", "--database", f"sqlite:///{file}", *more], catch_exceptions=False)
    return done.exit_code, done.output


def root(file: Path, name: str) -> int:
    """Where the first page of that table or index begins."""
    with closing(sqlite3.connect(file)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))
    return int(page - 1) * FILE


def cut(length: Callable[[int], int]) -> Callable[[Path], None]:
    return lambda file: os.truncate(file, length(file.stat().st_size))


def half_written(name: str) -> Callable[[Path], None]:
    def tear(file: Path) -> None:
        begin, content = root(file, name), bytearray(file.read_bytes())
        content[begin : begin + FILE // 2] = bytes(FILE // 2)
        file.write_bytes(content)

    return tear


def test_a_copy_that_sqlite_made_is_whole(copy: Path) -> None:
    code, told = verified(copy)
    assert (code, told.splitlines()[-1]) == (0, "1 chain, 300 records: whole")


@pytest.mark.parametrize(
    "tear",
    [
        cut(lambda size: size // 2 + 17),
        cut(lambda size: size - FILE),
        half_written("audit_records"),
        half_written("audit_records_by_moment"),
        half_written("policies"),
    ],
    ids=["half of it", "its last page", "a page of records", "a page of an index", "a page of a table that is empty"],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_torn_copy_is_told_before_anything_of_it_is_read(copy: Path, tear: Callable[[Path], None], form: str) -> None:
    tear(copy)
    code, told = verified(copy, "-o", form)
    assert (code, "DJ632" in told, "whole" in told.replace("its file is torn", "")) == (1, True, False)


def test_a_copy_without_the_journal_beside_it_has_nothing_or_is_old(source: Path, tmp_path: Path) -> None:
    shutil.copy(source, tmp_path / "bare.db")
    code, told = verified(tmp_path / "bare.db")
    assert (code, "DJ619" in told) == (1, True)


def test_a_copy_with_the_journal_of_another_file_is_not_whole(copy: Path, tmp_path: Path) -> None:
    other = databases.opened(f"sqlite:///{tmp_path}/other.db")
    record(other, "two", 200)
    shutil.copy(tmp_path / "other.db-wal", f"{copy}-wal")
    code, told = verified(copy, "--heads", str(tmp_path / "log"))
    assert code == 1
    assert "chain two: records 1 to 200" in told, "it looks like that other file, whole"
    assert "chain one: ends with record 0, and a head states record 300" in told
    other.close()


STRANGE = {
    "DJ600": ("a head that is no UTF-8", "UPDATE audit_heads SET statement = CAST(x'ff' AS TEXT)"),
    "DJ600 ": ("a head that is no text", "UPDATE audit_heads SET statement = x'05'"),
    "DJ608": ("a record of which nothing is", "INSERT INTO audit_records VALUES ('w', 1, 'x', 'x', 'x', 'x')"),
    "DJ603": (
        "a record of a writer whose name is no UTF-8",
        "INSERT INTO audit_records VALUES (CAST(x'ff' AS TEXT), 1, 0, x'7b7d', zeroblob(32), zeroblob(32))",
    ),
    "DJ620": ("a policy in force that is no UTF-8", "INSERT INTO policies VALUES ('a', 'SgxEnclave', CAST(x'ff' AS TEXT))"),
    "DJ620 ": ("a manager's certificate that is a text", "INSERT INTO certificates VALUES ('a', 0, 'x')"),
    "DJ620  ": (
        "instances whose names are no text",
        "INSERT INTO policies VALUES (x'61', 'SgxEnclave', 'x'), ('b', 'SgxEnclave', 'x')",
    ),
    "DJ627": (
        "a policy's text that is no UTF-8",
        "INSERT INTO policy_texts (instance, hash, since, latest, weight, text) VALUES ('a', 'x', 0, 0, 0, CAST(x'ff' AS TEXT))",
    ),
    "DJ627 ": (
        "a policy's hash that is no UTF-8",
        "INSERT INTO policy_texts (instance, hash, since, latest, weight, text) VALUES ('a', CAST(x'ff' AS TEXT), 0, 0, 0, 'x')",
    ),
}


@pytest.mark.parametrize(
    ("code", "row"), [(code.strip(), row) for code, (_, row) in STRANGE.items()], ids=[name for name, _ in STRANGE.values()]
)
def test_a_strange_row_is_found_and_hides_nothing(copy: Path, tmp_path: Path, code: str, row: str) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("DELETE FROM audit_records WHERE number = 150")
        connection.execute(row)
    outcome, told = verified(copy, "--heads", str(tmp_path / "log"), "-o", "json")
    codes = {each["code"] for each in json.loads(told)["findings"]}
    assert (outcome, codes >= {code, "DJ602"}) == (1, True), codes


@pytest.mark.parametrize("word", [b"\xff", b"\x1b[2J"], ids=["no UTF-8", "steering"])
def test_a_schema_that_is_none_is_damage_and_told_in_plain_words(copy: Path, word: bytes) -> None:
    content = copy.read_bytes()
    name = b"CREATE TABLE audit_heads "
    place = content.index(name.strip()) + len(name)  # Where the list of columns begins.
    copy.write_bytes(content[:place] + word + content[place + len(word) :])
    outcome, told = verified(copy)
    assert (outcome, "[DJ6" in told) == (1, True)
    assert told.replace("\n", "").isprintable()


def restored(place: Path, copy: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    """The script of the manifest, as the page runs it in the pod."""
    manifest = PAGE.parent / "examples" / "restore-in-a-cluster.yaml"
    script = next(YAML(typ="safe").load_all(manifest))["data"]["restore.py"]
    environment = {"PLACE": str(place)}
    return subprocess.run(
        [sys.executable, "-c", script, *words], input=copy, env=environment, capture_output=True, check=False, timeout=60
    )


def test_a_copy_is_restored_and_what_was_there_stays_beside_it_until_somebody_forgets_it(copy: Path, tmp_path: Path) -> None:
    place, aside = tmp_path / "attestation.db", tmp_path / "attestation.db.before"
    other = databases.opened(f"sqlite:///{place}")
    record(other, "two", 20)
    assert restored(place, copy.read_bytes()).stdout == b"restored: 300 records of the audit\n"
    other.close()
    assert verified(place, "--heads", str(tmp_path / "log"))[0] == 0
    files = {each.name: each.read_bytes() for each in tmp_path.glob("attestation.db*")}
    again = restored(place, copy.read_bytes())
    told = again.stderr.decode()
    assert (again.returncode, again.stdout) == (1, b"")
    assert told.startswith(f"nothing is restored: {aside}")
    assert {each.name: each.read_bytes() for each in tmp_path.glob("attestation.db*")} == files
    assert "two: records 1 to 20" in verified(aside)[1]
    assert told.rstrip().endswith("/restore/restore.py forget")
    assert restored(place, b"", "forget").returncode == 0
    assert restored(place, copy.read_bytes()).stdout == b"restored: 300 records of the audit\n"
    assert "one: records 1 to 300" in verified(aside)[1]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda whole: whole[: len(whole) // 2], "the copy is"),
        (lambda _: b"", "the copy is no database of the service: no such table"),
        (lambda _: b"No such file", "the copy is no database of the service: file is not a database"),
    ],
    ids=["half of it", "nothing", "something else"],
)
def test_a_copy_that_is_none_is_not_restored(copy: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], why: str) -> None:
    place = tmp_path / "attestation.db"
    shutil.copy(copy, place)
    before = place.read_bytes()
    done = restored(place, spoil(copy.read_bytes()))
    assert (done.returncode, place.read_bytes() == before) == (1, True)
    assert done.stderr.decode().startswith(f"nothing is restored, {why}")
    assert not [*tmp_path.glob("attestation.db.*")], "nothing of the copy stays on the volume"


def test_chains_of_a_time_without_keys_are_deleted_as_the_page_says(address: str, database: Database, tmp_path: Path) -> None:
    record(database, "early", 2)
    record(database, "late", 2, SIGNER)
    (tmp_path / "one.pem").write_bytes(KEY + pem.encode((CERTIFICATE,)))
    keys = ["verify", "--database", address, "--keys", str(tmp_path / "one.pem")]
    before = CliRunner().invoke(audit, keys)
    assert (before.exit_code, "DJ601" in before.output) == (1, True)
    (shown,) = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    with database.changing() as connection:
        for statement in shown.replace("donjon-0-8f3a1c55d2e07b64", "early").splitlines():
            connection.execute(text(statement))
    after = CliRunner().invoke(audit, keys)
    assert (after.exit_code, after.output.splitlines()[-1]) == (0, "1 chain, 2 records: whole")
