"""What an operator writes of instances: taken as meant, and every fault told at once, each with its place."""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from tests.services.attesting import chosen, instance, isolated, owner

from donjon.adapters import files
from donjon.attestation.acceptance import Acceptance
from donjon.attestation.gate import RULES
from donjon.cli.quote.command import quote
from donjon.collateral.status import TcbStatus
from donjon.errors import Misconfigured
from donjon.maa.instances import Mode
from donjon.services.attestation.settings import instances
from donjon.services.attestation.settings.instances import InstanceSettings, gate

HTTP = {"mode": "offline"}


def read(text: str, *, simulated: bool = False) -> tuple[tuple[InstanceSettings, ...], list[str]]:
    faults: list[str] = []
    tables = tomllib.loads(text).get("instances", {})
    found = instances.read(tables, lambda path, bound: files.read(Path(path), bound), faults, simulated=simulated)
    return found, faults


def gated(text: str) -> tuple[Acceptance, list[str]]:
    faults: list[str] = []
    return gate(tomllib.loads(text), "gate", faults), faults


def test_an_instance_is_what_its_table_says(tmp_path: Path) -> None:
    (found,) = chosen(tmp_path, isolated(tmp_path, "team-a"), HTTP).instances
    assert (found.name, found.issuer, found.mode) == ("team-a", "https://attest.example/team-a", Mode.ISOLATED)
    assert (len(found.certificates), found.simulated, found.gate) == (1, False, Acceptance())


def test_under_another_root_it_speaks_by_its_other_name(tmp_path: Path) -> None:
    ((found,), faults) = read(instance(tmp_path, "a"), simulated=True)
    assert (found.issuer, found.simulated, faults) == ("https://simulated.attest.example/a", True, [])
    ((), faults) = read('[instances.a]\nissuer = "https://a.example"\nkeys = "/k"\n', simulated=True)
    assert len(faults) == 2
    assert "instances.a.simulated-issuer: expected a text" in faults[0]
    assert "a name and keys of their own" in faults[0]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("x = 1", "instances.a.x: no such setting"),
        ("issuer = 5", "instances.a.issuer: expected a text"),
        ('issuer = "http://a.example"', "instances.a.issuer: issuer: 'http://a.example', expected https://HOST"),
        ('issuer = "https://a.example/"', "instances.a.issuer: issuer"),
        ('simulated-issuer = "https://a.example"', "instances.a: simulated-issuer is the issuer"),
        ('simulated-keys = "/k"', "instances.a: simulated-keys are the keys"),
        ('mode = "aad"', "instances.a.mode: 'aad', expected AAD or Isolated"),
        ('mode = "Isolated"', "instances.a.certificates: policy management certificates: 0, expected 1"),
        ('certificates = "x"', "instances.a.certificates: expected a list"),
        ('certificates = ["/nowhere.pem"]', "/nowhere.pem: expected a file with one certificate in PEM"),
        ('certificates = ["OWNER"]', "an instance of mode AAD has none"),
        ("gate = 5", "instances.a.gate: expected a table"),
        ("gate.accept = 5", "instances.a.gate.accept: 5, expected a list of texts"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, table: str, fault: str) -> None:
    (tmp_path / "owner.pem").write_text(owner()[1])
    base = {"issuer": '"https://a.example"', "keys": '"/k"'}
    base.pop(table.split(" ", maxsplit=1)[0], None)
    lines = "\n".join(f"{name} = {value}" for name, value in base.items())
    _, faults = read(f"[instances.a]\n{lines}\n{table.replace('OWNER', str(tmp_path / 'owner.pem'))}\n")
    assert len(faults) == 1, faults
    assert fault in faults[0]


@pytest.mark.parametrize("name", ["A", "a.b", "-a", "a" * 64, "ä", ""])
def test_a_name_that_is_none(name: str) -> None:
    _, faults = read(f'[instances."{name}"]\nissuer = "https://a.example"\nkeys = "/k"\n')
    assert len(faults) == 1
    assert "its name of at most 63" in faults[0]


def test_a_list_of_instances_is_told_as_that() -> None:
    _, faults = read('[[instances]]\nissuer = "https://a.example"\nkeys = "/k"\n')
    assert faults == ["instances: a list of tables, [[instances]]; expected a table for each, by its name: [instances.NAME]"]


def test_two_instances_have_two_paths() -> None:
    text = '[instances.{0}]\nissuer = "https://{0}.example/x"\nkeys = "/{0}"\n'
    _, faults = read(text.format("a") + text.format("b"))
    assert faults == ["instances.b: its issuer has the same path as that of a; expected one of its own"]


