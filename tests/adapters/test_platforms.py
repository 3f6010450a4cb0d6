"""Platforms in the database."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.collateral.machines import PCE_ID, known, registration
from tests.simulation.intel import MOMENT, world

from donjon.adapters.storage import platforms
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.platforms import MAX_OF_MACHINE, PlatformTable
from donjon.collateral.platforms import PlatformName
from donjon.collateral.selection import Tcb
from donjon.errors import Unavailable
from donjon.simulation.intel.setting import COMPONENTS

HOUR = timedelta(hours=1)


@pytest.fixture
def table(database: Database) -> PlatformTable:
    return PlatformTable(database)


def test_a_platform_comes_back_as_it_was_kept_and_the_latest_stays(table: PlatformTable) -> None:
    first, later = known(), known(fetched=MOMENT + HOUR)
    tcb = Tcb(components=bytes(COMPONENTS), pce_svn=7)
    later = replace(
        later,
        stored_platform=replace(
            later.stored_platform, registration=replace(later.stored_platform.registration, tcb=tcb), whole=False
        ),
    )
    for each in (first, later):
        table.write([each])
        assert table.read(each.stored_platform.registration.name) == each.stored_platform
    assert table.all() == [later.stored_platform]
    assert table.read(PlatformName(qe_id="AA" * 16, pce_id=b"\1\0")) is None


@pytest.mark.parametrize("change", ["pce_id = 'zz'", "pce_id = x'00'", "fetched = 'x'", "fetched = 1000000000000000000"])
def test_a_row_that_nobody_of_ours_wrote_is_told(tmp_path: Path, change: str) -> None:
    """SQLite takes a value of any type into any column."""
    database = Database(f"sqlite:///{tmp_path}/one.db")
    database.migrate()
    table = PlatformTable(database)
    table.write([known()])
    with database.changing() as connection:
        connection.execute(text(f"UPDATE platforms SET {change}"))  # noqa: S608 - the test's own.
    with pytest.raises(Unavailable, match="platforms: a row that is none") as told:
        table.all()
    assert told.value.code == "DJ502"
    database.close()


def test_platforms_are_told_by_family_and_by_age(table: PlatformTable) -> None:
    other = known("BB", world(changes={"extension.fmspc": bytes(6)}), MOMENT - HOUR)
    table.write([known(), other])
    assert table.list_platforms([bytes(6)], lacking=False) == [other.stored_platform.registration]
    assert (
        len(table.list_platforms([bytes(6), known().pck_certificates.fmspc], lacking=False))
        == len(table.list_platforms([], lacking=False))
        == 2
    )
    assert table.list_platforms([], lacking=True) == []
    assert table.fetched_before(MOMENT, 10) == [PlatformName(qe_id="BB", pce_id=PCE_ID)]
    assert [each.qe_id for each in table.fetched_before(MOMENT + HOUR, 1)] == ["BB"]


def test_of_one_machine_so_many_names_are_kept_and_no_more(table: PlatformTable) -> None:
    stranger = known("ZZ", world(changes={"extension.ppid": bytes(16)}), MOMENT - 99 * HOUR)
    table.write([stranger])
    for number in range(MAX_OF_MACHINE + 2):
        table.write([known(f"Q{number}", fetched=MOMENT + number * HOUR)])
    assert [each.registration.name.qe_id for each in table.all()] == [
        *(f"Q{number}" for number in range(2, MAX_OF_MACHINE + 2)),
        "ZZ",
    ]


def test_who_waits_is_told_until_its_certificates_are_there(table: PlatformTable) -> None:
    waiting = registration(manifest=b"manifest", encrypted_ppid=None)
    table.register(registration())
    table.register(waiting)
    table.register(registration("BB"))
    assert table.waiting() == [waiting, registration("BB")]
    table.write([known()])
    assert table.waiting() == [registration("BB")]


def test_more_than_may_be_kept_are_refused_and_nothing_of_them_is_kept(
    table: PlatformTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "MAX_PLATFORMS", 1)
    monkeypatch.setattr(platforms, "MAX_WAITING", 1)
    with pytest.raises(Unavailable, match="DJ576"):
        table.write([known(), known("BB")])
    assert table.all() == []
    table.register(registration())
    table.register(registration())
    with pytest.raises(Unavailable, match="DJ576"):
        table.register(registration("BB"))
    assert table.waiting() == [registration()]


def test_a_list_that_is_too_long_is_not_read(table: PlatformTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "MAX_LISTED", 3000)
    table.register(registration())
    table.write([known("BB")])
    assert (len(table.waiting()), len(table.list_platforms([], lacking=False))) == (1, 1)
    table.register(registration("CC", manifest=bytes(2000)))
    with pytest.raises(Unavailable, match="DJ578"):
        table.waiting()
    monkeypatch.setattr(platforms, "MAX_LISTED", 300)
    with pytest.raises(Unavailable, match="DJ578"):
        table.list_platforms([], lacking=False)
