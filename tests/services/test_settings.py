"""Every program takes each of its settings by flag, by variable and by a line of its file; all that is wrong is told at once."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from tests.adapters.https import SERVING

from donjon.admission.policies.guard import ChartValues, GuardExtent
from donjon.admission.settings import Settings
from donjon.cli import donjon
from donjon.errors import Misconfigured
from donjon.metricsapi.discovery import Group
from donjon.metricsapi.registrations import ServicePort
from donjon.node.offer import Advertise, OfferSettings
from donjon.pki import intel
from donjon.runtime import settings
from donjon.runtime.certificate_settings import CertificateFolder, SharedCertificate
from donjon.runtime.settings import LOG_LEVEL, Setting, SettingForm, count, days, seconds, several, switch
from donjon.services.admission import run as admission_run
from donjon.services.admission import settings as admission
from donjon.services.admission.enclaves.settings import EnclaveSettings
from donjon.services.admission.settings import AdmissionSettings
from donjon.services.attestation import run as attestation_run
from donjon.services.attestation.settings import service as attestation
from donjon.services.attestation.settings.service import AttestationSettings, CacheMode, ClientCertificates
from donjon.services.metrics import run as metrics_run
from donjon.services.metrics import settings as metrics
from donjon.services.metrics.settings import MetricsSettings
from donjon.services.node import run as node_run
from donjon.services.node import settings as node
from donjon.services.node.settings import NodeSettings

HASHES = "ab" * 64, "cd" * 64
ROOT = "root.pem"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that runs on and on: how it is called, its table, a text for each setting, and what all of them make."""

    command: tuple[str, str]
    module: ModuleType  # with its `run`
    table: Sequence[Setting[object]]
    texts: Mapping[str, str]
    whole: object
    least: Mapping[str, str]  # what must be said


