"""What is told of a place where SQLite cannot have its file: which file, who we are, and what stands against it there."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from donjon.adapters.storage import records
from donjon.adapters.storage.database import Database
from donjon.errors import Unavailable

SOMEBODY = 65532  # the uid of the service in the chart


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may pass through, for tests that are somebody else for a moment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def as_somebody() -> Iterator[str]:
    """Without root's rights, where we have them; the words for who we then are."""
    root = os.geteuid() == 0
    if root:
        os.setegid(SOMEBODY)
        os.seteuid(SOMEBODY)
    try:
        yield f"uid {os.geteuid()}, gid {os.getegid()}"
    finally:
        if root:
            os.seteuid(0)
            os.setegid(0)


def told(file: Path) -> str:
    """How it ends to open a database there."""
    database = Database(f"sqlite:///{file}")
    try:
        with pytest.raises(Unavailable) as raised:
            database.migrate()
    finally:
        database.close()
    assert raised.value.code == "DJ502"
    return raised.value.message


def test_a_volume_of_another_user_is_told_with_both_users_and_the_mode(place: Path) -> None:
    owner = place.stat()
    place.chmod(0o555)
    with as_somebody() as we:
        words = told(place / "x.db")
    assert words.startswith(f"database: {place}/x.db: unable to open database file: {we} may not write the folder {place}, ")
    assert f"which belongs to uid {owner.st_uid}, gid {owner.st_gid}, mode 0555; chown it to us, or in a pod set fsGroup" in words


def test_a_file_of_another_user_is_told(place: Path) -> None:
    place.chmod(0o777)
    (place / "x.db").touch(0o444)
    with as_somebody() as we:
        assert f"{we} may not write the file {place}/x.db, which belongs to uid " in told(place / "x.db")


def test_a_folder_that_nobody_else_may_pass_through_is_told(place: Path) -> None:
    (place / "closed").mkdir(0o755)
    (place / "closed" / "inner").mkdir(0o755)
    (place / "closed").chmod(0o000)
    with as_somebody() as we:
        assert f"{we} may not pass through the folders above {place}/closed/inner" in told(place / "closed" / "inner" / "x.db")
    (place / "closed").chmod(0o700)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("absent/x.db", "there is no folder PLACE/absent; make it, or mount the volume there"),
        ("file/x.db", "PLACE/file is no folder; expected the path of a file in a folder"),
        ("folder", "this is a folder; expected a file in it: sqlite:///PLACE/folder/attestation.db"),
    ],
)
def test_a_path_that_is_no_file_in_a_folder_is_told(place: Path, path: str, words: str) -> None:
    (place / "file").touch()
    (place / "folder").mkdir()
    assert told(place / path) == f"database: {place / path}: unable to open database file: {words.replace('PLACE', str(place))}"


def test_a_file_system_that_is_mounted_read_only_is_told(place: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "donjon", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs to mount a file system: {mounted.stderr.decode(errors='replace').strip()}")
    try:
        assert f": the file system of {place} is read-only; mount it for writing" in told(place / "x.db")
    finally:
        subprocess.run(["umount", place], check=True)


def test_who_only_reads_is_told_to_copy_what_is_mounted_read_only(place: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "donjon", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs to mount a file system: {mounted.stderr.decode(errors='replace').strip()}")
    try:
        database = Database(f"sqlite:///{place}/x.db")
        database.migrate()
        database.close()
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        with pytest.raises(Unavailable) as refused, records.snapshot_of(f"sqlite:///{place}/x.db") as snapshot:
            list(snapshot.statements())
    finally:
        subprocess.run(["umount", place], check=True)
    assert f"the file system of {place} is read-only; copy it to a folder that you may write" in refused.value.message
    assert "mount it for writing" not in refused.value.message


def test_a_file_that_is_no_database_is_told_by_its_path_alone(place: Path) -> None:
    (place / "x.db").write_bytes(b"no database" * 1000)
    assert re.fullmatch(f"database: {place}/x.db: file is not a database", told(place / "x.db"))
