"""`donjon pool apply` as its user calls it, against the stand-in for Resource Manager."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.adapters.fakearm import Answer, FakeArm, error, serving
from tests.adapters.test_azure_pools import Credential

from donjon.adapters.azure import pools as module
from donjon.cli.pool.command import pool

PLAN = """\
cluster: {cloud: azure, name: vaults, resource_group: group, region: westeurope, quota: 100}
pools:
  - {name: system, size: Standard_D4ds_v5, count: 1, mode: System}
  - {name: sgx1, size: Standard_DC4s_v3, count: 2, labels: {team: vault}}
"""


class Azure:
    """The stand-in, and calls to it."""

    def __init__(self, arm: FakeArm, endpoint: str) -> None:
        self.arm, self.endpoint = arm, endpoint

    def apply(self, *words: str, plan: str = PLAN) -> Result:
        arguments = ["apply", "-", "--endpoint", self.endpoint, "--subscription", "s", *words]
        return CliRunner().invoke(pool, arguments, input=plan)


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    arm = FakeArm()
    monkeypatch.setattr(module, "DefaultAzureCredential", lambda **_: Credential())
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    with serving(arm, tmp_path) as endpoint:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
        yield Azure(arm, endpoint)


def test_without_yes_nothing_is_changed_and_what_would_be_is_said(azure: Azure) -> None:
    done = azure.apply()
    assert done.exit_code == 0, done.output
    assert "sgx1: is not there: to be made" in done.stdout
    assert "nothing was changed; --yes does it" in done.stdout
    assert azure.arm.puts() == []


def test_with_yes_pools_are_made_and_a_second_run_does_nothing(azure: Azure) -> None:
    done = azure.apply("--yes")
    assert done.exit_code == 0, done.output
    assert azure.arm.pools["sgx1"]["nodeLabels"] == {"team": "vault"}
    assert "sgx1: as planned" in done.stdout
    count = len(azure.arm.puts())
    again = azure.apply("--yes")
    assert (again.exit_code, len(azure.arm.puts())) == (0, count)
    assert "sgx1: is as planned" in again.stdout


def test_drift_is_shown_before_it_is_undone(azure: Azure) -> None:
    azure.apply("--yes")
    azure.arm.pools["sgx1"]["nodeLabels"] = {"team": "others"}
    dry = azure.apply()
    assert "nodeLabels: {'team': 'others'} → {'team': 'vault'}" in dry.stdout
    assert azure.arm.pools["sgx1"]["nodeLabels"] == {"team": "others"}
    assert azure.apply("--yes").exit_code == 0
    assert azure.arm.pools["sgx1"]["nodeLabels"] == {"team": "vault"}


def test_what_cannot_be_changed_is_refused_before_anything_is(azure: Azure) -> None:
    azure.arm.put_there("sgx1", vmSize="Standard_DC8s_v3", count=2)
    done = azure.apply("--yes")
    assert done.exit_code == 1
    assert "DJ841" in done.stdout
    assert azure.arm.puts() == []


def test_a_run_that_was_cut_off_is_gone_on_with(azure: Azure) -> None:
    """The next run waits for what the last one began, and puts nothing twice."""
    azure.apply("--yes")
    count = len(azure.arm.puts())
    azure.arm.pools["sgx1"]["provisioningState"] = "Creating"
    looks = len(azure.arm.requests)
    original = azure.arm.answer

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if len(azure.arm.requests) > looks + 5:
            azure.arm.pools["sgx1"]["provisioningState"] = "Succeeded"
        return original(method, path, headers, body)

    azure.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    done = azure.apply("--yes")
    assert done.exit_code == 0, done.output
    assert "is being changed already" in done.stdout
    assert len(azure.arm.puts()) == count


def test_one_pool_that_fails_keeps_those_behind_it_from_nothing(azure: Azure) -> None:
    original = azure.arm.answer

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT" and "/agentPools/system" in path:
            return error(400, "QuotaExceeded", "no cores left")
        return original(method, path, headers, body)

    azure.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    done = azure.apply("--yes")
    assert "no cores left" in str(done.exception)
    assert "sgx1" in azure.arm.pools


def test_azure_that_refuses_is_said_with_its_code(azure: Azure) -> None:
    azure.arm.queue = [lambda: error(403, "AuthorizationFailed", "you may not read it")]
    done = azure.apply("--yes")
    assert done.exit_code != 0
    assert "DJ847" in str(done.exception)


def test_a_plan_with_a_fault_asks_azure_nothing(azure: Azure) -> None:
    done = azure.apply("--yes", plan=PLAN.replace("sgx1", "acc_second"))
    assert done.exit_code == 1
    assert azure.arm.requests == []


def test_pools_of_metal_are_not_azures(azure: Azure) -> None:
    metal = "cluster: {cloud: metal, name: own}\npools: [{name: r, size: xeon-scalable-3, count: 1}]\n"
    assert azure.apply(plan=metal).exit_code == 2


def test_for_programs_there_is_one_document(azure: Azure) -> None:
    azure.arm.put_there("sgx1", vmSize="Standard_DC4s_v3", count=1, osType="Linux", maxPods=110)
    told = json.loads(azure.apply("-o", "json").stdout)
    steps = {each["name"]: each["step"] for each in told["pools"]}
    assert steps == {"system": "make", "sgx1": "change"}


def test_without_a_subscription_it_is_said() -> None:
    done = CliRunner().invoke(pool, ["apply", "-"], input=PLAN)
    assert "DJ848" in str(done.exception)


def test_who_is_not_signed_in_gets_one_line(tmp_path: Path) -> None:
    plan = tmp_path / "fleet.yaml"
    plan.write_text(PLAN)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
    done = subprocess.run(
        [sys.executable, "-m", "donjon", "pool", "apply", str(plan), "--subscription", "s"],
        env=clean | {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("donjon: pool system: nobody is signed in to Azure, or not long enough (az login)")
    assert line.endswith("[DJ840] (donjon explain DJ840)")
