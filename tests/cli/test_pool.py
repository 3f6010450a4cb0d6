"""`donjon pool plan` as its user calls it, and what the page on machines shows, run as it stands there."""

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML
from tests import pages
from tests.pages import Terminal

from donjon.cli.pool.command import pool
from donjon.cli.pool.plan import FORMS
from donjon.formats.json import JsonObject

PLAN = next(block for block in re.findall(r"```yaml\n(.*?)```", pages.text("machines.md"), re.DOTALL) if "cluster:" in block)
METAL = """\
cluster: {cloud: metal, name: own, version: "1.36"}
pools: [{name: rack-1, size: xeon-scalable-3, count: 3, taint: sgx-only, labels: {rack: "1"}}]
"""
ALIBABA = """\
cluster: {cloud: alibaba, name: own, region: cn-beijing}
pools: [{name: sgx, size: ecs.g7t.xlarge, count: 2, taint: sgx-only, labels: {team: vault}}]
"""
OF_METAL = {"kubeadm", "capm3", "values"}
OF_NONE = {"text", "json"}


def called(text: str, form: str = "text") -> Result:
    return CliRunner().invoke(pool, ["plan", "-", "--output", form], input=text)


def test_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "pools.yaml").write_text(PLAN)
    (tmp_path / "vault.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: v}, spec: {containers: "
        "[{name: a, image: i, resources: {limits: {sgx.intel.com/epc: 1Gi}}}]}}"
    )
    reader = Terminal(folder=tmp_path, environment={}, instead={})
    answers = [reader.run(command) for command in pages.shown("machines.md", __file__)]
    assert len(answers) == 9
    listed, shown, issue, manifest, judged, _, az, bicep, terraform = answers
    assert YAML(typ="safe").load((tmp_path / "sgx1.yaml").read_text())["pools"][0]["scale"] == {"min": 0, "max": 5}
    assert "Standard_DC4ds_v3" in listed
    assert "closed to new" in shown
    assert "take 1 × Standard_DC24s_v3" in issue
    assert "Pod v: 1 pod, each with 1Gi of EPC" in manifest
    assert "2 pools, nothing speaks against that" in judged
    assert az.count("az aks nodepool add") == 2
    assert "parent: cluster" in bicep
    assert 'resource "azurerm_kubernetes_cluster_node_pool" "sgx1"' in terraform


FLAGS = "--cloud azure --cluster v --resource-group v --region westeurope --version 1.36 --pool sgx1 --size Standard_DC4s_v3"


def test_a_plan_of_options_is_the_same_as_its_file(tmp_path: Path) -> None:
    options = [*FLAGS.split(), "--count", "2", "--min", "0", "--max", "5", "--taint", "sgx-only"]
    (tmp_path / "plan.yaml").write_text(CliRunner().invoke(pool, ["plan", *options, "--output", "plan"]).stdout)
    for form in ("az", "terraform", "arm"):
        by_options = CliRunner().invoke(pool, ["plan", *options, "--output", form])
        assert by_options.exit_code == 0
        assert by_options.stdout == CliRunner().invoke(pool, ["plan", str(tmp_path / "plan.yaml"), "--output", form]).stdout


@pytest.mark.parametrize(
    ("options", "where"),
    [("--count 9999", "--count: error"), ("--count 1 --min 6 --max 5", "--min: error"), ("", "--count: error")],
)
def test_a_fault_of_an_option_is_said_by_its_name(options: str, where: str) -> None:
    done = CliRunner().invoke(pool, ["plan", *FLAGS.split(), *options.split()])
    assert done.exit_code == 1
    assert where in done.stdout


@pytest.mark.parametrize("arguments", [[], ["plan.yaml", "--cloud", "azure"]])
def test_a_plan_is_a_file_or_options_and_never_both(arguments: list[str]) -> None:
    assert CliRunner().invoke(pool, ["plan", *arguments]).exit_code == 2


