"""What the issue tracker calls the first whole path: the FAQ's Job, applied as it is, on a mixed cluster."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.agents import ENCLAVE, EPC, PROVISION, Agent, offered, pod
from tests.cluster.conftest import ORDINARY_IMAGE, SGX_TEST_IMAGE, Cluster, Testbed

from donjon.node.devices import DriverKind

pytestmark = pytest.mark.usefixtures("donjon_installed")

JOB = Path(__file__).parents[2] / "testbed" / "examples" / "sgx-test.yaml"
BOTH_ENCLAVE_PATHS = ["/dev/sgx_enclave: character device", "/dev/sgx/enclave: character device"]
BOTH_PROVISION_PATHS = ["/dev/sgx_provision: character device", "/dev/sgx/provision: character device"]
NO_PROVISION_PATH = ["/dev/sgx_provision: absent", "/dev/sgx/provision: absent"]

Wait = Callable[..., Any]


def run_the_job(cluster: Cluster, namespace: str) -> tuple[Any, list[str]]:
    """The Job's pod when it is done, and what it printed."""
    cluster.kubectl("apply", "-n", namespace, "-f", str(JOB))
    cluster.kubectl("wait", "-n", namespace, "--for=condition=complete", "--timeout=60s", "job/sgx-test")
    (ran,) = cluster.get("pods", "-n", namespace, "-l", "app=sgx-test")["items"]
    return ran, cluster.kubectl("logs", "-n", namespace, "job/sgx-test").splitlines()


def driver(cluster: Cluster, node: str) -> object:
    return cluster.get("node", node)["metadata"]["labels"].get("donjon.dev/driver")


def phase(cluster: Cluster, namespace: str, name: str) -> str:
    return str(cluster.get("pod", "-n", namespace, name)["status"]["phase"])


def test_the_faqs_job_runs_on_the_sgx_node_and_finds_its_device_at_both_paths(cluster: Cluster, namespace: str) -> None:
    ran, printed = run_the_job(cluster, namespace)
    assert ran["spec"]["nodeName"] in cluster.sgx_nodes
    assert ran["spec"]["containers"][0]["resources"]["limits"] == {EPC: "10Mi", ENCLAVE: "1"}
    assert set(BOTH_ENCLAVE_PATHS + NO_PROVISION_PATH) <= set(printed)


def test_a_pod_with_the_right_to_provision_sees_all_four_paths(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    cluster.kubectl("label", "namespace", namespace, "donjon.dev/provision=allowed")
    cluster.apply(pod("quotes", image=SGX_TEST_IMAGE, limits={EPC: "10Mi", PROVISION: "1"}), namespace=namespace)
    wait_for(lambda: phase(cluster, namespace, "quotes") == "Succeeded", what="the pod succeeds")
    printed = cluster.kubectl("logs", "-n", namespace, "quotes").splitlines()
    assert set(BOTH_ENCLAVE_PATHS + BOTH_PROVISION_PATHS) <= set(printed)


def test_a_quota_on_epc_counts_the_faqs_unit_in_bytes(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "epc"},
        "spec": {"hard": {f"requests.{EPC}": "15Mi"}},
    }
    cluster.apply(quota, namespace=namespace)
    wait_for(lambda: "hard" in cluster.get("resourcequota", "-n", namespace, "epc")["status"], what="the quota is in force")
    foreign = {"sgx.intel.com/sgx_epc_mem_in_MiB": "10"}
    cluster.apply(pod("first", "sleep", "60", image=ORDINARY_IMAGE, limits=foreign), namespace=namespace)

    def used() -> object:
        return cluster.get("resourcequota", "-n", namespace, "epc")["status"]["used"].get(f"requests.{EPC}")

    wait_for(lambda: used() == "10Mi", what="the quota counts 10Mi")
    second = pod("second", "sleep", "60", image=ORDINARY_IMAGE, limits=foreign)
    refused = cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(second), check=False)
    assert "exceeded quota" in refused


