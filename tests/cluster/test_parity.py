"""The same pods through the API server's own policies and through the Python rules: equal pods out, equal codes."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.admission.makers import MAKERS, workload
from tests.cluster import parity

from donjon.admission.policies.all import for_pods
from donjon.admission.policies.printing import manifest
from donjon.admission.settings import AdmissionContext, Settings, wired_by_policy
from donjon.formats.json import Json, JsonObject

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster


_RESOURCES: JsonObject = {"limits": {"sgx.intel.com/epc": 10, "sgx.intel.com/enclave": 0}}
_CONTAINERS: list[Json] = [{"name": "a", "image": "a", "resources": _RESOURCES}]
ASKS_WRONGLY: JsonObject = {"metadata": {"name": "p"}, "spec": {"containers": _CONTAINERS}}
WORKLOADS = ("validatingadmissionpolicybinding", "donjon-warn-workloads")


@pytest.fixture(scope="module", autouse=True)
def lone(cluster: "Cluster") -> Iterator[None]:
    """Without the chart's warnings beside: the API server shows 4,096 characters of warnings an answer, and cuts the rest."""
    text = "" if cluster.testbed is None else cluster.kubectl("get", *WORKLOADS, "--ignore-not-found", "-o", "json")
    if not text:
        yield
        return
    binding = json.loads(text)
    binding["metadata"] = {key: binding["metadata"][key] for key in ("name", "labels", "annotations")}
    cluster.kubectl("delete", *WORKLOADS)
    try:
        wait(lambda: f"'{WORKLOADS[1]}'" not in foretold(cluster, "default"))
        yield
    finally:
        create = ("apply", "--server-side", "--field-manager=helm", "-f", "-")
        cluster.kubectl(*create, stdin=json.dumps(binding))


@pytest.fixture(scope="module", params=["plain", "allowed", "refusing"])
def chosen(cluster: "Cluster", request: pytest.FixtureRequest) -> Iterator[tuple[AdmissionContext, Settings]]:
    """A namespace with or without the right to the provisioning key, and the policies in force with that choice."""
    labels = {"donjon.dev/provision": "allowed"} if request.param == "allowed" else {}
    # A name of its own, since a policy stays in force for a moment after its deletion.
    name = f"test-parity-{secrets.token_hex(3)}"
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    settings = Settings(wired_by=wired_by_policy(name), refuse_host_devices=request.param == "refusing")
    text = f"{manifest(for_pods(name, settings))}---\n{json.dumps(made)}\n"
    cluster.kubectl("apply", "-f", "-", stdin=text)
    try:
        wait(lambda: in_force(cluster, name))
        yield AdmissionContext(namespace=name, labels=labels), settings
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=text)


def wait(asked: Callable[[], object]) -> None:
    from tests.cluster.conftest import wait_until  # noqa: PLC0415 - pytest makes the module known only when tests run.

    wait_until(asked, seconds=20, what="the policies in force")


def in_force(cluster: "Cluster", namespace: str) -> bool:
    """Each policy takes effect by itself; a service account is made a moment after its namespace."""
    stdin = json.dumps({"apiVersion": "v1", "kind": "Pod", **ASKS_WRONGLY})
    said = cluster.kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=stdin, check=False)
    wired = cluster.kubectl(
        "create",
        "-n",
        namespace,
        "--dry-run=server",
        "-o",
        "json",
        "-f",
        "-",
        stdin=stdin.replace('"sgx.intel.com/enclave": 0', '"cpu": 1'),
        check=False,
    )
    # Where the chart is installed its policies are the same ones, and one refusal alone is shown: theirs or ours.
    installed = "/donjon-refuse" in cluster.kubectl("get", "validatingadmissionpolicybindings", "-o", "name")
    prefixes = (namespace, "donjon") if installed else (namespace,)
    seen = (any(f"'{prefix}-{kind}'" in said for prefix in prefixes) for kind in ("refuse", "warn"))
    warns = f"'{namespace}-warn-workloads'" in foretold(cluster, namespace)
    return all(seen) and "sgx.intel.com/enclave" in wired and warns


def foretold(cluster: "Cluster", namespace: str) -> str:
    """What the server says of a DaemonSet whose pods it would refuse."""
    maker = json.dumps(workload("DaemonSet", ASKS_WRONGLY))
    return cluster.kubectl("create", "-n", namespace, "--dry-run=server", "-f", "-", stdin=maker, check=False)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_makes_pods_is_warned_about_as_its_pods_are_judged(
    cluster: "Cluster", chosen: tuple[AdmissionContext, Settings], tmp_path: Path, kind: str
) -> None:
    around, settings = chosen
    parity.agree_on_workloads(cluster, tmp_path, replace(around, made_by=kind), settings)


@pytest.mark.parametrize("batch", parity.BATCHES)
def test_policies_and_python_rules_come_to_the_same(
    cluster: "Cluster", chosen: tuple[AdmissionContext, Settings], batch: str
) -> None:
    parity.agree(cluster, *chosen, batch, prefix=chosen[0].namespace)
