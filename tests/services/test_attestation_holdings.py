"""An instance applies what its own managers signed, and the audit explains what is kept of it."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from joserfc import jws
from sqlalchemy import delete, func, select, update
from testbed import clock
from tests.maa import attackers
from tests.services import attesting
from tests.services.attesting import Service, certificate, chosen, isolated, serving, simulated
from tests.services.test_attestation_instances import quoted
from tests.simulation.intel import world

from donjon.adapters.clock import moment
from donjon.adapters.keys import signing
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.instances import InstanceTable
from donjon.adapters.storage.tables import CERTIFICATES, INSTANCES, POLICIES, RECORDS
from donjon.cli.audit.command import audit
from donjon.formats.json import JsonObject
from donjon.maa import certificates, policies
from donjon.maa.versions import AttestationType
from donjon.pki import pem
from donjon.services.attestation import audit_keeper, inspection
from donjon.services.attestation.instance_watch import InstanceWatch
from donjon.services.attestation.maa.instances import Instance, InstanceIssuer
from donjon.services.attestation.turns import Turns
from donjon.signing import signer_certificate
from donjon.signing.signer import Algorithm, Signer

PATH = "/owned/policies/SgxEnclave"
DAY = timedelta(days=1)
FIRST, SECOND, OUTSIDER = "ec", "second-ec", "mallory-ec"


def made(name: str) -> bytes:
    return certificate(name, Algorithm.ES256, f"https://{name}.example")


def signed(name: str, payload: bytes | None = None) -> str:
    """A policy, or another content, that this owner signed."""
    (der,) = pem.parse(made(name), 1)
    content = attackers.body() if payload is None else payload
    header = {"alg": "ES256", "x5c": attackers.x5c(der)}
    return jws.serialize_compact(header, content, attackers.handle(name, Algorithm.ES256))


def manager(name: str) -> bytes:
    """What adds or removes a certificate, unsigned."""
    (der,) = pem.parse(made(name), 1)
    return json.dumps({certificates.BODY: {"kty": "EC", "x5c": [base64.b64encode(der).decode()]}}).encode()


def change(service: Service, what: str, name: str, by: str) -> int:
    token = json.dumps(signed(by, manager(name)))
    return service.post(f"/owned/certificates:{what}", token.encode(), "application/json").status_code


def attested(service: Service) -> tuple[int, bool]:
    """The status, and whether it is the instance that refuses."""
    answer = service.attest(quoted(), "/owned/attest/SgxEnclave")
    return answer.status_code, "DJ531" in answer.text


def verified(folder: Path) -> tuple[int, str]:
    said = ["verify", "--database", f"sqlite:///{folder}/attestation.db"]
    done = CliRunner().invoke(audit, said)
    return done.exit_code, done.output


def swap(folder: Path, token: str) -> None:
    """As the database's owner would."""
    database = Database(f"sqlite:///{folder}/attestation.db")
    with database.changing() as connection:
        connection.execute(update(POLICIES).values(token=token))
        connection.execute(update(INSTANCES).values(generation=INSTANCES.c.generation + 1))
    database.close()


def test_a_policy_of_the_database_that_an_outsider_signed_is_not_applied_and_found(tmp_path: Path) -> None:
    tables = isolated(tmp_path, "owned", first=made(FIRST))
    with simulated(tmp_path, tables, world()) as service:
        assert service.put(PATH, signed(FIRST)).status_code == 200
        assert attested(service) == (200, False)
        swap(tmp_path, signed(OUTSIDER))
        assert attested(service) == (500, True)
        code, told = verified(tmp_path)
        assert code == 1
        assert "instance owned: the policy of SgxEnclave is not as record 2 of chain" in told
        assert service.put(PATH, signed(FIRST)).status_code == 200
        assert attested(service) == (200, False)
    assert verified(tmp_path)[0] == 0


