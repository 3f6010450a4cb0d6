"""Whatever happens to kubelet, node object, devices or agent: within five seconds everything is right again."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.agents import ENCLAVE, EPC, NAMESPACE, PROVISION, Agent, condition, offered, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster, Testbed
from tests.cluster.test_status import status

pytestmark = pytest.mark.usefixtures("donjon_installed")

PROMISED = 5.0  # seconds
STATUS_LOOP = 2.0  # seconds between two looks of the testbed's kubelets at their devices; 10 elsewhere
RESTARTS = 20

Wait = Callable[..., Any]


@pytest.fixture
def agent(cluster: Cluster, testbed: Testbed, wait_for: Wait) -> Agent:
    """The agent of an SGX node that says all that it should."""
    del testbed
    found = Agent(cluster, cluster.sgx_nodes[0])
    wait_for(lambda: found.is_ready() and is_right(cluster, found.node), what="the node is right before the test")
    return found


def is_right(cluster: Cluster, node: str) -> bool:
    said = offered(cluster, node)
    epc = said[EPC]
    return epc[0] == epc[1] == str(8 << 30) and said[ENCLAVE] == said[PROVISION] == ("110", "110")


def test_registered_again_after_each_of_twenty_kubelet_restarts(
    agent: Agent, cluster: Cluster, testbed: Testbed, wait_for: Wait
) -> None:
    for restart in range(RESTARTS):
        before = agent.registrations()
        testbed.restart_kubelet(agent.node)
        wait_for(
            lambda before=before: agent.registrations() > before,
            seconds=PROMISED,
            what=f"restart {restart + 1}: registered again",
        )
        wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED, what=f"restart {restart + 1}: the node is right")


def test_registered_again_when_sockets_are_wiped_under_a_restarting_kubelet(
    agent: Agent, testbed: Testbed, wait_for: Wait
) -> None:
    before = agent.registrations()
    testbed.restart_kubelet(agent.node, wipe=True)
    wait_for(lambda: agent.registrations() > before, seconds=PROMISED, what="registered again")


@pytest.mark.parametrize("value", ["1", "0", None])
def test_epc_is_written_again_when_another_hand_changes_it(
    agent: Agent, cluster: Cluster, wait_for: Wait, value: str | None
) -> None:
    patch = json.dumps({"status": {field: {EPC: value} for field in ("capacity", "allocatable")}})
    cluster.kubectl("patch", "node", agent.node, "--subresource=status", "--type=merge", "-p", patch)
    wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED, what="EPC is right again")


def test_a_label_that_was_taken_away_comes_back(agent: Agent, cluster: Cluster, wait_for: Wait) -> None:
    cluster.kubectl("label", "node", agent.node, "sgx.intel.com/capable-", "donjon.dev/sgx=9", "--overwrite")

    def labels() -> tuple[str | None, str | None]:
        found = cluster.get("node", agent.node)["metadata"]["labels"]
        return found.get("sgx.intel.com/capable"), found.get("donjon.dev/sgx")

    wait_for(lambda: labels() == ("true", "2"), seconds=PROMISED, what="labels are right again")


def test_devices_that_go_are_withdrawn_and_offered_again_when_they_return(
    agent: Agent, cluster: Cluster, testbed: Testbed, wait_for: Wait
) -> None:
    def nothing() -> bool:
        said = offered(cluster, agent.node)
        return (
            said[EPC] == ("0", "0")
            and said[ENCLAVE][1] == said[PROVISION][1] == "0"
            and condition(cluster, agent.node) == "False"
        )

    testbed.remove_devices(agent.node)
    try:
        wait_for(nothing, seconds=PROMISED + STATUS_LOOP, what="nothing is offered")
    finally:
        testbed.return_devices(agent.node)
    wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED + STATUS_LOOP, what="all is offered again")
    assert condition(cluster, agent.node) == "True"
    reasons = [
        event["reason"]
        for event in cluster.get("events", "-n", "default", "--field-selector", f"involvedObject.name={agent.node}")["items"]
    ]
    assert {"SGXReady", "SGXNotReady"} <= set(reasons)


def test_an_agent_that_is_killed_is_back(agent: Agent, cluster: Cluster, testbed: Testbed, wait_for: Wait) -> None:
    del testbed
    container = agent.pod()["status"]["containerStatuses"][0]["containerID"]
    cluster.kubectl("exec", "-n", NAMESPACE, agent.pod()["metadata"]["name"], "--", "donjon", "--version")
    _kill_container(container)

    def another() -> bool:
        found = (agent.pod() or {"status": {}})["status"].get("containerStatuses", [{}])[0]
        return found.get("containerID") != container and found.get("ready", False) and agent.registrations() >= 1

    wait_for(another, seconds=PROMISED + STATUS_LOOP, what="a new agent has registered")
    wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED + STATUS_LOOP, what="the node is right")


def _kill_container(container: str) -> None:
    """Kill the first process of the container, found by its cgroup."""
    identity = container.removeprefix("containerd://")
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and identity in _text(folder / "cgroup"):
            os.kill(int(folder.name), signal.SIGKILL)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_a_deleted_node_object_is_right_again_after_the_kubelet_registered_it(
    agent: Agent, cluster: Cluster, testbed: Testbed, wait_for: Wait
) -> None:
    kind = cluster.get("node", agent.node)["metadata"]["labels"]["testbed.donjon.dev/kind"]
    cluster.kubectl("delete", "node", agent.node, "--wait=true")
    testbed.restart_kubelet(agent.node)
    wait_for(lambda: agent.node in cluster.node_names, seconds=30, what="the kubelet registers its node")
    cluster.kubectl("label", "node", agent.node, f"testbed.donjon.dev/kind={kind}")
    wait_for(lambda: offered(cluster, agent.node)[EPC] == (str(8 << 30),) * 2, seconds=PROMISED, what="EPC is right")
    wait_for(agent.is_ready, what="an agent runs on the new node")
    wait_for(lambda: is_right(cluster, agent.node), what="the node is right")


def test_an_api_server_that_was_away_finds_everything_right(
    agent: Agent, cluster: Cluster, testbed: Testbed, wait_for: Wait
) -> None:
    restarts = agent.pod()["status"]["containerStatuses"][0]["restartCount"]
    testbed.kill("kube-apiserver")
    testbed.start_again()
    wait_for(lambda: "ok" in cluster.kubectl("get", "--raw", "/readyz", check=False), seconds=30, what="the API server is back")
    patch = json.dumps({"status": {field: {EPC: "7"} for field in ("capacity", "allocatable")}})
    cluster.kubectl("patch", "node", agent.node, "--subresource=status", "--type=merge", "-p", patch)
    wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED, what="EPC is right again")
    assert agent.pod()["status"]["containerStatuses"][0]["restartCount"] == restarts


def test_a_plugin_folder_that_was_deleted_and_made_again_is_found(
    agent: Agent, cluster: Cluster, testbed: Testbed, wait_for: Wait
) -> None:
    testbed.stop_kubelet(agent.node)
    testbed.run_in(agent.node, "rm", "-rf", "/var/lib/kubelet/device-plugins")
    testbed.start_kubelet(agent.node)
    # What is promised begins when the kubelet is back, which takes long where many start at once.
    wait_for((testbed.plugins(agent.node) / "kubelet.sock").exists, seconds=30, what="the kubelet is back")
    socket = testbed.plugins(agent.node) / "donjon-enclave.sock"
    wait_for(socket.exists, seconds=PROMISED + 2, what="the agent serves in the new folder")
    wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED + STATUS_LOOP, what="the node is right")


def test_an_emptied_plugin_folder_is_told_with_its_mend_and_that_mends_it(
    agent: Agent, cluster: Cluster, testbed: Testbed, wait_for: Wait
) -> None:
    testbed.run_in(agent.node, "sh", "-c", "rm -rf /var/lib/kubelet/device-plugins/*")
    wait_for(
        lambda: condition(cluster, agent.node) == "False", seconds=30 + PROMISED, what="the node says that it takes no enclave"
    )
    wait_for(lambda: not agent.is_ready(), seconds=60, what="the agent is not ready")
    assert offered(cluster, agent.node)[EPC] == (str(8 << 30),) * 2, "a kubelet that starts ends pods whose EPC is not offered"
    assert agent.metrics()["donjon_node_ready{}"] == 0
    code, document = status(cluster)
    said = {each["code"]: each["found"] for each in document["findings"]}
    assert code == 1
    assert all("no kubelet.sock in /var/lib/kubelet/device-plugins" in said[each] for each in ("DJ174", "DJ179"))
    assert all("restart the kubelet of this node" in said[each] for each in ("DJ174", "DJ179"))
    testbed.restart_kubelet(agent.node)
    wait_for(lambda: is_right(cluster, agent.node), seconds=PROMISED + STATUS_LOOP, what="the node is right")
    wait_for(lambda: agent.is_ready() and condition(cluster, agent.node) == "True", what="the agent is ready")


def test_a_pod_that_runs_without_its_device_is_found_within_ten_seconds(
    cluster: Cluster, testbed: Testbed, namespace: str, wait_for: Wait
) -> None:
    del testbed
    (node, *_others) = cluster.plain_nodes
    agent = Agent(cluster, node)
    wait_for(agent.is_ready, what="the agent of the ordinary node is ready")
    bindings = cluster.kubectl("get", "validatingadmissionpolicybindings", "-o", "name").split()
    (refuse,) = [name for name in bindings if name.endswith("-refuse")]
    saved = cluster.get(refuse)
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        saved["metadata"].pop(field, None)
    bypassing = pod("bypassing", "sleep", "600", image=ORDINARY_IMAGE, limits={EPC: "1Mi"})
    bypassing["spec"]["nodeName"] = node
    cluster.kubectl("delete", refuse)
    try:
        create = ("create", "-n", namespace, "-f", "-")
        wait_for(
            lambda: "created" in cluster.kubectl(*create, stdin=json.dumps(bypassing), check=False), what="nobody refuses it"
        )
    finally:
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(saved))
    wait_for(lambda: cluster.get("pod", "-n", namespace, "bypassing")["status"]["phase"] == "Running", what="it runs")

    def told() -> bool:
        events = cluster.get("events", "-n", namespace, "--field-selector", "reason=RunsWithoutDevice")["items"]
        return any("DJ020" in event["message"] for event in events)

    wait_for(told, seconds=10, what="an Event on the pod")
    assert agent.metrics()["donjon_node_containers_without_device{}"] == 1
    assert any("without its device" in line["event"] for line in agent.logs())