def test_two_instances_have_two_rings_of_keys() -> None:
    text = '[instances.{0}]\nissuer = "https://attest.example/{0}"\nkeys = "{1}"\n'
    _, faults = read(text.format("a", "/k") + text.format("b", "/k/"))
    assert faults == ["instances.b: its keys are those of a; expected keys of its own"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="DJ500") as told:
        chosen(tmp_path, "[instances.a]\nx = 1\ngate.x = 1\n[instances.B]\n[other]\n", {**HTTP, "listen": "x"})
    for words in (
        "--listen",
        "instances.a.x",
        "instances.a.gate.x",
        "instances.a.issuer",
        "instances.a.keys",
        "instances.B",
        "other",
    ):
        assert words in str(told.value)


def test_a_gate_is_what_its_table_says() -> None:
    found, faults = gated(
        'accept = ["OutOfDate", "ConfigurationNeeded"]\nadvisory = ["INTEL-SA-00615", "INTEL-SA-00289@2027-01-31"]\n'
        'min-evaluation = 17\nmin-tcb-date = 2024-03-13\ngrace = "30d"\nstaleness = "12h"\nallow-debug = true\n'
        "allow-provision-key = true\nallow-sept-ve = true\nallow-mixed-evaluations = true\nrefuse-smt = true\n"
        "refuse-cached-keys = true\nrefuse-dynamic-platform = true\nallow-einittoken-key = true\nallow-migratable = true\n"
        f'service-td = ["{"66" * 48}"]\nallow-attributes = ["LASS", "0x100"]\nallow-features = ["0x10"]\n'
    )
    assert faults == []
    assert found == Acceptance(
        statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, TcbStatus.CONFIGURATION_NEEDED}),
        advisories={"INTEL-SA-00615": None, "INTEL-SA-00289": datetime(2027, 1, 31, tzinfo=UTC)},
        min_evaluation=17,
        min_tcb_date=datetime(2024, 3, 13, tzinfo=UTC),
        grace=timedelta(days=30),
        staleness=timedelta(hours=12),
        allow_debug=True,
        allow_provision_key=True,
        allow_einittoken_key=True,
        allow_sept_ve=True,
        allow_migratable=True,
        service_tds=frozenset({b"\x66" * 48}),
        allow_attributes=1 << 27 | 0x100,
        allow_features=0x10,
        allow_mixed_evaluations=True,
        allow_dynamic_platform=False,
        allow_cached_keys=False,
        allow_smt=False,
    )


def test_a_rule_of_a_gate_is_an_option_of_quote_verify_and_both_read_it_alike() -> None:
    options = {option: each for each in quote.commands["verify"].params for option in each.opts}
    assert {f"--{rule.name}" for rule in RULES} <= set(options)
    moment, date = "INTEL-SA-00615@2027-01-31T12:00:00Z", {"INTEL-SA-00615": datetime(2027, 1, 31, 12, tzinfo=UTC)}
    assert gated(f'advisory = ["{moment}"]')[0].advisories == date
    with click.Context(quote.commands["verify"]) as context:
        assert options["--advisory"].process_value(context, (moment,)) == date


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('accept = ["Fine"]', "'Fine' is none"),
        ('accept = ["Revoked"]', "can never be accepted"),
        ('advisory = ["SA-1"]', "advisories such as INTEL-SA-00615"),
        ('advisory = ["INTEL-SA-00615@2027-02-31"]', "day is out of range"),
        ("min-evaluation = 0", "a TCB evaluation data number"),
        ("min-evaluation = true", "a TCB evaluation data number"),
        ('min-tcb-date = "2024-03-13"', "a date such as 2024-03-13"),
        ('staleness = "91d"', "staleness to 90 days"),
        ('staleness = "1 day"', "a number and s, m, h or d"),
        ("staleness = 7", "a number and s, m, h or d"),
        ('grace = "731d"', "grace to 730"),
        ('allow-debug = "true"', "true or false"),
        ("refuse-smt = 1", "true or false"),
        ("allow-migratable = 1", "true or false"),
        ('service-td = ["66"]', "96 hexadecimal digits"),
        (f'service-td = "{"66" * 48}"', "a list of texts"),
        ('allow-attributes = ["DEBUG"]', "ICSSD, SERVTD_EXT, LASS, TPA, or bits in hexadecimal"),
        ("allow-features = [16]", "a list of texts"),
        ("allow-everything = true", "no such setting"),
    ],
)
def test_a_gates_fault_opens_nothing(line: str, expected: str) -> None:
    found, faults = gated(line)
    assert len(faults) == 1
    assert expected in faults[0]
    assert found == Acceptance()