def test_a_policy_applies_on_when_who_signed_it_is_no_manager_any_more(tmp_path: Path) -> None:
    tables = isolated(tmp_path, "owned", first=made(FIRST))
    with simulated(tmp_path, tables, world()) as service:
        assert service.put(PATH, signed(FIRST)).status_code == 200
        assert change(service, "add", SECOND, FIRST) == 200
        assert change(service, "remove", FIRST, SECOND) == 200
        assert service.put(PATH, signed(FIRST)).status_code == 400
        assert attested(service) == (200, False)
        assert change(service, "add", OUTSIDER, SECOND) == 200
        assert attested(service) == (200, False)
    with simulated(tmp_path, tables, world()) as service:
        assert attested(service) == (200, False)
        assert change(service, "remove", OUTSIDER, SECOND) == 200
        swap(tmp_path, signed(OUTSIDER))
        assert attested(service) == (500, True), "it was a manager, and signed nothing then"
    assert verified(tmp_path)[0] == 1


def events(folder: Path, kind: str) -> list[JsonObject]:
    """What the audit has of that kind."""
    shown = CliRunner().invoke(audit, ["show", "--database", f"sqlite:///{folder}/attestation.db", "-o", "json"]).output
    found = [json.loads(line)["event"] for line in shown.splitlines()]
    return [each for each in found if each["kind"] == kind]


def test_the_record_of_a_change_of_managers_says_who_signed_it_and_what_changes_nothing_has_none(tmp_path: Path) -> None:
    with simulated(tmp_path, isolated(tmp_path, "owned", first=made(FIRST)), world()) as service:
        assert change(service, "remove", OUTSIDER, FIRST) == 200, "it never was one"
        assert change(service, "add", FIRST, FIRST) == 200, "it is one already"
        assert change(service, "add", SECOND, FIRST) == 200
        assert change(service, "remove", FIRST, SECOND) == 200
    for kind, manager_name, by in (("added", SECOND, FIRST), ("removed", FIRST, SECOND)):
        (event,) = events(tmp_path, f"certificate-{kind}")
        facts = event["facts"]
        assert isinstance(facts, dict)
        assert (facts["certificate"], facts["signer"]) == (thumbprint(manager_name), thumbprint(by))
    assert verified(tmp_path)[0] == 0


def thumbprint(name: str) -> str:
    (der,) = pem.parse(made(name), 1)
    return signer_certificate.parse(der).thumbprint()


def test_the_record_of_a_reset_says_what_is_in_force_then(tmp_path: Path) -> None:
    with simulated(tmp_path, isolated(tmp_path, "owned", first=made(FIRST)), world()) as service:
        assert service.post(f"{PATH}:reset", signed(FIRST, b"").encode(), "text/plain").status_code == 200
    (event,) = events(tmp_path, "policy-reset")
    facts, default = event["facts"], policies.default(AttestationType.SGX_ENCLAVE)
    assert isinstance(facts, dict)
    assert default is not None
    assert facts["policy"] == default.hash


class Unasked:
    """Keys of an instance that signs nothing here."""

    def signer(self) -> Signer:
        raise AssertionError

    def published(self) -> tuple[Signer, ...]:
        return ()


def look(folder: Path, tables: str) -> list[str]:
    """What `--check` warns of, but for collateral."""
    flags = {"unsafe-trust-root": f"{folder}/root.der", "mode": "offline"}
    warnings = inspection.check(chosen(folder, tables, flags), files_alone=False).warnings
    return [each.sentence() for each in warnings if each.code != "DJ512"]


def test_a_policy_that_does_not_apply_any_more_is_told_of_by_check_and_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with simulated(tmp_path, attesting.instance(tmp_path, "owned"), world()) as service:
        assert service.put(PATH, policies.unsecured_token(policies.TDX_DEFAULT)).status_code == 200
    tables = isolated(tmp_path, "owned", first=made(FIRST))
    (warning,) = look(tmp_path, tables)
    assert warning.startswith("instance owned: SgxEnclave: the policy that is kept is unsigned;")
    assert warning.endswith("[DJ531]; donjon policy set FILE --type SgxEnclave, or reset")
    with simulated(tmp_path, tables, world()) as service:
        assert clock.wait_until(lambda: "what an instance keeps, SgxEnclave: not good" in caplog.messages, seconds=10)
        assert service.put(PATH, signed(FIRST)).status_code == 200
    assert look(tmp_path, tables) == []


