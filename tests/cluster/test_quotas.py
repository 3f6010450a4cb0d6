"""docs/quotas.md, example by example, on a real cluster: what the page says of each is what the API server and Donjon do."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calling import call
from tests.cluster.agents import ENCLAVE, EPC, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster
from tests.cluster.test_why import asked

Wait = Callable[..., Any]

PAGE = (Path(__file__).parents[2] / "docs" / "quotas.md").read_text(encoding="utf-8")
IN_MIB = "sgx.intel.com/sgx_epc_mem_in_MiB"

pytestmark = pytest.mark.usefixtures("donjon_installed")


def example(name: str) -> str:
    (text,) = re.findall(rf"```yaml\n# {name}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def attempt(cluster: Cluster, namespace: str, name: str, limits: dict[str, str] | None) -> str:
    """What the API server says to a pod with these limits: the pod as it would be, or why not."""
    create = ("create", "--dry-run=server", "-o", "json", "-n", namespace, "-f", "-")
    return cluster.kubectl(*create, stdin=json.dumps(pod(name, image=ORDINARY_IMAGE, limits=limits)), check=False)


def limits(answer: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(answer)["spec"]["containers"][0]["resources"].get("limits", {})
    return found


def apply(cluster: Cluster, namespace: str, name: str) -> None:
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=example(name))


def test_check_takes_the_quota_and_warns_of_a_limit_range_that_gives_to_all(tmp_path: Path) -> None:
    for name, code in (("quota.yaml", "DJ158"), ("default.yaml", "DJ157")):
        (tmp_path / name).write_text(example(name))
        said = call("check", tmp_path / name)
        assert (said.returncode, code in said.stdout) == (0, True), said.stdout


def test_a_quota_counts_epc_in_bytes_and_why_names_it(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    apply(cluster, namespace, "quota.yaml")
    wait_for(lambda: cluster.get("resourcequota", "-n", namespace, "sgx")["status"].get("hard"), what="the quota counts")
    assert limits(attempt(cluster, namespace, "small", {IN_MIB: "64"})) == {EPC: "64Mi", ENCLAVE: "1"}
    for too_much in ({EPC: "128Mi"}, {IN_MIB: "128"}):
        assert "exceeded quota: sgx, requested: requests.sgx.intel.com/epc=128Mi" in attempt(
            cluster, namespace, "large", too_much
        )
    apply(cluster, namespace, "large.yaml")
    events = ("events", "-n", namespace, "--field-selector", "reason=FailedCreate")
    wait_for(lambda: cluster.get(*events)["items"], what="the controller was refused")
    said = asked(cluster, "deployment/large", "-n", namespace)
    assert (said.returncode, "DJ131" in said.stdout) == (1, True), said.stdout + said.stderr
    assert "have an administrator raise the ResourceQuota sgx" in said.stdout


def test_a_limit_ranges_max_refuses_more_and_those_who_ask_for_none(cluster: Cluster, namespace: str) -> None:
    apply(cluster, namespace, "most.yaml")
    refusal = "maximum sgx.intel.com/epc usage per Pod is 32Mi"
    assert f"{refusal}, but limit is 128Mi" in attempt(cluster, namespace, "large", {EPC: "128Mi"}).replace("134217728", "128Mi")
    assert limits(attempt(cluster, namespace, "small", {EPC: "32Mi"})) == {EPC: "32Mi", ENCLAVE: "1"}
    assert f"{refusal}.  No limit is specified" in attempt(cluster, namespace, "plain", None)


def test_a_limit_ranges_default_gives_epc_and_its_device_to_everybody(cluster: Cluster, namespace: str) -> None:
    apply(cluster, namespace, "default.yaml")
    answer = attempt(cluster, namespace, "plain", None)
    assert limits(answer) == {EPC: "10Mi", ENCLAVE: "1"}
    assert "sgx.intel.com/epc" in json.loads(answer)["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
    assert "[DJ106]" in attempt(cluster, namespace, "two", {IN_MIB: "20"})
