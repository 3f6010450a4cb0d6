"""Pods that an ordinary user makes as large as the API server takes them: the agent lives, and its node serves enclaves."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testbed import clock
from tests.cluster.agents import EPC, Agent, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster, Testbed
from tests.cluster.test_back_to_truth import PROMISED, STATUS_LOOP, _kill_container, is_right

from donjon.services.node.truth import CHECK_EVERY

pytestmark = pytest.mark.usefixtures("donjon_installed")

Wait = Callable[..., Any]
LARGE = 205_000  # variables: 2.7 MB, the most that the API server takes
OF_THE_FIFTY, LONG = 100, "x" * 4_000  # 0.4 MB of JSON in few values, over which the API server itself takes no longer


@pytest.fixture
def agent(cluster: Cluster, testbed: Testbed, wait_for: Wait) -> Iterator[Agent]:
    """The agent of an SGX node; never killed for its memory, whatever the test does."""
    del testbed
    known = Agent(cluster, cluster.sgx_nodes[0])
    wait_for(lambda: known.is_ready() and is_right(cluster, known.node), what="the node is right before the test")
    yield known
    assert ended(known) != "OOMKilled"


def ended(agent: Agent) -> str | None:
    """Why the agent's last container ended, where one did."""
    (status,) = agent.pod()["status"]["containerStatuses"]
    reason: str | None = status.get("lastState", {}).get("terminated", {}).get("reason")
    return reason


def restarts(agent: Agent) -> int:
    return int(agent.pod()["status"]["containerStatuses"][0]["restartCount"])


def large(name: str, node: str, variables: list[dict[str, str]]) -> dict[str, Any]:
    """A pod that asks for nothing of SGX, on a node of its author's choice; its image is none, so that it stays as it is."""
    made = pod(name, image="nowhere.invalid/none:1")
    made["spec"] |= {"nodeName": node}
    (container,) = made["spec"]["containers"]
    container |= {"imagePullPolicy": "Never", "env": variables}
    return made


def create(cluster: Cluster, namespace: str, made: dict[str, Any]) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(made, separators=(",", ":")))


def fifty(cluster: Cluster, namespace: str, node: str) -> None:
    """Fifty of them by one object, as whoever wants many makes them."""
    made = large("large", node, [{"name": f"A{number}", "value": LONG} for number in range(OF_THE_FIFTY)])
    template = {"metadata": {"labels": {"app": "large"}}, "spec": made["spec"] | {"restartPolicy": "Always"}}
    spec = {"replicas": 50, "selector": {"matchLabels": {"app": "large"}}, "template": template}
    create(cluster, namespace, {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "large"}, "spec": spec})


def killed(agent: Agent, wait_for: Wait) -> None:
    """The agent is killed, and its next start sees all that is there already."""
    container = agent.pod()["status"]["containerStatuses"][0]["containerID"]
    _kill_container(container)

    def another() -> bool:
        (status,) = agent.pod()["status"].get("containerStatuses", [{}])
        return status.get("containerID") != container and status.get("ready", False) and agent.registrations() >= 1

    wait_for(another, seconds=60, what="a new agent has registered")


def runs_an_enclave(cluster: Cluster, namespace: str, node: str, wait_for: Wait) -> None:
    """An honest pod comes there, and has its device."""
    honest = pod("honest", "sh", "-c", "test -c /dev/sgx_enclave", image=ORDINARY_IMAGE, limits={EPC: "1Mi"})
    honest["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    cluster.apply(honest, namespace=namespace)

    def phase() -> bool:
        return bool(cluster.get("pod", "honest", "-n", namespace)["status"].get("phase") == "Succeeded")

    wait_for(phase, seconds=60, what="the honest pod had its device")


def test_the_largest_pods_there_can_be_harm_neither_a_running_agent_nor_its_next_start(
    agent: Agent, cluster: Cluster, namespace: str, wait_for: Wait
) -> None:
    before = restarts(agent)
    for name in ("one", "two"):
        create(cluster, namespace, large(name, agent.node, [{"name": "A"}] * LARGE))
    wait_for(
        lambda: agent.metrics().get("donjon_node_pods_too_large{}") == 2, seconds=60, what="the agent tells that it reads neither"
    )
    assert restarts(agent) == before
    killed(agent, wait_for)
    wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED + STATUS_LOOP, what="the node is right")
    wait_for(lambda: agent.metrics().get("donjon_node_pods_too_large{}") == 2, seconds=60, what="the new agent tells them, too")
    runs_an_enclave(cluster, namespace, agent.node, wait_for)
    assert any("DJ022" in line.get("finding", "") for line in agent.logs())


def test_fifty_large_pods_at_once_do_no_harm_either(agent: Agent, cluster: Cluster, namespace: str, wait_for: Wait) -> None:
    fifty(cluster, namespace, agent.node)
    wait_for(lambda: agent.metrics().get("donjon_node_pods_too_large{}") == 50, seconds=120, what="the agent tells them all")
    for _ in range(2):
        killed(agent, wait_for)
        wait_for(lambda: is_right(cluster, agent.node), seconds=60, what="the node is right")
    runs_an_enclave(cluster, namespace, agent.node, wait_for)
    cluster.kubectl("delete", "replicaset", "large", "-n", namespace, "--cascade=orphan")
    cluster.kubectl("delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0")
    wait_for(lambda: agent.metrics().get("donjon_node_pods_too_large{}") == 0, seconds=60, what="nothing of them is left")
    assert agent.metrics()["process_resident_memory_bytes{}"] < 96 << 20


def test_the_kubelets_lost_account_is_told_as_that(
    agent: Agent, cluster: Cluster, testbed: Testbed, namespace: str, wait_for: Wait
) -> None:
    holds = pod("holds", "sleep", "600", image=ORDINARY_IMAGE, limits={EPC: "1Mi"})
    holds["spec"]["nodeSelector"] = {"kubernetes.io/hostname": agent.node}
    in_use = 'donjon_node_devices_in_use{resource="sgx.intel.com/enclave"}'
    wait_for(lambda: agent.metrics().get(in_use, 0) == 0, seconds=60, what="the agent counts the pods of other tests no more")
    cluster.apply(holds, namespace=namespace)
    phase = ("get", "pod", "-n", namespace, "holds", "-o", "jsonpath={.status.phase}")
    wait_for(lambda: cluster.kubectl(*phase) == "Running", seconds=60, what="the pod runs")
    wait_for(lambda: agent.metrics().get(in_use, 0) >= 1, seconds=60, what="the agent saw its device in the kubelet's account")
    clock.pause(2 * CHECK_EVERY)  # The account has a device before the container runs; the agent must have seen both together.
    testbed.restart_kubelet(agent.node, wipe=True)

    def told() -> bool:
        events = cluster.get("events", "-n", namespace, "--field-selector", "reason=DeviceNotAccounted")["items"]
        return any("DJ023" in event["message"] and "the enclave runs on" in event["message"] for event in events)

    wait_for(told, seconds=40, what="an Event says that the account is lost")
    assert "No resources" in cluster.kubectl(
        "get", "events", "-n", namespace, "--field-selector", "reason=RunsWithoutDevice", check=False
    )
    cluster.kubectl("exec", "-n", namespace, "holds", "--", "test", "-c", "/dev/sgx_enclave")
    cluster.kubectl("delete", "pod", "-n", namespace, "holds", "--force", "--grace-period=0")
    wait_for(lambda: is_right(cluster, agent.node), seconds=30, what="the node is right")