def test_who_asks_whether_the_service_is_ready_is_told_how_many_policies_do_not_apply(tmp_path: Path) -> None:
    """And that it is ready: the other instances are."""
    with simulated(tmp_path, attesting.instance(tmp_path, "owned"), world()) as service:
        assert service.put(PATH, policies.unsecured_token(policies.TDX_DEFAULT)).status_code == 200
    database, turns = Database(f"sqlite:///{tmp_path}/attestation.db"), Turns()
    flags = {"unsafe-trust-root": f"{tmp_path}/root.der", "mode": "offline"}
    (settings,) = chosen(tmp_path, isolated(tmp_path, "owned", first=made(FIRST)), flags).instances
    issuer = InstanceIssuer(url=settings.issuer, ring=Unasked())
    metrics = AttestationMetrics("0")
    watch = InstanceWatch([Instance(settings, issuer, InstanceTable(database), turns)], moment, metrics)
    assert watch.caveat() == ""
    asyncio.run(watch.look())
    assert watch.caveat() == "policies: 1 cannot be applied [DJ531]; the log says which"
    (signer,) = settings.certificates
    labels = {"instance_name": "owned"}
    ends = metrics.registry.get_sample_value("donjon_attestation_policy_certificates_expiry_timestamp_seconds", labels)
    assert ends == signer.window.ends.timestamp()
    turns.close()
    database.close()


def test_managers_that_have_ended_are_told_of_by_check_and_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = moment()
    ended = signing.self_signed(attackers.key("old", Algorithm.ES256), "https://old.example", now - 9 * DAY, 8 * DAY)
    tables = isolated(tmp_path, "owned", first=pem.encode((ended,)))
    (tmp_path / "root.der").write_bytes(world().root)
    (warning,) = look(tmp_path, tables)
    assert f"ended {now - DAY:%F}" in warning
    assert warning.endswith("nobody can change its policies [DJ444]; donjon explain DJ444 says how")
    with simulated(tmp_path, tables, world()) as service:
        assert clock.wait_until(
            lambda: "what an instance keeps, policy management certificates: not good" in caplog.messages, seconds=10
        )
        assert "donjon explain DJ444 says the way out" in service.put(PATH, signed(FIRST)).text


def test_where_all_managers_have_ended_the_settings_name_a_new_one_or_the_instance_gets_a_new_name(tmp_path: Path) -> None:
    """As the page of DJ444 says: where none was added or removed the first, else the second."""
    with simulated(tmp_path, isolated(tmp_path, "owned", first=made(FIRST)), world()) as service:
        assert service.put(PATH, signed(FIRST)).status_code == 200
    with simulated(tmp_path, isolated(tmp_path, "owned", first=made(SECOND)), world()) as service:
        assert attested(service) == (500, True)
        assert service.put(PATH, signed(SECOND)).status_code == 200
        assert attested(service) == (200, False)
        assert change(service, "add", FIRST, SECOND) == 200
    again = isolated(tmp_path, "owned", first=made(OUTSIDER)) + isolated(tmp_path, "anew", first=made(OUTSIDER))
    with simulated(tmp_path, again, world()) as service:
        assert service.put(PATH, signed(OUTSIDER)).status_code == 400
        assert service.attest(quoted(), "/anew/attest/SgxEnclave").status_code == 200
        assert service.put("/anew/policies/SgxEnclave", signed(OUTSIDER)).status_code == 200


def test_a_manager_who_is_gone_still_has_a_name_in_the_audit_and_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with simulated(tmp_path, isolated(tmp_path, "owned", first=made(FIRST)), world()) as service:
        assert change(service, "add", SECOND, FIRST) == 200
        assert change(service, "remove", SECOND, FIRST) == 200
    (der,) = pem.parse(made(SECOND), 1)
    manager_certificate = signer_certificate.parse(der)
    name = {"certificate": manager_certificate.thumbprint(), "subject": manager_certificate.name()}
    assert name["subject"]
    shown = CliRunner().invoke(audit, ["show", "--database", f"sqlite:///{tmp_path}/attestation.db", "-o", "json"]).output
    events = [json.loads(line)["event"] for line in shown.splitlines()]
    for kind in ("certificate-added", "certificate-removed"):
        assert [name.items() <= each["facts"].items() for each in events if each["kind"] == kind] == [True]
        lines = [line.__dict__["fields"] for line in caplog.records if line.message == kind]
        assert [name.items() <= each.items() for each in lines] == [True]


