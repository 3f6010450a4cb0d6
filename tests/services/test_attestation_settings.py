"""What the attestation service is told, and by whom first."""

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.adapters.https import SERVING
from tests.services import attesting
from tests.services.attesting import instance

from donjon.access.roles import Role
from donjon.adapters.clock import moment
from donjon.cli.attestation.command import attestation
from donjon.errors import DonjonError, Misconfigured
from donjon.pki.intel import INTEL
from donjon.services.attestation import run
from donjon.services.attestation.assembly import Assembly
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode, ClientCertificates, read
from donjon.signing.signer import Algorithm

PROJECT = Path(__file__).parents[2]
HTTP = {"unsafe-http": "true"}
HASH = hashlib.sha512(b"token").hexdigest()


def test_nothing_but_the_choice_of_transport_must_be_said() -> None:
    assert read(HTTP, {}, "") == AttestationSettings(
        listen=("127.0.0.1", 8081),
        probes=("127.0.0.1", 9810),
        tls=None,
        client_ca=None,
        client_certificates=ClientCertificates.OPTIONAL,
        database="sqlite:////var/lib/donjon/attestation.db",
        mode=CacheMode.LAZY,
        upstream=None,
        anchor=INTEL,
        admin_token_hash=None,
        user_token_hash=None,
        moment=None,
        drain=10.0,
        audit_keys=None,
        audit_kept=None,
        rate_limit=100,
    )


def test_a_flag_is_taken_before_the_environment_and_that_before_the_file() -> None:
    file = 'listen = "127.0.0.1:1"\nprobes = "127.0.0.1:2"\nmode = "offline"\ntls-dir = "/tls"\ndrain = 3\n'
    environment = {"DONJON_LISTEN": "[::1]:3", "DONJON_PROBES": "127.0.0.1:4", "DONJON_UNSAFE_CLOCK": "2025-01-02T03:04:05Z"}
    found = read({"listen": "0.0.0.0:5", "mode": None, "admin-token-hash": HASH.upper()}, environment, file)
    assert (found.listen, found.probes, found.mode, found.drain) == (("0.0.0.0", 5), ("127.0.0.1", 4), CacheMode.OFFLINE, 3.0)  # noqa: S104 - these are the defaults.
    assert found.moment == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (found.tls, found.admin_token_hash) == (Path("/tls"), hashlib.sha512(b"token").digest())
    assert read(HTTP, environment, "").listen == ("::1", 3)


def test_all_faults_are_told_at_once_each_with_its_place() -> None:
    wrong = {
        "listen": "nowhere",
        "upstream": "ftp://x",
        "admin-token-hash": "secret",
        "unsafe-trust-root": "/nowhere",
        "audit-days": "0",
    }
    with pytest.raises(Misconfigured) as told:
        read(wrong, {"DONJON_MODE": "eager", "DONJON_DRAIN": "-1"}, 'listn = "x"\nunsafe-clock = "now"\n')
    assert told.value.code == "DJ500"
    for words in (
        "--listen: 'nowhere', expected ADDRESS:PORT",
        "--upstream: expected the address of a PCCS",
        "--admin-token-hash: expected the SHA-512",
        "--unsafe-trust-root: '/nowhere', expected a root certificate",
        "DONJON_MODE: 'eager', expected lazy or request or offline",
        "DONJON_DRAIN: '-1', expected seconds",
        "--audit-days: '0', expected a number of days",
        "listn in the file: no such setting",
        "unsafe-clock in the file: 'now', expected a moment",
        "tls-dir, unsafe-http: expected",
    ):
        assert words in told.value.message