def test_an_ordinary_pod_runs_on_either_node(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    for node in cluster.node_names:
        ordinary = pod(f"on-{node}", "true", image=ORDINARY_IMAGE)
        ordinary["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
        cluster.apply(ordinary, namespace=namespace)
        wait_for(lambda node=node: phase(cluster, namespace, f"on-{node}") == "Succeeded", what=f"a pod runs on {node}")


def test_pods_fill_a_node_exactly_and_one_byte_more_stays_pending(cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    (node, *_others) = cluster.sgx_nodes
    total = int(cluster.get("node", node)["status"]["allocatable"][EPC])
    half = total // 2
    for name, amount in (("half", half), ("rest", total - half)):
        cluster.apply(_on(node, pod(name, "sleep", "600", image=ORDINARY_IMAGE, limits={EPC: str(amount)})), namespace=namespace)
        wait_for(lambda name=name: phase(cluster, namespace, name) == "Running", what=f"{name} runs")
    cluster.apply(_on(node, pod("byte", "true", image=ORDINARY_IMAGE, limits={EPC: "1"})), namespace=namespace)

    def said() -> str:
        conditions = cluster.get("pod", "-n", namespace, "byte")["status"].get("conditions", [])
        return " ".join(each.get("message", "") for each in conditions)

    wait_for(lambda: f"Insufficient {EPC}" in said(), what="the scheduler says Insufficient")
    assert phase(cluster, namespace, "byte") == "Pending"
    cluster.kubectl("delete", "pod", "-n", namespace, "half", "--force", "--grace-period=0")
    wait_for(lambda: phase(cluster, namespace, "byte") == "Succeeded", what="the byte fits when half is gone")


def _on(node: str, described: dict[str, Any]) -> dict[str, Any]:
    described["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    return described


def test_a_node_with_the_dcap_driver_alone_gives_the_same_paths(
    cluster: Cluster, testbed: Testbed, namespace: str, wait_for: Wait
) -> None:
    (node, *_others) = cluster.sgx_nodes
    agent = Agent(cluster, node)
    described = testbed.described(node)
    try:
        testbed.write_tree(node, replace(described, driver=DriverKind.DCAP))
        _start_again(cluster, agent, wait_for)
        wait_for(lambda: driver(cluster, node) == "dcap", what="the label dcap")
        _, printed = run_the_job(cluster, namespace)
        assert set(BOTH_ENCLAVE_PATHS + NO_PROVISION_PATH) <= set(printed)
        doctor = cluster.kubectl("exec", "-n", "donjon", agent.pod()["metadata"]["name"], "--", "donjon", "doctor")
        assert "dcap 1.33.2" in doctor
    finally:
        testbed.restore_tree(node)
        _start_again(cluster, agent, wait_for)
        wait_for(lambda: driver(cluster, node) == "in-tree", what="in-tree again")


def test_two_numa_nodes_add_up(cluster: Cluster, testbed: Testbed, namespace: str, wait_for: Wait) -> None:
    (node, *_others) = cluster.sgx_nodes
    agent = Agent(cluster, node)
    before = offered(cluster, node)[EPC]
    try:
        testbed.write_tree(node, replace(testbed.described(node), numa=2))
        _start_again(cluster, agent, wait_for)
        doctor = cluster.kubectl("exec", "-n", "donjon", agent.pod()["metadata"]["name"], "--", "donjon", "doctor")
        assert "node 0: 4Gi" in doctor
        assert "node 1: 4Gi" in doctor
        assert offered(cluster, node)[EPC] == before
        run_the_job(cluster, namespace)
    finally:
        testbed.restore_tree(node)
        _start_again(cluster, agent, wait_for)


def test_with_all_agents_stopped_ordinary_pods_run_and_enclave_pods_wait(
    cluster: Cluster, namespace: str, wait_for: Wait
) -> None:
    (node, *_others) = cluster.sgx_nodes
    agent, before = Agent(cluster, node), offered(cluster, node)[EPC]
    stop = {"spec": {"template": {"spec": {"nodeSelector": {"donjon.dev/nowhere": "true"}}}}}
    patch = ("patch", "daemonset", "-n", "donjon", "donjon-node", "-p")
    cluster.kubectl(*patch, json.dumps(stop))
    try:
        wait_for(lambda: agent.pod() is None, what="the agent is gone")
        wait_for(lambda: offered(cluster, node)[ENCLAVE][1] == "0", what="the kubelet takes its devices back")
        cluster.apply(_on(node, pod("ordinary", "true", image=ORDINARY_IMAGE)), namespace=namespace)
        cluster.apply(_on(node, pod("enclave", image=SGX_TEST_IMAGE, limits={EPC: "1Mi"})), namespace=namespace)
        wait_for(lambda: phase(cluster, namespace, "ordinary") == "Succeeded", what="the ordinary pod runs")
        assert phase(cluster, namespace, "enclave") == "Pending"
        assert offered(cluster, node)[EPC] == before, "a stopping agent takes no EPC away: a restart must not evict"
    finally:
        stop["spec"]["template"]["spec"]["nodeSelector"]["donjon.dev/nowhere"] = None  # type: ignore[assignment]  # JSON of the test's own.
        cluster.kubectl(*patch, json.dumps(stop))
    wait_for(lambda: phase(cluster, namespace, "enclave") == "Succeeded", what="the enclave pod runs when its agent is back")


def _start_again(cluster: Cluster, agent: Agent, wait_for: Wait) -> None:
    """A new pod for the agent: its mounts hold the folders of the old tree."""
    cluster.kubectl("delete", "pod", "-n", "donjon", agent.pod()["metadata"]["name"], "--wait=true")
    wait_for(agent.is_ready, what=f"the agent of {agent.node} is ready again")
