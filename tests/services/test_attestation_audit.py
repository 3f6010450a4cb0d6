"""The service's audit: what it answered and what it logged fit together, and what is old goes."""

import asyncio
import json
import logging
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select
from testbed import clock
from tests.adapters.postgres import Server
from tests.services import attesting
from tests.services.attesting import chosen, instance, serving

from donjon.adapters.metrics import exposition
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import Witness
from donjon.adapters.storage.journal import Journal
from donjon.adapters.storage.tables import RECORDS
from donjon.audit import log, statements
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.cli.audit.command import audit
from donjon.maa import policies
from donjon.services.attestation import audit_keeper
from donjon.signing.signer import Algorithm

POLICY = policies.unsecured_token("version=1.0; authorizationrules{=> permit();}; issuancerules{};")
PATH = "/aad/policies/SgxEnclave"
NOT_DROPPED = "dropping old audit records: trying again"


def heads(caplog: pytest.LogCaptureFixture, folder: Path) -> Path:
    """The log, as the service writes it, of heads and anchors."""
    stated = [each.__dict__.get("fields", {}).get("statement") for each in caplog.records]
    file = folder / "service.log"
    file.write_text("".join(f"{json.dumps({'statement': text})}\n" for text in stated if text))
    return file


def stated(caplog: pytest.LogCaptureFixture) -> int:
    """The number of the last record that a head in the log states."""
    texts = [each.__dict__["fields"]["statement"] for each in caplog.records if each.message == log.HEAD]
    return max(statements.parse(text, ()).link.number for text in texts)


def newest(address: str) -> int:
    """The number of the last record that there is."""
    with closing(Database(address)) as database, database.reading() as connection:
        return connection.scalar(select(func.max(RECORDS.c.number))) or 0


def whole(address: str, log: Path, keys: Path) -> str:
    """What the verification prints, where all is whole."""
    said = ["verify", "--database", address, "--heads", str(log), "--keys", str(keys)]
    done = CliRunner().invoke(audit, said)
    assert done.exit_code == 0, done.output
    return done.output


def dropped(caplog: pytest.LogCaptureFixture) -> int:
    """How many old records the service has dropped, in however many looks."""
    return sum(each.__dict__["fields"]["count"] for each in caplog.records if each.message == "old audit records dropped")