NODE = Program(
    command=("node", "run"),
    module=node_run,
    table=node.SETTINGS,
    texts={
        "node-name": "n",
        "host-root": "/host",
        "host-prefix": "/opt/sgx-host/",
        "kubelet-dir": "/data/kubelet",
        "enclave-limit": "7",
        "meter": "127.0.0.1:9810",
        "evict-over-request": "true",
        "provision-limit": "8",
        "epc-reserve": "16Mi",
        "advertise": "epc, labels",
        "listen": "[::1]:9",
        "wait-for-policy": "true",
        "namespace": "sgx",
        "guard": "webhook",
        "chart-version": "1.2",
        "log-level": "debug",
        "provision-account": "a:b,c:d",
        "provision-by-annotation": "true",
        "refuse-host-devices": "true",
    },
    whole=NodeSettings(
        node_name="n",
        host_root=Path("/host"),
        host_prefix="/opt/sgx-host",
        kubelet_dir=Path("/data/kubelet"),
        listen_host="::1",
        listen_port=9,
        wait_for_policy=True,
        offer=OfferSettings(
            enclave_limit=7,
            provision_limit=8,
            epc_reserve=16 << 20,
            advertise=frozenset({Advertise.EPC, Advertise.LABELS}),
        ),
        meter="127.0.0.1:9810",
        evict_over_request=True,
        chart=ChartValues(
            version="1.2",
            namespace="sgx",
            extent=GuardExtent.WEBHOOK,
            rules=Settings(provision_accounts=("a:b", "c:d"), provision_by_annotation=True, refuse_host_devices=True),
        ),
        log_level="debug",
    ),
    least={"node-name": "n"},
)
WEBHOOK = Program(
    command=("admission", "serve"),
    module=admission_run,
    table=admission.SETTINGS,
    texts={
        "namespace": "sgx",
        "service": "hook",
        "name": "10.0.0.1,hook.example",
        "secret": "hook-tls",
        "configuration": "sgx-donjon",
        "certificate-lifetime": "45s",
        "listen": "127.0.0.1:1",
        "probes": "127.0.0.1:2",
        "drain": "2.5",
        "log-level": "debug",
        "provision-account": "a:b,c:d",
        "provision-by-annotation": "true",
        "refuse-host-devices": "true",
        "enclaves": "true",
        "registry": "a.example,b.example:5000",
        "registry-inside": "b.example:5000,127.0.0.1",
        "registry-plain-http": "c.example,d.example",
        "registry-config": "/logins/config.json",
        "registry-authority": "/authority.pem",
    },
    whole=AdmissionSettings(
        listen=("127.0.0.1", 1),
        probes=("127.0.0.1", 2),
        certificate=SharedCertificate(
            namespace="sgx",
            secret="hook-tls",  # noqa: S106 - the name of a Secret.
            names=("hook.sgx.svc", "10.0.0.1", "hook.example"),
            lifetime=timedelta(seconds=45),
        ),
        configuration="sgx-donjon",
        drain=2.5,
        rules=Settings(provision_accounts=("a:b", "c:d"), provision_by_annotation=True, refuse_host_devices=True),
        enclaves=EnclaveSettings(
            registries=frozenset({"a.example", "b.example:5000"}),
            inside=frozenset({"b.example:5000", "127.0.0.1"}),
            plain_http=frozenset({"c.example", "d.example"}),
            config=Path("/logins/config.json"),
            authority=Path("/authority.pem"),
        ),
        log_level="debug",
    ),
    least={},
)
WEBHOOK_WITH_A_FOLDER = replace(
    WEBHOOK,
    texts={"certificate-dir": "/tls"},
    whole=replace(admission.read({}, {}, ""), certificate=CertificateFolder(folder=Path("/tls"))),
)
ATTESTATION = Program(
    command=("attestation", "serve"),
    module=attestation_run,
    table=attestation.SETTINGS,
    texts={
        "log-level": "debug",
        "listen": "127.0.0.1:1",
        "probes": "127.0.0.1:2",
        "tls-dir": "/tls",
        "client-ca": "/ca.pem",
        "client-certificates": "required",
        "database": "sqlite:////x.db",
        "mode": "offline",
        "upstream": "https://pccs.example:8081",
        "unsafe-trust-root": ROOT,
        "admin-token-hash": HASHES[0],
        "user-token-hash": HASHES[1],
        "unsafe-clock": "2026-01-31T00:00:00Z",
        "rate-limit": "3",
        "connections-per-address": "4",
        "audit-keys": "/audit",
        "audit-days": "5",
        "drain": "2.5",
    },
    whole=AttestationSettings(
        listen=("127.0.0.1", 1),
        probes=("127.0.0.1", 2),
        tls=Path("/tls"),
        client_ca=Path("/ca.pem"),
        client_certificates=ClientCertificates.REQUIRED,
        database="sqlite:////x.db",
        mode=CacheMode.OFFLINE,
        upstream="https://pccs.example:8081",
        anchor=intel.anchor(SERVING.authority.pem),
        admin_token_hash=bytes.fromhex(HASHES[0]),
        user_token_hash=bytes.fromhex(HASHES[1]),
        moment=datetime(2026, 1, 31, tzinfo=UTC),
        drain=2.5,
        audit_keys=Path("/audit"),
        audit_kept=timedelta(days=5),
        rate_limit=3,
        connections_per_address=4,
        log_level="debug",
    ),
    least={"unsafe-http": "true"},
)
ATTESTATION_WITHOUT_TLS = replace(
    ATTESTATION, texts={"unsafe-http": "true"}, whole=attestation.read({"unsafe-http": "true"}, {}, "")
)
METRICS = Program(
    command=("metrics", "serve"),
    module=metrics_run,
    table=metrics.SETTINGS,
    texts={
        "namespace": "sgx",
        "service": "m",
        "api": "resource,custom",
        "metrics-server": "monitoring/ms:8443",
        "reader": "r",
        "secret": "m-tls",
        "certificate-lifetime": "45s",
        "every": "1.5",
        "listen": "127.0.0.1:1",
        "probes": "127.0.0.1:2",
        "scaler-listen": "127.0.0.1:3",
        "drain": "2.5",
        "log-level": "debug",
    },
    whole=MetricsSettings(
        listen=("127.0.0.1", 1),
        probes=("127.0.0.1", 2),
        certificate=SharedCertificate(
            namespace="sgx",
            secret="m-tls",  # noqa: S106 - the name of a Secret.
            names=("m.sgx.svc",),
            lifetime=timedelta(seconds=45),
        ),
        service="m",
        groups=(Group.RESOURCE, Group.CUSTOM),
        metrics_server=ServicePort(namespace="monitoring", name="ms", port=8443),
        reader="r",
        scaler=("127.0.0.1", 3),
        every=1.5,
        drain=2.5,
        log_level="debug",
    ),
    least={},
)
PROGRAMS = [NODE, WEBHOOK, ATTESTATION, METRICS]
SAYINGS = [*PROGRAMS, WEBHOOK_WITH_A_FOLDER, ATTESTATION_WITHOUT_TLS]

