"""`donjon pool plan` as its user calls it, and what the page on machines shows, run as it stands there."""

import json
import re
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
    assert len(answers) == 8
    listed, shown, issue, manifest, judged, az, bicep, terraform = answers
    assert "Standard_DC4ds_v3" in listed
    assert "closed to new" in shown
    assert "take 1 × Standard_DC24s_v3" in issue
    assert "Pod v: 1 pod, each with 1Gi of EPC" in manifest
    assert "2 pools, nothing speaks against them" in judged
    assert az.count("az aks nodepool add") == 2
    assert "parent: cluster" in bicep
    assert 'resource "azurerm_kubernetes_cluster_node_pool" "sgx1"' in terraform


@pytest.mark.parametrize("form", [form for form in FORMS if form not in OF_NONE | {"kubeadm", "capm3"}])
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
