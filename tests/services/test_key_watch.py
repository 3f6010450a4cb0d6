"""Rotations of signing keys are on record: which keys, from where, once, and with nothing secret."""

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from tests.adapters.test_rings import HOUR, NEXT, NOW, PRESENT, RSA, kid

from donjon.adapters.keys import rings, signing
from donjon.adapters.keys.folder import Folder
from donjon.adapters.keys.rings import Ring
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.tables import RECORDS
from donjon.cli.audit.command import audit
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject
from donjon.services.attestation.audit_keeper import AuditKeeper
from donjon.services.attestation.key_watch import KeyWatch
from donjon.signing.ring import Order
from donjon.signing.signer import Algorithm

ONE, TWO, AUDITORS = kid(PRESENT), kid(NEXT), kid(RSA)


@dataclass
class World:
    """A service's rings, its audit and a clock."""

    folder: Path
    database: Database
    moment: datetime = NOW

    def ring(self, name: str, *keys: bytes) -> Ring:
        place = self.folder / name
        place.mkdir()
        for number, key in enumerate(keys):
            (place / f"{number}.pem").write_bytes(key)
        return asyncio.run(rings.open_ring(Folder(place), lambda: self.moment, self._refuse))

    def watch(self, **by_instance: Ring) -> KeyWatch:
        return KeyWatch(by_instance, self.keeper)

    def look(self, watch: KeyWatch) -> None:
        asyncio.run(watch.look())

    def events(self) -> list[JsonObject]:
        with self.database.reading() as connection:
            return [json.loads(row) for row in connection.scalars(select(RECORDS.c.event).order_by(RECORDS.c.number))]

    def __post_init__(self) -> None:
        self.keeper = AuditKeeper(self.ring("audit", RSA), None, lambda: self.moment, AttestationMetrics("test"))
        self.journal = self.keeper.journal(self.database)

    def _refuse(self, error: DonjonError | None) -> None:
        assert error is None


@pytest.fixture
def world(tmp_path: Path, database: Database, caplog: pytest.LogCaptureFixture) -> Iterator[World]:
    caplog.set_level(logging.INFO)
    made = World(tmp_path, database)
    yield made
    made.journal.close()


def log(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    return [line.__dict__["fields"] for line in caplog.records if line.message == event]


def test_the_keys_of_a_start_and_each_change_are_recorded_once(
    world: World, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    watch = world.watch(a=world.ring("a", PRESENT, NEXT))
    for moment in (NOW, NOW, NOW + HOUR, NOW + HOUR, NOW + HOUR + timedelta(seconds=30)):
        world.moment = moment
        world.look(watch)
    place = str(world.folder / "a")
    assert [(each["kind"], each["instance"], each["caller"], each["facts"], each["trace"]) for each in world.events()] == [
        ("keys", "a", "", {"kid": ONE, "place": place}, {"published": [ONE, TWO]}),
        ("keys", "a", "", {"kid": TWO, "place": place, "before": ONE}, {"published": [ONE, TWO], "before": [ONE, TWO]}),
    ]
    assert [line["kid"] for line in log(caplog, "signing keys in use")] == [ONE, TWO]
    shown = CliRunner().invoke(audit, ["show", "--database", address, "--kind", "keys"]).output.splitlines()
    assert [line.split()[1:5] for line in shown] == [["allowed", "keys", "a", "itself"]] * 2
    assert f"before={ONE} kid={TWO}" in shown[1]


def test_a_key_that_comes_or_goes_is_a_change_though_the_same_one_signs(world: World) -> None:
    watch = world.watch(a=world.ring("a", PRESENT))
    world.look(watch)
    (world.folder / "a" / "next.pem").write_bytes(NEXT)
    world.look(watch)
    (world.folder / "a" / "next.pem").unlink()
    world.look(watch)
    assert [each["trace"] for each in world.events()] == [
        {"published": [ONE]},
        {"published": [ONE, TWO], "before": [ONE]},
        {"published": [ONE], "before": [ONE, TWO]},
    ]


def test_keys_that_have_ended_are_none(world: World) -> None:
    watch = world.watch(a=world.ring("a", PRESENT))
    world.look(watch)
    world.moment += timedelta(days=400)
    world.look(watch)
    assert [each["facts"] for each in world.events()][1] == {"kid": "none", "place": str(world.folder / "a"), "before": ONE}


def test_the_end_of_the_last_key_is_told_before_and_when_it_has_come_and_a_next_one_mends_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    ring = world.ring("a", PRESENT)
    watch, ends = world.watch(a=ring), ring.runs_out()
    for left in (timedelta(days=15), timedelta(days=13), HOUR, -HOUR, -2 * HOUR):
        world.moment = ends - left
        world.look(watch)
    said = [line for line in caplog.records if line.message == "signing keys: not good"]
    fields = [line.__dict__["fields"] for line in said]
    assert [line.levelname for line in said] == ["WARNING", "ERROR"]
    assert [(each["instance"], each["code"]) for each in fields] == [("a", "DJ541")] * 2
    assert f"no next one, and 0.pem ends {ends:%FT%TZ}" in str(fields[0]["error"])
    assert f"0.pem ended {ends:%FT%TZ}: nothing is signed" in str(fields[1]["error"])
    order = Order(algorithm=Algorithm.ES256, issuer="https://a.example", begins=ends, ends=ends + timedelta(days=90))
    (world.folder / "a" / "next.pem").write_bytes(signing.fresh_file(order))
    world.look(watch)
    assert len(log(caplog, "signing keys: good again")) == 1


def test_keys_of_the_audit_are_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    watch = world.watch()
    world.look(watch)
    world.look(watch)
    assert [line["kid"] for line in log(caplog, "audit keys in use")] == [AUDITORS]
    assert world.events() == []


def test_what_cannot_be_recorded_is_told_and_recorded_later(world: World, caplog: pytest.LogCaptureFixture) -> None:
    watch = world.watch(a=world.ring("a", PRESENT), b=world.ring("b", NEXT, RSA))
    with world.database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_records RENAME TO away")
    world.look(watch)
    assert [line["code"] for line in log(caplog, "signing keys not recorded")] == ["DJ502", "DJ502"]
    with world.database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO audit_records")
    world.look(watch)
    world.look(watch)
    assert [each["instance"] for each in world.events()] == ["a", "b"]


def test_nothing_secret_is_recorded(world: World) -> None:
    world.look(world.watch(a=world.ring("a", PRESENT)))
    assert "PRIVATE" not in json.dumps(world.events())