Told = tuple[Sequence[str], Mapping[str, str], str]
"""Arguments, environment, and the text of a file."""


def by_flags(table: Sequence[Setting[object]], texts: Mapping[str, str]) -> Told:
    arguments: list[str] = []
    for setting in table:
        if (text := texts.get(setting.name)) is not None:
            match setting.form:
                case SettingForm.SWITCH:
                    arguments += [setting.flag]
                case SettingForm.SEVERAL:
                    arguments += [word for each in text.split(",") for word in (setting.flag, each)]
                case SettingForm.ONE:
                    arguments += [setting.flag, text]
    return arguments, {}, ""


def by_variables(table: Sequence[Setting[object]], texts: Mapping[str, str]) -> Told:
    return [], {setting.variable: texts[setting.name] for setting in table if setting.name in texts}, ""


def by_lines_of_text(table: Sequence[Setting[object]], texts: Mapping[str, str]) -> Told:
    return [], {}, "".join(f"{each.name} = {json.dumps(texts[each.name])}\n" for each in table if each.name in texts)


def by_lines_of_values(table: Sequence[Setting[object]], texts: Mapping[str, str]) -> Told:
    """Numbers and switches as TOML has them, and lists."""
    values = {
        setting.name: json.dumps(text.split(",") if setting.form is SettingForm.SEVERAL else text)
        if not re.fullmatch(r"true|[0-9.]+", text := texts[setting.name])
        else text
        for setting in table
        if setting.name in texts
    }
    return [], {}, "".join(f"{name} = {value}\n" for name, value in values.items())