@pytest.mark.parametrize("what", ["put there", "taken away"])
def test_a_manager_whom_nobody_added_is_found(tmp_path: Path, what: str) -> None:
    tables = isolated(tmp_path, "owned", first=made(FIRST))
    with simulated(tmp_path, tables, world()) as service:
        assert change(service, "add", SECOND, FIRST) == 200
        assert verified(tmp_path)[0] == 0
    database = Database(f"sqlite:///{tmp_path}/attestation.db")
    with database.changing() as connection:
        if what == "put there":
            (der,) = pem.parse(made(OUTSIDER), 1)
            connection.execute(CERTIFICATES.insert().values(instance="owned", position=9, certificate=der))
        else:
            connection.execute(delete(CERTIFICATES).where(CERTIFICATES.c.position == 0))
    database.close()
    code, told = verified(tmp_path)
    assert code == 1
    assert "instance owned: its policy management certificates are not as record 2 of chain" in told


def let_weeks_pass(service: Service, now: list[datetime], caplog: pytest.LogCaptureFixture) -> None:
    """Forty days, of which a head is made every fifth: gaps of more would count for less."""
    goal = caplog.messages.count("audit head")

    def stated() -> bool:
        return caplog.messages.count("audit head") >= goal

    for _ in range(8):
        goal += 1
        now[0] += timedelta(days=5)
        assert service.put(PATH, signed(OUTSIDER)).status_code == 400
        assert clock.wait_until(stated, seconds=10)


def test_what_set_a_policy_that_still_applies_is_told_again_before_its_record_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(audit_keeper, "LOOK_EVERY", 0.05)
    keys = attesting.keys(tmp_path, "audit", "https://audit.example", Algorithm.ES256)
    flags = {"mode": "offline", "audit-keys": str(keys), "audit-days": "30"}
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    settings = chosen(tmp_path, isolated(tmp_path, "owned", first=made(FIRST)), flags)
    with serving(tmp_path, settings, lambda: now[0]) as service:
        assert service.put(PATH, signed(FIRST)).status_code == 200
        assert change(service, "add", SECOND, FIRST) == 200
        let_weeks_pass(service, now, caplog)
        assert clock.wait_until(lambda: "audit anchor" in caplog.messages, seconds=10)
    assert kinds(tmp_path) == {"policy-set", "policy-kept", "certificates-kept"}
    assert verified(tmp_path)[0] == 0
    swap(tmp_path, signed(OUTSIDER))
    code, told = verified(tmp_path)
    assert code == 1
    assert "instance owned: the policy of SgxEnclave is not as record" in told


def test_a_service_without_instances_drops_no_record_of_a_policy_that_still_applies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    settings = chosen(tmp_path, isolated(tmp_path, "owned", first=made(FIRST)), {"mode": "offline"})
    with serving(tmp_path, settings, lambda: now[0]) as service:
        assert service.put(PATH, signed(FIRST)).status_code == 200
        let_weeks_pass(service, now, caplog)
    database = Database(f"sqlite:///{tmp_path}/attestation.db")
    asyncio.run(looked_at_once(database, now[0], caplog))
    database.close()
    assert [line.__dict__["fields"]["code"] for line in caplog.records if line.message == NOT_DROPPED] == ["DJ622"]
    assert verified(tmp_path)[0] == 0


NOT_DROPPED = "dropping old audit records: trying again"


async def looked_at_once(database: Database, moment: datetime, caplog: pytest.LogCaptureFixture) -> None:
    """A cache alone looks at what has become old."""
    looking = asyncio.create_task(
        audit_keeper.AuditKeeper(None, timedelta(days=30), lambda: moment, AttestationMetrics("test")).drop_now_and_then(database)
    )
    async with asyncio.timeout(10):
        while NOT_DROPPED not in caplog.messages:  # noqa: ASYNC110 - what is waited for has no event.
            await asyncio.sleep(0.01)
    looking.cancel()


def kinds(folder: Path) -> set[str]:
    database = Database(f"sqlite:///{folder}/attestation.db")
    with database.reading() as connection:
        rows = connection.scalars(select(RECORDS.c.event)).all()
        assert connection.scalar(select(func.min(RECORDS.c.number))) != 1
    database.close()
    return {json.loads(row)["kind"] for row in rows}