@pytest.mark.parametrize("both", [{}, {"tls-dir": "/tls", "unsafe-http": "true"}])
def test_tls_is_left_out_only_by_name(both: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="unsafe-http"):
        read(both, {}, "")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"client-certificates": "required", **HTTP}, "client-certificates: required, expected their authorities"),
        ({"client-certificates": "never", **HTTP}, "'never', expected optional or required"),
        ({"client-ca": "/ca.crt", **HTTP}, "client-ca: without TLS"),
    ],
)
def test_client_certificates_need_an_authority_and_tls(said: dict[str, str], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        read(said, {}, "")


def test_a_file_that_is_no_toml_is_a_fault() -> None:
    with pytest.raises(Misconfigured, match="file: no TOML"):
        read(HTTP, {}, "listen")


def test_a_file_that_is_no_toml_is_blamed_alone() -> None:
    with pytest.raises(Misconfigured) as refused:
        read({}, {}, "listen")
    assert len(refused.value.faults) == 1


def test_an_instance_with_a_fault_is_an_instance_to_its_callers() -> None:
    text = """
[instances.team-a]
issuer = "https://attest.example/team-a"
keys = "/nowhere"
mode = "isolated"
[[callers]]
certificate = "dns:officer.example"
instances = ["team-a"]
roles = ["policy"]
"""
    with pytest.raises(Misconfigured) as refused:
        read(HTTP, {}, text)
    assert any("instances.team-a.mode" in fault for fault in refused.value.faults)
    assert not any("names of instances" in fault for fault in refused.value.faults)


def check(*said: str) -> DonjonError | None:
    """How `--check` ends."""
    done = CliRunner().invoke(attestation, ["serve", "--check", *said])
    weak = "settings that weaken security: unsafe-http\n" if "--unsafe-http=true" in said else ""
    assert isinstance(done.exception, DonjonError) or done.output == f"the settings are good\n{weak}", done.output
    return done.exception if isinstance(done.exception, DonjonError) else None


CHARTS = """
client-ca = "/etc/donjon-secrets/clients/ca.crt"
unsafe-trust-root = "/etc/donjon-secrets/root/root.der"
audit-keys = "kubernetes:donjon/audit"
[oidc.login]
issuer = "https://login.example"
audience = "donjon"
authorities = "/etc/donjon-secrets/login/ca.pem"
[kubernetes]
audience = "donjon"
[instances.team]
issuer = "https://attest.example/team"
keys = "/etc/donjon-secrets/keys"
simulated-issuer = "https://simulated.example/team"
simulated-keys = "/etc/donjon-secrets/simulated"
mode = "Isolated"
certificates = ["/etc/donjon-secrets/policy/team.pem"]
"""
"""The text in the chart's value: the chart says the rest by options, and nothing of it is on the machine of who writes it."""


def of_the_chart(tmp_path: Path, how: str, text: str) -> tuple[int, list[str]]:
    (tmp_path / "donjon.toml").write_text(text)
    environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "donjon", "attestation", "serve", how, "--config", str(tmp_path / "donjon.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_the_text_of_a_file_for_the_chart_is_checked_anywhere(tmp_path: Path) -> None:
    code, (first, *others) = of_the_chart(tmp_path, "--check=text", CHARTS)
    assert (code, first) == (0, "the text of the settings is good")
    assert set(others) == {
        "not looked at here: /etc/donjon-secrets/clients/ca.crt",
        "not looked at here: /etc/donjon-secrets/root/root.der",
        "not looked at here: /etc/donjon-secrets/login/ca.pem",
        "not looked at here: /etc/donjon-secrets/policy/team.pem",
        "not looked at here: /etc/donjon-secrets/simulated",
        "not looked at here: kubernetes:donjon/audit",
        "not looked at here: the database",
    }


def test_faults_of_the_text_alone_stand_on_a_line_each(tmp_path: Path) -> None:
    wrong = CHARTS.replace('mode = "Isolated"', 'mode = "isolated"').replace("audit-keys", "audit-kees")
    code, lines = of_the_chart(tmp_path, "--check=text", wrong + 'gate = { accept = ["Fine"] }\n')
    assert code == 2
    assert len(lines) == 4, lines
    for words in ("audit-kees in the file: no such setting; did you mean audit-keys?", "instances.team.mode: ", ".gate.accept: "):
        assert [line for line in lines if words in line], words


def test_a_check_of_files_opens_them_and_neither_database_nor_api_server(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_bytes(SERVING.certificate)
    (tmp_path / "tls.key").write_bytes(SERVING.key)
    text = f'tls-dir = "{tmp_path}"\ndatabase = "sqlite:////nowhere/x.db"\n[kubernetes]\naudience = "donjon"\n'
    keyed = '[instances.team]\nissuer = "https://attest.example/team"\nkeys = "{}"\n'
    code, lines = of_the_chart(tmp_path, "--check=files", text + keyed.format("kubernetes:donjon/keys"))
    assert (code, lines) == (
        0,
        [
            "the settings are good",
            (
                "warning: audit: there are instances, and no audit-keys: its heads are signed by nobody, and what is recorded "
                "now stays so: whoever can write to the database can write them [DJ636]; "
                "give audit-keys before the first start (docs/audit.md)"
            ),
            "not looked at here: the database",
            "not looked at here: the API server's reviews of tokens",
            "not looked at here: kubernetes:donjon/keys",
        ],
    )
    code, lines = of_the_chart(tmp_path, "--check=files", text + keyed.format("/nowhere/keys"))
    assert code != 0
    assert "/nowhere/keys" in lines[0]


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    assert check("--unsafe-http=true", "--database", f"sqlite:///{tmp_path}/x.db") is None
    assert not list(tmp_path.iterdir())


def test_check_opens_what_the_service_would_open(tmp_path: Path) -> None:
    database = ("--database", f"sqlite:///{tmp_path}/x.db")
    assert check("--unsafe-http=true", *database) is None
    (tmp_path / "config.toml").write_text(f'tls-dir = "{tmp_path}"\n')
    config = ("--config", str(tmp_path / "config.toml"), *database)
    missing = check(*config)
    (tmp_path / "tls.crt").write_bytes(SERVING.certificate)
    (tmp_path / "tls.key").write_bytes(SERVING.key)
    assert (missing.code if missing else "", check(*config)) == ("DJ146", None)
    (tmp_path / "ca.crt").write_bytes(b"no certificate")
    clients = check(*config, "--client-ca", str(tmp_path / "ca.crt"))
    assert clients is not None
    assert clients.code == "DJ555"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (("--database", "sqlite:////proc/nowhere/x.db"), "DJ502"),
        (("--database", "mysql://x/y"), "DJ501"),
        (("--config", "/nowhere.toml"), "DJ503"),
        (("--listen", "x"), "DJ500"),
    ],
)
def test_check_tells_what_would_keep_it_from_starting(said: tuple[str, str], code: str) -> None:
    found = check("--unsafe-http=true", *said)
    assert found is not None
    assert found.code == code


def test_without_check_the_service_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[AttestationSettings] = []
    monkeypatch.setattr(run, "run", given.append)
    done = CliRunner().invoke(attestation, ["serve", "--unsafe-http", "true", "--mode", "offline"], catch_exceptions=False)
    assert (done.exit_code, given[0].mode) == (0, CacheMode.OFFLINE)


def test_the_file_says_who_may_do_what(tmp_path: Path) -> None:
    table = instance(tmp_path, "team-a", 'open = ["read"]')
    caller = '[[callers]]\ncertificate = "cn:x"\ninstances = ["team-a"]\nroles = ["policy"]\n'
    said = {"tls-dir": "/tls", "client-ca": "/ca.crt", "rate-limit": "7", "connections-per-address": "500"}
    found = read(said, {}, table + caller)
    assert found.connections_per_address == 500
    assert (found.rate_limit, found.access.access.open_roles) == (7, {"team-a": frozenset({Role.READ})})
    assert [each.name for each in found.access.access.grants] == ["cn:x"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database", ["postgresql://donjon:s3cret@db/donjon"]),
        ("upstream", "https://user:s3cret@pccs.example"),
        ("admin-token-hash", "s3cret"),
        ("user-token-hash", "s3cret"),
        ("audit-keys", "pkcs11:token=x;object=y?module-path=/m.so&pin-value=s3cret"),
    ],
)
def test_no_fault_shows_what_may_be_a_secret(tmp_path: Path, name: str, value: str | list[str]) -> None:
    """Faults are printed by Helm and logged by a Job before an upgrade."""
    keys = re.sub(r'^keys = ".*"', 'keys = "pkcs11:token=x?pin-value=s3cret"', instance(tmp_path, "team-a"), flags=re.MULTILINE)
    with pytest.raises(Misconfigured) as told:
        read(HTTP, {}, f"{name} = {json.dumps(value)}\n{keys}")
    assert f"{name} in the file: expected " in told.value.message
    assert "instances.team-a.keys: expected a folder" in told.value.message
    assert "s3cret" not in str(told.value) + repr(told.value.faults)