def test_a_field_that_is_none_hides_no_fault_of_another_kind() -> None:
    wrong = PLAN.replace("taint:", "tiant:").replace("Standard_DC4ds_v3", "Standard_DC4ds_v33").replace("max: 5", "max: -5")
    done = called(wrong)
    assert done.exit_code == 1
    assert "did you mean taint?" in done.output
    assert "did you mean Standard_DC4ds_v3?" in done.output
    assert "write as min and as max a whole number from 0 to 5000" in done.output
    assert called(wrong, "terraform").stdout == ""


@pytest.mark.parametrize("form", [form for form in FORMS if form not in OF_NONE | {"kubeadm", "capm3", "ack"}])
def test_a_sound_plan_is_written_down_for_each_tool(form: str) -> None:
    done = called(PLAN, form)
    assert done.exit_code == 0
    assert done.stdout


@pytest.mark.parametrize("form", sorted(OF_METAL))
def test_a_plan_of_metal_is_written_down_for_those_who_make_metal(form: str) -> None:
    documents = list(YAML(typ="safe").load_all(called(METAL, form).stdout))
    assert documents
    if form == "kubeadm":
        (join,) = documents
        assert join["nodeRegistration"]["taints"] == [{"key": "sgx.intel.com/epc", "value": "true", "effect": "NoSchedule"}]
        assert {"name": "node-labels", "value": "rack=1"} in join["nodeRegistration"]["kubeletExtraArgs"]


@pytest.mark.parametrize(("text", "form"), [(METAL, "az"), (PLAN, "kubeadm")])
def test_a_tool_that_makes_no_such_pools_is_refused(text: str, form: str) -> None:
    assert called(text, form).exit_code == 2


def test_a_plan_with_a_fault_is_written_down_for_nobody() -> None:
    done = called(PLAN.replace("sgx1", "acc_second"), "bicep")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "DJ821" in done.stderr


def test_a_fault_has_the_line_of_its_field() -> None:
    text = PLAN.replace("sgx1", "acc_second")
    report: JsonObject = json.loads(called(text, "json").stdout)
    findings = report["findings"]
    assert isinstance(findings, list)
    (line,) = [each["line"] for each in findings if isinstance(each, dict) and each["code"] == "DJ821"]
    assert "acc_second" in text.splitlines()[int(str(line)) - 1]


