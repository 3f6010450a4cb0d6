"""`donjon status` on a real cluster: well after an install, and every loss is told first, until it is healed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.agents import NAMESPACE
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed
from tests.cluster.test_attestation import on_a_volume, prepared, values

Wait = Callable[..., Any]

DONJON = Path(sys.executable).with_name("donjon")
MODE = 'admission.mode="webhook"'
HEALED = "2m"


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


def begin(cluster: Cluster, *arguments: str) -> subprocess.Popen[str]:
    command = [str(DONJON), "status", "--kubeconfig", str(cluster.kubeconfig), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def status(cluster: Cluster, *arguments: str) -> tuple[int, Any]:
    """The exit code, and the document."""
    with begin(cluster, "--output", "json", *arguments) as program:
        said, complained = program.communicate(timeout=180)
    assert program.returncode in {0, 1}, complained
    return program.returncode, json.loads(said)


def heals(cluster: Cluster) -> None:
    code, document = status(cluster, "--wait", HEALED)
    assert (code, document["findings"]) == (0, []), document


def worst(cluster: Cluster) -> str:
    """The code of what is told first; empty where all is well."""
    findings = status(cluster)[1]["findings"]
    return str(findings[0]["code"]) if findings else ""


def patch(cluster: Cluster, affinity: object) -> None:
    change = {"spec": {"template": {"spec": {"affinity": affinity}}}}
    cluster.kubectl("patch", "daemonset", "donjon-node", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(change))


def test_after_an_install_all_is_well_and_told_in_a_line(cluster: Cluster, release: Release) -> None:
    del release
    heals(cluster)
    with begin(cluster) as program:
        said, complained = program.communicate(timeout=60)
    assert (program.returncode, complained) == (0, "")
    verdict, *table = said.splitlines()
    assert verdict.startswith("well: pods are wired and refused as they must be (tried in namespace default), ")
    assert {line.split()[0] for line in table if line and line[0] != " "} == {"part", "policies", "agents", "nodes", "versions"}


def test_a_binding_that_is_gone_is_told_first_and_its_own_command_brings_it_back(
    cluster: Cluster, release: Release, tmp_path: Path
) -> None:
    del release
    cluster.kubectl("delete", "validatingadmissionpolicybinding", "donjon-refuse")
    code, document = status(cluster)
    finding = document["findings"][0]
    assert (code, finding["code"]) == (1, "DJ170")
    assert "ValidatingAdmissionPolicyBinding donjon-refuse is gone" in finding["found"]
    testbed = cluster.testbed
    assert testbed is not None
    path = f"{testbed.layout.program('helm').parent}:/usr/bin:/bin"
    environment = {"PATH": path, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path)}
    command = finding["do"].partition("bring it back: ")[2]
    subprocess.run(["bash", "-c", command], env=environment, check=True, capture_output=True, timeout=60)
    heals(cluster)


def test_a_node_without_its_agent_is_named_and_waiting_ends_when_it_is_back(
    cluster: Cluster, release: Release, wait_for: Wait
) -> None:
    del release
    (node, *_) = cluster.sgx_nodes
    elsewhere = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [node]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [elsewhere]}}}
    patch(cluster, affinity)
    wait_for(lambda: worst(cluster) == "DJ173", seconds=60, what="the agent is missed")
    code, document = status(cluster)
    assert (code, f"no donjon-node pod on {node}" in document["verdict"]) == (1, True), document
    with begin(cluster, "--wait", HEALED) as program:
        assert program.stderr is not None
        assert node in program.stderr.readline()
        patch(cluster, None)
        said, _ = program.communicate(timeout=180)
    assert (program.returncode, said[:5]) == (0, "well:")


def test_a_webhook_that_is_scaled_to_0_is_told_first(cluster: Cluster, release: Release, wait_for: Wait) -> None:
    release.upgrade(MODE)
    heals(cluster)
    cluster.kubectl("scale", "deployment", "donjon-webhook", "-n", NAMESPACE, "--replicas=0")
    wait_for(lambda: worst(cluster) == "DJ175", what="the webhook is missed")
    assert "scaled to 0" in status(cluster)[1]["verdict"]
    release.upgrade()
    heals(cluster)


def test_an_attestation_service_that_is_not_ready_is_told_with_its_own_words(
    cluster: Cluster, release: Release, wait_for: Wait, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with prepared(cluster, "nobody") as (_, __, config), on_a_volume(cluster, tmp_path_factory) as more:
        release.run(*release.upgrade_command(values(config, **more, extraEnv=[{"name": "DONJON_MODE", "value": "offline"}])))
        wait_for(lambda: "DJ512" in status(cluster)[1]["verdict"], seconds=60, what="the service says why")
        assert worst(cluster) == "DJ176"
        release.upgrade()
    heals(cluster)