@pytest.mark.parametrize("place", ["kubernetes:keys", "pkcs11:token=x?pin-value=1234", "https://vault.example"])
def test_keys_that_are_nowhere_are_a_fault(tmp_path: Path, place: str) -> None:
    table = re.sub(r'^keys = ".*"', f'keys = "{place}"', instance(tmp_path, "team-a"), flags=re.MULTILINE)
    with pytest.raises(
        Misconfigured, match=r"instances\.team-a\.keys: expected a folder, kubernetes:NAMESPACE/SECRET, or pkcs11"
    ):
        read(HTTP, {}, table)


def test_callers_known_by_certificates_that_nobody_asks_for_are_a_fault(tmp_path: Path) -> None:
    caller = '[[callers]]\ncertificate = "cn:x"\ninstances = ["team-a"]\nroles = ["policy"]\n'
    with pytest.raises(Misconfigured, match="expected --client-ca"):
        read(HTTP, {}, instance(tmp_path, "team-a") + caller)


def test_the_file_that_the_documentation_shows_is_good(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(SERVING.authority.pem)
    shown = re.findall(r"```toml\n(.*?)```", (PROJECT / "docs/callers-and-keys.md").read_text(), re.DOTALL)
    found = read(
        {"tls-dir": "/tls", "client-ca": "/ca.crt"}, {}, "".join(shown).replace("/etc/donjon/ca.pem", f"{tmp_path}/ca.pem")
    )
    assert [each.how for each in found.access.access.grants] == ["oidc", "kubernetes", "certificate"]


def test_faults_of_callers_are_told_with_all_others(tmp_path: Path) -> None:
    table = instance(tmp_path, "team-a", 'open = ["policy"]')
    caller = '[[callers]]\ncertificate = "x"\ninstances = ["team-b"]\nroles = ["policy"]\n'
    with pytest.raises(Misconfigured) as told:
        read({**HTTP, "rate-limit": "fast"}, {}, f"{table}{caller}[kubernetes]\n[caller]\n")
    for words in (
        "--rate-limit: 'fast', expected a number",
        "instances.team-a.open: ['policy'], expected a list of attest, read",
        "callers[1].certificate: 'x', expected",
        "callers[1].instances: ['team-b'], expected",
        "kubernetes: expected a table",
        "caller in the file: no such table",
    ):
        assert words in told.value.message


def test_audit_keys_that_are_an_instances_keys_are_a_fault(tmp_path: Path) -> None:
    found = chosen_with(tmp_path, audit=str(tmp_path / "keys" / "a"))
    assert found is not None
    assert (found.code, "audit-keys: the keys of an instance" in found.message) == ("DJ500", True)


@pytest.mark.parametrize("where", ["a copy", "a link", "among others"])
def test_a_key_with_two_owners_keeps_the_service_from_starting(tmp_path: Path, where: str) -> None:
    other = attesting.keys(tmp_path, "audit", "https://audit.example", Algorithm.ES256)
    one = attesting.keys(tmp_path, "a", f"{attesting.REAL_HOST}/a", Algorithm.RS256) / "one.pem"
    if where == "a link":
        (other / "one.pem").unlink()
        (other / "one.pem").symlink_to(one)
    else:
        (other / ("one.pem" if where == "a copy" else "two.pem")).write_bytes(one.read_bytes())
    found = chosen_with(tmp_path, audit=str(other))
    assert found is not None
    assert (found.code, found.message) == ("DJ624", "audit-keys: a key is that of instance a, too; expected keys of its own")


def test_two_instances_with_one_key_keep_the_service_from_starting(tmp_path: Path) -> None:
    instance(tmp_path, "b")
    place = attesting.keys(tmp_path, "b", f"{attesting.REAL_HOST}/b", Algorithm.RS256) / "one.pem"
    place.write_bytes((attesting.keys(tmp_path, "a", f"{attesting.REAL_HOST}/a", Algorithm.RS256) / "one.pem").read_bytes())
    tables = f'[instances.b]\nissuer = "{attesting.REAL_HOST}/b"\nkeys = "{place.parent}"\n'
    found = chosen_with(tmp_path, tables)
    assert found is not None
    assert (found.code, found.message) == ("DJ624", "instance b: a key is that of instance a, too; expected keys of its own")


def test_keys_of_their_own_are_good(tmp_path: Path) -> None:
    assert chosen_with(tmp_path, audit=str(attesting.keys(tmp_path, "audit", "https://audit.example", Algorithm.ES256))) is None


def chosen_with(folder: Path, tables: str = "", audit: str = "") -> DonjonError | None:
    """How `--check` ends with an instance, other tables, and these audit keys."""
    (folder / "config.toml").write_text(instance(folder, "a") + tables)
    said = ("--unsafe-http=true", "--database", f"sqlite:///{folder}/x.db", "--config", str(folder / "config.toml"))
    return check(*said, *(("--audit-keys", audit) if audit else ()))


def test_a_key_of_an_instance_is_not_taken_among_audit_keys_while_the_service_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audit = attesting.keys(tmp_path, "audit", "https://audit.example", Algorithm.ES256)
    settings = attesting.chosen(tmp_path, instance(tmp_path, "a"), {"audit-keys": str(audit)})

    async def kids() -> list[list[str]]:
        async with AsyncExitStack() as stack:
            assembly = Assembly(stack, moment)
            await assembly.rings(settings)
            ring = await assembly.audit(settings)
            assert ring is not None
            before = [each.kid for each in ring.all()]
            (audit / "two.pem").write_bytes((tmp_path / "keys" / "a" / "one.pem").read_bytes())
            await ring.look()
            return [before, [each.kid for each in ring.all()]]

    before, after = asyncio.run(kids())
    assert (len(before), after) == (1, before)
    assert "audit keys not taken" in caplog.messages
