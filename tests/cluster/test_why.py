"""`donjon why` against a real scheduler, kubelet and controllers: what it says is what they did."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testbed import demo
from tests.cluster.agents import ENCLAVE, EPC, offered, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster

Wait = Callable[..., Any]
BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True, scope="module")
def donjon(cluster: Cluster) -> None:
    if cluster.testbed is not None:
        demo.install(cluster.testbed.layout)


def asked(cluster: Cluster, *arguments: str, command: tuple[str, ...] = ("donjon",)) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "PATH": f"{BIN}:{Path(cluster.program).parent}:/usr/bin:/bin",
    }
    return subprocess.run([*command, "why", *arguments], capture_output=True, text=True, check=False, timeout=60, env=environment)


def codes(cluster: Cluster, *arguments: str) -> set[str]:
    done = asked(cluster, *arguments, "--output", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    return {each["code"] for each in json.loads(done.stdout)["findings"]}


def is_unschedulable(cluster: Cluster, namespace: str, name: str) -> bool:
    conditions = cluster.get("pod", "-n", namespace, name)["status"].get("conditions", [])
    return any(each.get("reason") == "Unschedulable" for each in conditions)


def test_more_than_any_node_has(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    cluster.apply(pod("greedy", image=ORDINARY_IMAGE, limits={EPC: "1Ti"}), namespace=namespace)
    wait_for(lambda: is_unschedulable(cluster, namespace, "greedy"), what="the scheduler has tried")
    said = asked(cluster, "greedy", "-n", namespace)
    assert said.returncode == 1
    assert "[DJ132]" in said.stdout or "DJ132" in said.stdout
    assert all(node in said.stdout for node in cluster.node_names)
    assert "next: " in said.stdout


def test_what_others_hold_is_named(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    free = max(int(offered(cluster, node)[EPC][1] or 0) for node in cluster.sgx_nodes)
    most = str(free * 2 // 3)
    cluster.apply(pod("holder", "sleep", "600", image=ORDINARY_IMAGE, limits={EPC: most}), namespace=namespace)
    wait_for(lambda: cluster.get("pod", "-n", namespace, "holder")["status"]["phase"] == "Running", what="the holder runs")
    assert asked(cluster, "holder", "-n", namespace).returncode == 0
    cluster.apply(pod("waits", image=ORDINARY_IMAGE, limits={EPC: most}), namespace=namespace)
    wait_for(lambda: is_unschedulable(cluster, namespace, "waits"), what="the scheduler has tried")
    assert codes(cluster, "waits", "-n", namespace) == {"DJ130"}
    assert f"{namespace}/holder" in asked(cluster, "waits", "-n", namespace).stdout


def test_a_job_whose_pods_are_refused_tells_the_refusal(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    template = pod("unused", image=ORDINARY_IMAGE, limits={EPC: "1Mi"})["spec"] | {"nodeName": cluster.sgx_nodes[0]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "by-hand"},
        "spec": {"template": {"spec": template | {"restartPolicy": "Never"}}},
    }
    cluster.apply(job, namespace=namespace)
    events = ("events", "-n", namespace, "--field-selector", "reason=FailedCreate")
    wait_for(lambda: cluster.get(*events)["items"], what="the controller was refused")
    said = asked(cluster, "job/by-hand", "-n", namespace)
    assert said.returncode == 1
    assert "DJ131" in said.stdout
    assert "DJ105" in said.stdout


def test_a_taint_and_a_selector_stand_at_their_nodes(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    asks = pod("elsewhere", image=ORDINARY_IMAGE, limits={EPC: "1Mi"})
    asks["spec"]["nodeSelector"] = {"pool": "none"}
    cluster.apply(asks, namespace=namespace)
    wait_for(lambda: is_unschedulable(cluster, namespace, "elsewhere"), what="the scheduler has tried")
    assert codes(cluster, "elsewhere", "-n", namespace) == {"DJ133"}


def test_a_node_that_lost_its_devices_is_named_with_its_reason(
    cluster: Cluster, namespace: str, testbed: Any, wait_for: Wait
) -> None:
    (node, *_) = cluster.sgx_nodes
    testbed.remove_devices(node)
    try:
        wait_for(lambda: int(offered(cluster, node)[ENCLAVE][1] or 0) == 0, seconds=30, what="the node offers no device")
        cluster.apply(pod("waits", image=ORDINARY_IMAGE, limits={EPC: "1Mi"}), namespace=namespace)
        wait_for(lambda: is_unschedulable(cluster, namespace, "waits"), what="the scheduler has tried")
        assert codes(cluster, "waits", "-n", namespace) & {"DJ134", "DJ135"}
    finally:
        testbed.return_devices(node)
    wait_for(lambda: int(offered(cluster, node)[ENCLAVE][1] or 0) > 0, seconds=30, what="the node offers its device")


def test_an_ordinary_pod_that_runs_is_well_and_kubectl_finds_the_plugin(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    cluster.apply(pod("plain", "sleep", "600", image=ORDINARY_IMAGE), namespace=namespace)
    wait_for(lambda: cluster.get("pod", "-n", namespace, "plain")["status"]["phase"] == "Running", what="the pod runs")
    for command in (("donjon",), (cluster.program, "donjon")):
        said = asked(cluster, "plain", "-n", namespace, command=command)
        assert said.returncode == 0, said.stdout + said.stderr


def test_with_the_rights_of_one_namespace_it_still_answers_and_with_the_charts_role_it_tells_all(
    cluster: Cluster, namespace: str, tmp_path: Path, wait_for: Wait
) -> None:
    cluster.kubectl(
        "create", "rolebinding", "sees", "-n", namespace, "--clusterrole=view", f"--serviceaccount={namespace}:default"
    )
    cluster.apply(pod("greedy", image=ORDINARY_IMAGE, limits={EPC: "1Ti"}), namespace=namespace)
    wait_for(lambda: is_unschedulable(cluster, namespace, "greedy"), what="the scheduler has tried")
    token = cluster.kubectl("create", "token", "default", "-n", namespace).strip()
    config = tmp_path / "config"
    flat = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
    flat["users"] = [{"name": flat["users"][0]["name"], "user": {"token": token}}]
    config.write_text(json.dumps(flat))
    said = asked(cluster, "greedy", "-n", namespace, "--kubeconfig", str(config))
    assert said.returncode == 1, said.stderr
    assert "DJ139" in said.stdout
    assert "Insufficient sgx.intel.com/epc" in said.stdout
    role = ("clusterrolebinding", f"{namespace}-why")
    cluster.kubectl("create", *role, "--clusterrole=donjon-why", f"--serviceaccount={namespace}:default")

    def whole() -> str:
        done = asked(cluster, "greedy", "-n", namespace, "--kubeconfig", str(config))
        return "" if "DJ139" in done.stdout else done.stdout

    try:
        said_with_the_role = wait_for(whole, what="the role tells all")
    finally:
        cluster.kubectl("delete", *role)
    assert "DJ132" in said_with_the_role
    assert all(node in said_with_the_role for node in cluster.node_names)