@pytest.fixture
def keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Path:
    """The keys that sign heads, which the log has."""
    caplog.set_level(logging.INFO)
    return attesting.keys(tmp_path, "audit", "https://audit.example", Algorithm.ES256)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that looks for what is old without letting its tests wait."""
    monkeypatch.setattr(audit_keeper, "LOOK_EVERY", 0.05)


def test_what_was_answered_is_recorded_signed_and_logged(
    address: str, tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {"mode": "offline", "database": address, "audit-keys": str(keys)}
    with serving(tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), flags)) as service:
        assert service.put(PATH, POLICY).status_code == 200
        assert service.put(PATH, "x").status_code == 400
    told = whole(address, heads(caplog, tmp_path), keys)
    assert "records 1 to" in told
    assert "warning" not in told
    shown = CliRunner().invoke(audit, ["show", "--database", address, "--kind", "policy-set"]).output.splitlines()
    assert [line.split()[1:4] for line in shown] == [["allowed", "policy-set", "aad"], ["refused", "policy-set", "aad"]]


def test_a_gate_that_takes_debug_enclaves_is_among_what_weakens_security(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tables = instance(tmp_path, "aad", gate="allow-debug = true") + instance(tmp_path, "strict")
    with serving(tmp_path, chosen(tmp_path, tables, {"mode": "offline"})):
        pass
    (told,) = [each.__dict__["fields"] for each in caplog.records if each.message == "audit: not good"]
    assert told["code"] == "DJ636"
    (line,) = [each.__dict__["fields"] for each in caplog.records if each.message == "settings that weaken security"]
    assert "instances.aad.gate.allow-debug" in line["settings"]
    assert "instances.strict.gate.allow-debug" not in line["settings"]


@pytest.mark.usefixtures("often")
def test_what_is_old_is_dropped_while_the_service_runs(
    address: str, tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_keeper, "Witness", partial(Witness, every=timedelta(0)))  # Each record has a head at once.
    flags = {"mode": "offline", "database": address, "audit-keys": str(keys), "audit-days": "30"}
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    with serving(tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), flags), lambda: now[0]) as service:
        for days in (0, *[5] * 8):
            now[0] += timedelta(days=days)
            number = newest(address)
            assert service.put(PATH, POLICY).status_code == 200
            # The head comes shortly after the answer, dated when it is made: no day passes before that.
            assert clock.wait_until(lambda number=number: stated(caplog) > number, seconds=30)  # type: ignore[misc] # A default of a lambda.
        assert clock.wait_until(lambda: dropped(caplog) == 3, seconds=30)
    assert "audit anchor" in caplog.messages
    # What is dropped at once or in two looks is one record or two.
    verdict = whole(address, heads(caplog, tmp_path), keys)
    assert re.search(r"records 4 to (\d+), stated by heads up to \1, ended; records 1 to 3 were dropped", verdict), verdict


@pytest.mark.usefixtures("often")
def test_a_clock_that_jumps_while_the_service_runs_or_is_away_drops_nothing(
    address: str, tmp_path: Path, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {"mode": "offline", "database": address, "audit-keys": str(keys), "audit-days": "400"}
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    with serving(tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), flags), lambda: now[0]) as service:
        assert service.put(PATH, POLICY).status_code == 200
        now[0] += timedelta(days=1400)
        assert clock.wait_until(lambda: NOT_DROPPED in caplog.messages, seconds=30)
        assert service.put(PATH, POLICY).status_code == 200
    seen = len(caplog.messages)
    now[0] += timedelta(days=1400)
    with serving(tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), flags), lambda: now[0]):
        assert clock.wait_until(lambda: NOT_DROPPED in caplog.messages[seen:], seconds=30)
    assert "audit anchor" not in caplog.messages
    assert "records 1 to 3" in whole(address, heads(caplog, tmp_path), keys)


def test_while_its_database_is_away_nobody_is_answered_and_then_everybody_is(postgresql: Server, tmp_path: Path) -> None:
    address = postgresql.prepared()
    with serving(tmp_path, chosen(tmp_path, instance(tmp_path, "aad"), {"mode": "offline", "database": address})) as service:
        assert service.put(PATH, POLICY).status_code == 200
        postgresql.stop()
        try:
            away = service.put(PATH, POLICY)
            assert away.status_code == 503
            assert "DJ502" in away.text
        finally:
            postgresql.start()
        assert service.put(PATH, POLICY).status_code == 200
        assert service.get(PATH).status_code == 200


def test_why_nothing_is_dropped_is_logged_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    journal = Journal(database, writer="w", moment=lambda: now)
    decision = Event(kind=EventKind.ATTEST, instance="a", caller="", verdict=EventVerdict.ALLOW)
    asyncio.run(journal.keep(decision, instance="a", generation=0))
    journal.close()
    metrics = AttestationMetrics("test")
    keeper = audit_keeper.AuditKeeper(None, timedelta(days=30), lambda: now + timedelta(days=400), metrics)
    for _ in range(3):
        keeper.drop(database, lambda _: None)
    assert caplog.messages.count(NOT_DROPPED) == 1
    assert retention_failures(metrics) == 0, "heads saw too little time pass: no alert is to come of it"


def test_old_records_that_cannot_be_dropped_count_as_failures_until_they_are(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics, now = AttestationMetrics("test"), datetime(2026, 3, 1, tzinfo=UTC)
    keeper = audit_keeper.AuditKeeper(None, timedelta(days=30), lambda: now, metrics)
    away = Database(f"sqlite:///{tmp_path}/no-such-folder/attestation.db")
    for _ in range(2):
        keeper.drop(away, lambda _: None)
    away.close()
    assert retention_failures(metrics) == 2
    keeper.drop(database, lambda _: None)
    assert retention_failures(metrics) == 2
    assert [each for each in caplog.messages if each.startswith("dropping")] == [
        NOT_DROPPED,
        "dropping old audit records: works again",
    ]


def retention_failures(metrics: AttestationMetrics) -> float:
    """How often dropping failed, as it is scraped."""
    name = 'donjon_attestation_audit_failures_total{work="retention"} '
    return float(exposition.text(metrics.registry).decode().partition(name)[2].splitlines()[0])