@pytest.mark.parametrize("text", ["", "a: [", "a: 1\n---\nb: 2\n", "7", "[]"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    done = called(text)
    assert done.exit_code != 0


def test_a_hostile_name_reaches_no_terminal_as_it_is() -> None:
    done = called(PLAN.replace("sgx1", '"\\e[2J$(reboot)"'))
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout


WHOLE = "cluster: {cloud: azure, name: v, resource_group: g, region: westeurope, %s}\npools: [{name: w, size: %s, count: 1}]\n"


def test_a_key_that_stands_twice_is_refused_in_a_plan_without_sgx_too() -> None:
    done = called(WHOLE % ("name: other", "Standard_D2s_v5"))
    assert "DJ930" in str(done.exception)
    assert "name is there twice" in str(done.exception)


@pytest.mark.parametrize("size", ["[concat('a')]", "--debug", "Standard_D2'; reboot", "${file('x')}", "$(reboot)", "a b"])
@pytest.mark.parametrize("form", ["az", "arm", "bicep", "terraform", "azapi", "capz"])
def test_a_size_is_no_door_into_another_language(size: str, form: str) -> None:
    """In a template of Resource Manager a text that begins with a bracket is an expression; in a shell a dash is an option."""
    done = called(WHOLE % ("version: '1.36'", json.dumps(size)), form)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "DJ822" in done.stderr


def test_a_group_whose_name_begins_with_a_dash_is_no_option() -> None:
    text = (WHOLE % ("version: '1.36'", "Standard_D2s_v5")).replace("resource_group: g", "resource_group: --debug")
    assert "--resource-group=--debug --cluster-name" in called(text, "az").stdout


@pytest.mark.parametrize("region", ["$(reboot)", "west europe", "[x]", "١"])
def test_a_hostile_region_is_in_no_command_that_people_are_told_to_type(region: str) -> None:
    text = (WHOLE % ("version: '1.36'", "Standard_DC4s_v3")).replace("westeurope", json.dumps(region))
    done = called(text)
    assert "DJ823" in done.stdout
    assert f"--location {region}" not in done.stdout


@pytest.mark.parametrize("version", ["1.٣٦", "1.36.٩", "v1.36", "1.3"])
def test_a_version_of_other_digits_is_none(version: str) -> None:
    assert "DJ820" in called(WHOLE % (f"version: '{version}'", "Standard_D2s_v5")).stdout
    assert "DJ820" in called(METAL.replace("1.36", version)).stdout


def test_metal_with_a_name_or_size_that_nobody_knows_is_told() -> None:
    assert "DJ820" in called(METAL.replace("name: own", "name: own/../x")).stdout
    unknown = called(METAL.replace("xeon-scalable-3", "xeon-scalable-33"))
    assert unknown.exit_code == 0
    assert "did you mean xeon-scalable-3" in unknown.stdout


def test_that_the_catalogue_is_old_is_said_of_every_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("donjon.adapters.clock.moment", lambda: datetime(2028, 1, 1, tzinfo=UTC))
    assert "DJ802" in called(PLAN).stdout
    assert "DJ802" in called(PLAN, "az").stderr
    assert "DJ802" in called(PLAN, "json").stdout


def test_a_plan_for_alibaba_is_written_down_for_its_command_line() -> None:
    words = shlex.split(called(ALIBABA, "ack").stdout)
    assert words[:6] == ["aliyun", "cs", "POST", "/clusters/CLUSTER-ID/nodepools", "--region", "cn-beijing"]
    assert json.loads(words[-1])["scaling_group"]["instance_types"] == ["ecs.g7t.xlarge"]
    assert called(ALIBABA, "az").exit_code == 2


@pytest.mark.parametrize(
    ("was", "wrong", "code"),
    [
        ("ecs.g7t.xlarge", "Standard_DC4s_v3", "DJ822"),
        ("ecs.g7t.xlarge", "ecs.g7.large", "DJ822"),  # none with SGX, for pods alone that ask for it
        ("ecs.g7t.xlarge", "'$(reboot)'", "DJ822"),
        ("cn-beijing", "'$(reboot)'", "DJ823"),
        (", region: cn-beijing", "", "DJ823"),
        ("count: 2", "count: 2, zones: ['1']", "DJ828"),
        ("name: own", "name: own, confcom: true", "DJ833"),
        ("count: 2", "count: 2, os_type: Windows", "DJ824"),
    ],
)
def test_a_plan_for_alibaba_with_a_fault_is_refused(was: str, wrong: str, code: str) -> None:
    done = called(ALIBABA.replace(was, wrong), "ack")
    assert (done.exit_code, done.stdout) == (1, "")
    assert code in done.stderr


def test_a_size_of_alibaba_of_whose_regions_nobody_speaks_is_warned_of() -> None:
    done = called(ALIBABA.replace("cn-beijing", "ap-southeast-1"))
    assert (done.exit_code, "DJ823" in done.stdout) == (0, True)


def test_each_pool_has_its_document_for_kubeadm_which_takes_one_a_file() -> None:
    two = METAL.replace("pools: [", "pools: [{name: rack-2, size: xeon-scalable-3, count: 1}, ")
    first, second = called(two, "kubeadm").stdout.removeprefix("---\n").split("---\n")
    for name, text in (("rack-2", first), ("rack-1", second)):
        assert text.startswith(f"# pool {name}: a file of its own\n")
        assert YAML(typ="safe").load(text)["kind"] == "JoinConfiguration"
