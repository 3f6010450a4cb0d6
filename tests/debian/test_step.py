"""The step of `make check` that runs the quick tests on Debian 13: what it keeps, what it leaves, and what it says."""

import os
from pathlib import Path

import pytest
from testbed.binaries import cache
from testbed.trouble import Lacking
from tests import check
from tests.debian.__main__ import LEFT_OUT, enter, lone, shared, unable
from tests.debian.root import CHECKOUT, TRIXIE, Release, able, digest, ensure

FORKY = Release(suite="forky", name="Debian 14")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "dev.txt"
    file.write_text("pytest==9.1.0\n", encoding="ascii")
    return file


@pytest.fixture
def machine() -> Path:
    """This one's own root file system, entered instead of another one."""
    try:
        able()
    except Lacking as error:
        pytest.skip(f"needs root: {error}")
    return Path("/")


def test_other_requirements_and_another_release_are_another_root(lock: Path) -> None:
    before = digest(TRIXIE, lock)
    assert digest(TRIXIE, lock) == before
    assert digest(FORKY, lock) != before
    lock.write_text("pytest==9.1.1\n", encoding="ascii")
    assert digest(TRIXIE, lock) != before


def test_a_root_that_is_kept_is_not_made_again(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = cache() / f"trixie-{digest(TRIXIE, lock)}"
    kept.mkdir(parents=True)
    assert ensure(TRIXIE, lock) == kept
    assert list(kept.iterdir()) == []


def test_what_fails_inside_fails_the_step(machine: Path) -> None:
    assert enter(machine, "true") == 0
    assert enter(machine, "sh", "-c", "exit 7") == 7


def test_nothing_stays_of_what_is_written_inside(machine: Path) -> None:
    name = f"donjon-{os.getpid()}"
    assert enter(machine, "sh", "-c", f"test -f pyproject.toml && touch {name} /{name} && mount -t tmpfs donjon /mnt") == 0
    assert not (CHECKOUT / name).exists()
    assert not Path("/", name).exists()
    assert not os.path.ismount("/mnt")


def test_where_it_cannot_run_the_check_says_so_at_its_end() -> None:
    line = unable(Lacking("Debian packages are missing: mmdebstrap", why="needs root", do="run `apt-get …` as root"))
    assert check.skips([line]) == [
        "tests/debian: Debian packages are missing: mmdebstrap: needs root what to do: run `apt-get …` as root"
    ]


def test_it_is_a_step_of_the_check() -> None:
    assert [step.name for step in check.STEPS if step.command[-1] == "tests.debian"] == ["the quick tests on Debian 13"]


def test_what_is_left_out_is_there_and_all_else_is_run() -> None:
    assert [path for path in LEFT_OUT if not (CHECKOUT / path).exists()] == []
    first, second = shared(), lone()
    apart = {second[0]}
    assert {first[at + 1] for at, word in enumerate(first) if word == "--ignore"} == {*LEFT_OUT, *apart}
    assert {second[at + 1] for at, word in enumerate(second) if word == "--ignore"} == set(LEFT_OUT)