def started(program: Program, told: Told, folder: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """The settings that the program would run with."""
    arguments, environment, text = told
    given: list[object] = []
    monkeypatch.setattr(program.module, "run", given.append)
    monkeypatch.chdir(folder)
    for setting in program.table:
        monkeypatch.delenv(setting.variable, raising=False)
    (folder / "donjon.toml").write_text(text, encoding="utf-8")
    (folder / ROOT).write_bytes(SERVING.authority.pem)
    config = ["--config", "donjon.toml"] if text else []
    done = CliRunner().invoke(donjon, [*program.command, *config, *arguments], env=environment, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return given[0]


def name_of(program: Program) -> str:
    return f"{program.command[0]}-{len(program.texts)}"


@pytest.mark.parametrize("way", [by_flags, by_variables, by_lines_of_text, by_lines_of_values])
@pytest.mark.parametrize("program", SAYINGS, ids=name_of)
def test_each_setting_is_said_by_flag_by_variable_and_by_a_line(
    program: Program,
    way: Callable[[Sequence[Setting[object]], Mapping[str, str]], Told],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert started(program, way(program.table, program.texts), tmp_path, monkeypatch) == program.whole


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_every_setting_is_said_above_and_as_another_than_the_default(program: Program) -> None:
    texts = {name: text for each in SAYINGS if each.table is program.table for name, text in each.texts.items()}
    assert {setting.name for setting in program.table} == texts.keys()
    assert [each.name for each in program.table if texts[each.name] == each.default] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_a_flag_is_taken_before_a_variable_and_that_before_a_line(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    least, _, _ = by_flags(program.table, program.least)
    file = 'log-level = "debug"\nlisten = "127.0.0.1:1"\n'
    environment = {"DONJON_LOG_LEVEL": "warning"}
    third = started(program, (least, {}, file), tmp_path, monkeypatch)
    second = started(program, (least, environment, file), tmp_path, monkeypatch)
    first = started(program, ([*least, "--log-level", "error"], environment, file), tmp_path, monkeypatch)
    assert [getattr(each, "log_level", None) for each in (third, second, first)] == ["debug", "warning", "error"]


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_all_faults_are_told_at_once_each_with_its_place(program: Program, tmp_path: Path) -> None:
    (tmp_path / "donjon.toml").write_text('log-level = "loud"\nlistn = "x"\n[team]\n', encoding="utf-8")
    said = [*program.command, "--config", str(tmp_path / "donjon.toml"), "--listen", "nowhere"]
    wrong = {"DONJON_DRAIN": "soon", "DONJON_ENCLAVE_LIMIT": "many"}
    with pytest.raises(Misconfigured) as told:
        CliRunner().invoke(donjon, said, env=wrong, catch_exceptions=False)
    assert told.value.code == "DJ500"
    by_variable = (
        "DONJON_ENCLAVE_LIMIT: 'many', expected a number" if program is NODE else "DONJON_DRAIN: 'soon', expected seconds"
    )
    for words in (
        "--listen: 'nowhere', expected ADDRESS:PORT",
        by_variable,
        "log-level in the file: 'loud', expected debug or info or warning or error",
        "listn in the file: no such setting; did you mean listen?",
        "team in the file: no such table",
    ):
        assert words in told.value.message
    assert ("node-name: missing, expected --node-name, DONJON_NODE_NAME or a line" in told.value.message) is (program is NODE)


SWITCH = Setting("on", switch, "false", "", form=SettingForm.SWITCH)
LIST = Setting("name", several(str), "", "", form=SettingForm.SEVERAL)
NUMBER = Setting("many", count(1, 20), "7", "")
TABLE = (SWITCH, LIST, NUMBER, LOG_LEVEL)


def refused(environment: Mapping[str, str], text: str) -> list[str]:
    faults: list[str] = []
    settings.read(TABLE, {}, environment, text, faults, tables={"ours"})
    return faults


def test_an_empty_variable_says_the_default() -> None:
    empty = {"DONJON_ON": "", "DONJON_NAME": "", "DONJON_MANY": "", "DONJON_LOG_LEVEL": ""}
    values = settings.read(TABLE, {}, empty, 'on = true\nname = ["a"]\nmany = 1\n', [])
    assert (values[SWITCH], values[LIST], values[NUMBER], values[LOG_LEVEL]) == (False, (), 7, "info")


def test_an_empty_variable_says_nothing_where_there_is_no_default() -> None:
    must = Setting("node-name", str, None, "")
    assert settings.read([must], {}, {"DONJON_NODE_NAME": ""}, 'node-name = "n"', [])[must] == "n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("on = 3", "on in the file: '3', expected true or false"),
        ('many = ["1"]', "many in the file: ['1'], expected a text"),
        ("many = true", "many in the file: 'true', expected a number, 1 to 20"),
        ("name = [1]", "name in the file: [1], expected a text, or a list of texts"),
        ("[log-level]", "log-level in the file: {}, expected a text"),
        ("[theirs]", "theirs in the file: no such table"),
        ("theirs = []", "theirs in the file: no such table"),
        ("theirs = 1", "theirs in the file: no such setting"),
    ],
)
def test_a_line_that_says_nothing_we_know_is_a_fault(text: str, fault: str) -> None:
    assert refused({}, text) == [fault]


@pytest.mark.parametrize(
    "text",
    ["many", "a = " + "[" * 100_000, "many = " + "9" * 5_000, "many = 0x" + "f" * 5_000],
    ids=["none", "deep", "long", "hexadecimal"],
)
def test_a_file_that_cannot_be_read_is_a_fault(text: str) -> None:
    assert [fault[:15] for fault in refused({}, text)] == ["file: no TOML: "]


def test_a_setting_that_could_not_be_read_is_not_among_the_values() -> None:
    faults: list[str] = []
    values = settings.read(TABLE, {"many": "0"}, {}, "[ours]\nx = 1", faults, tables={"ours"})
    assert (NUMBER in values, SWITCH in values, values.tables) == (False, True, {"ours": {"x": 1}})
    assert faults == ["--many: '0', expected a number, 1 to 20"]


@pytest.mark.parametrize(
    ("text", "on"), [("true", True), ("YES", True), ("1", True), ("on", True), ("False", False), ("0", False)]
)
def test_a_switch_is_said_in_the_words_that_variables_have(text: str, *, on: bool) -> None:
    assert switch(text) is on


@pytest.mark.parametrize(
    ("reader", "good", "bad"),
    [
        (switch, {}, ["", "2", "truely"]),
        (count(0, 20), {"0": 0, "20": 20}, ["", "-1", "21", "1.5", " 1", "٣"]),
        (seconds(600), {"0": 0.0, "600": 600.0, "0.25": 0.25}, ["", "-1", "600.1", "1e1", "nan", "soon"]),
        (days, {"": None, "1": timedelta(days=1), "99999": timedelta(days=99_999)}, ["0", "-1", "100000", "1.5"]),
        (several(count(0, 9)), {"": (), "1": (1,), "1, 2": (1, 2)}, [",", "1,", "10"]),
    ],
)
def test_what_readers_take(reader: Callable[[str], object], good: Mapping[str, object], bad: Sequence[str]) -> None:
    assert {text: reader(text) for text in good} == good
    for text in bad:
        with pytest.raises(ValueError, match=r"^(a number|seconds|true or false)"):
            reader(text)
