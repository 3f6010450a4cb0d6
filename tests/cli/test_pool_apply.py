"""`donjon pool apply` as its user calls it, against the stand-in for Resource Manager."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.adapters.fakearm import Answer, FakeArm, error, ok, serving
from tests.adapters.test_azure_pools import Credential

from donjon.adapters.azure import pools as module
from donjon.cli.pool.command import pool
from donjon.errors import DonjonError

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


def test_what_azure_makes_otherwise_than_the_plan_says_is_told(azure: Azure) -> None:
    original = azure.arm.answer

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        told = original(method, path, headers, body)
        if "operations/sgx1" in path:
            azure.arm.pools["sgx1"]["count"] = 0
        return told

    azure.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    done = azure.apply("--yes")
    assert "DJ849" in str(done.exception)
    assert "count is 0" in str(done.exception)


def test_what_azure_says_it_made_and_did_not_is_told(azure: Azure) -> None:
    original = azure.arm.answer

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT":
            return ok({"name": "sgx1", "properties": {"provisioningState": "Succeeded"}})
        return original(method, path, headers, body)

    azure.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    assert "DJ849 pool system: Azure says it is done, and has no such pool" in str(done_with_code(azure.apply("--yes")))


def done_with_code(done: Result) -> str:
    assert isinstance(done.exception, DonjonError)
    return f"{done.exception.code} {done.exception.message}"


def test_a_change_takes_nothing_away_that_others_set(azure: Azure) -> None:
    wish = {"vmSize": "Standard_DC4s_v3", "count": 7, "osType": "Linux", "osSKU": "Ubuntu", "maxPods": 110, "mode": "User"}
    azure.arm.put_there(
        "sgx1", **wish, tags={"owner": "x"}, vnetSubnetID="/subnet", enableAutoScaling=True, minCount=1, maxCount=9
    )
    scaled = PLAN.replace("count: 2", "count: 2, scale: {min: 1, max: 9}")
    assert azure.apply("--yes", plan=scaled).exit_code == 0
    there = azure.arm.pools["sgx1"]
    assert there["nodeLabels"] == {"team": "vault"}
    assert (there["tags"], there["vnetSubnetID"], there["count"]) == ({"owner": "x"}, "/subnet", 7)


@pytest.mark.parametrize(
    "words",
    [
        ("--endpoint", ""),
        ("--endpoint", "http://management.azure.com"),
        ("--endpoint", "management.azure.com"),
        ("--endpoint", "https://[::1"),
        ("--endpoint", "https://user:word@management.azure.com"),
        ("--endpoint", "https://management.azure.com/x"),
        ("--subscription", "../../x"),
        ("--subscription", "\x1b[2J"),
    ],
)
def test_an_address_or_a_subscription_that_is_none_is_a_usage_error(words: tuple[str, str]) -> None:
    rest = ("--subscription", "s") if words[0] == "--endpoint" else ()
    done = CliRunner().invoke(pool, ["apply", "-", *words, *rest], input=PLAN)
    assert (done.exit_code, "\x1b" in done.output) == (2, False)


def test_that_the_catalogue_is_old_is_said_here_too(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("donjon.adapters.clock.moment", lambda: datetime(2028, 1, 1, tzinfo=UTC))
    assert "DJ802" in azure.apply().stderr


BLOCKS = """\
cluster:
  cloud: azure
  name: vaults
  resource_group: group
  region: westeurope
  quota: 100
pools:
- name: system
  size: Standard_D4ds_v5
  count: 1
  mode: System
- name: sgx1
  size: Standard_DC4s_v3
  count: 12
"""


@pytest.mark.parametrize("cut", range(8, len(BLOCKS), 17))
def test_a_plan_that_was_cut_off_while_it_was_written_is_refused_or_made_whole_by_the_next(azure: Azure, cut: int) -> None:
    """Of YAML that ends too soon nobody can always see it; so nothing of it is ever in the way of the whole."""
    first = azure.apply("--yes", plan=BLOCKS[:cut])
    if first.exit_code != 0:
        assert azure.arm.puts() == []
    assert azure.apply("--yes", plan=BLOCKS).exit_code == 0
    assert {name: each["count"] for name, each in azure.arm.pools.items()} == {"system": 1, "sgx1": 12}
    assert azure.apply("--yes", plan=BLOCKS[: BLOCKS.index("- name: sgx1")]).exit_code == 0
    assert set(azure.arm.pools) == {"system", "sgx1"}, "nothing is deleted because a plan says no more of it"


@pytest.mark.parametrize(("count", "code"), [(2, 0), (9, 1)])
def test_a_pool_that_was_made_although_its_answer_was_lost_is_waited_for_and_anothers_is_not(
    azure: Azure, count: int, code: int
) -> None:
    """Where no answer comes the library asks again, and is told that there is one of that name: our own, or another's."""
    original = azure.arm.answer

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if method == "PUT" and "sgx1" in path:
            original(method, path, headers, body)
            azure.arm.pools["sgx1"] |= {"provisioningState": "Succeeded", "count": count}
            return error(412, "PreconditionFailed", "there is one of that name")
        return original(method, path, headers, body)

    azure.arm.answer = answer  # type: ignore[method-assign] # Azure, for this test.
    done = azure.apply("--yes")
    assert (done.exit_code, "DJ844" in str(done.exception)) == (code, code == 1)
    assert len([path for path in azure.arm.puts() if "sgx1" in path]) == 1


def test_how_many_nodes_a_pool_has_that_donjon_scales_is_left_as_it_is(azure: Azure) -> None:
    plan = PLAN.replace("count: 2, labels", "count: 2, scale: {min: 0, max: 5, by: donjon}, labels")
    azure.apply("--yes", plan=plan)
    assert azure.arm.pools["sgx1"]["count"] == 2
    assert not azure.arm.pools["sgx1"].get("enableAutoScaling")
    azure.arm.put_there("sgx1", **{**azure.arm.pools["sgx1"], "count": 4})
    count = len(azure.arm.puts())
    done = azure.apply("--yes", plan=plan)
    assert done.exit_code == 0
    assert len(azure.arm.puts()) == count
    azure.apply("--yes", plan=plan.replace("team: vault", "team: other"))
    assert azure.arm.pools["sgx1"]["nodeLabels"]["team"] == "other"
    assert azure.arm.pools["sgx1"]["count"] == 4


def test_a_pool_that_is_given_to_donjon_loses_its_autoscaler_and_keeps_its_nodes(azure: Azure) -> None:
    theirs = PLAN.replace("count: 2, labels", "count: 2, scale: {min: 0, max: 5}, labels")
    azure.apply("--yes", plan=theirs)
    assert azure.arm.pools["sgx1"].get("enableAutoScaling")
    azure.arm.put_there("sgx1", **{**azure.arm.pools["sgx1"], "count": 4})
    done = azure.apply("--yes", plan=theirs.replace("max: 5", "max: 5, by: donjon"))
    assert done.exit_code == 0, done.output
    assert not azure.arm.pools["sgx1"].get("enableAutoScaling")
    assert azure.arm.pools["sgx1"]["count"] == 4
