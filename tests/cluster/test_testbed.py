"""The testbed keeps its own promises: a real cluster, hardware that can come and go, one a machine, and nothing left behind."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import cluster as testbed_cluster
from testbed import processes
from tests.cluster import elsewhere

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster, Testbed

ORDINARY_IMAGE = "donjon.dev/testbed/busybox:1"
SGX_TEST_IMAGE = "oeciteam/sgx-test:1.0"

Kubectl = Callable[..., str]


def pod(name: str, node: str, *command: str, image: str = ORDINARY_IMAGE, **labels: str) -> dict[str, Any]:
    container = {"name": "only", "image": image, **({"command": list(command)} if command else {})}
    spec = {"nodeName": node, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def phase(cluster: "Cluster", namespace: str, name: str) -> str:
    return str(cluster.get("pod", name, "-n", namespace)["status"].get("phase"))


def test_every_node_is_ready_with_kubernetes_1_36_and_containerd_2(cluster: "Cluster", testbed: "Testbed") -> None:
    assert testbed is not None
    for node in cluster.get("nodes")["items"]:
        info = node["status"]["nodeInfo"]
        assert info["kubeletVersion"].startswith("v1.36.")
        assert info["containerRuntimeVersion"].startswith("containerd://2.")
        assert {"type": "Ready", "status": "True"}.items() <= next(
            condition.items() for condition in node["status"]["conditions"] if condition["type"] == "Ready"
        )


def test_a_service_is_reached_from_its_own_node_and_from_another(
    cluster: "Cluster", testbed: "Testbed", namespace: str, wait_for: Callable[..., Any]
) -> None:
    assert testbed is not None
    server, *others = cluster.node_names
    serve = ("sh", "-c", "echo hello >/tmp/index.html; exec httpd -f -p 8080 -h /tmp")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    asking = [pod(f"asks-from-{node}", node, "sleep", "600") for node in (server, *others)]
    cluster.apply(pod("server", server, *serve, app="server"), service, *asking, namespace=namespace)
    address = cluster.get("service", "server", "-n", namespace)["spec"]["clusterIP"]
    for asker in asking:
        name = asker["metadata"]["name"]
        wait_for(lambda name=name: phase(cluster, namespace, name) == "Running", what=f"{name} runs")
        ask = ("exec", "-n", namespace, name, "--", "wget", "-q", "-O-", f"http://{address}/")
        wait_for(lambda ask=ask: "hello" in cluster.kubectl(*ask, check=False), what=f"{name} reaches the service", seconds=15)


def test_the_token_of_a_pod_names_its_node(
    cluster: "Cluster", testbed: "Testbed", namespace: str, wait_for: Callable[..., Any]
) -> None:
    assert testbed is not None
    (node, *_) = cluster.node_names
    show = ("cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
    cluster.apply(pod("token", node, *show), namespace=namespace)
    wait_for(lambda: phase(cluster, namespace, "token") == "Succeeded", what="the pod ended well")
    payload = cluster.kubectl("logs", "token", "-n", namespace).strip().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["kubernetes.io"]["node"]["name"] == node


def test_the_stand_in_for_the_faqs_image_says_so_and_fails_without_devices(
    cluster: "Cluster", testbed: "Testbed", namespace: str, wait_for: Callable[..., Any]
) -> None:
    assert testbed is not None
    cluster.apply(pod("stand-in", cluster.sgx_nodes[0], image=SGX_TEST_IMAGE), namespace=namespace)
    wait_for(lambda: phase(cluster, namespace, "stand-in") == "Failed", what="the stand-in found no device")
    said = cluster.kubectl("logs", "stand-in", "-n", namespace).splitlines()
    assert said[0] == "stand-in for oeciteam/sgx-test:1.0 (no real enclave here)"
    assert "/dev/sgx_enclave: absent" in said
    assert "/dev/sgx/provision: absent" in said


def test_the_stand_in_passes_where_both_enclave_paths_are_devices(
    cluster: "Cluster", testbed: "Testbed", namespace: str, wait_for: Callable[..., Any]
) -> None:
    assert testbed is not None
    given = pod("stand-in", cluster.sgx_nodes[0], image=SGX_TEST_IMAGE)
    device = {"path": f"{cluster.host_root}/dev/sgx_enclave", "type": "CharDevice"}
    given["spec"]["volumes"] = [{"name": "device", "hostPath": device}]
    given["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "device", "mountPath": path} for path in ("/dev/sgx_enclave", "/dev/sgx/enclave")
    ]
    cluster.apply(given, namespace=namespace)
    wait_for(lambda: phase(cluster, namespace, "stand-in") == "Succeeded", what="the stand-in found its devices")
    said = cluster.kubectl("logs", "stand-in", "-n", namespace).splitlines()
    assert said[1:3] == ["/dev/sgx_enclave: character device", "/dev/sgx/enclave: character device"]


def test_a_node_sees_its_own_hardware_at_the_path_that_all_nodes_share(cluster: "Cluster", testbed: "Testbed") -> None:
    for name in cluster.sgx_nodes:
        seen = testbed.run_in(name, "find", f"{cluster.host_root}/dev", "-type", "c").stdout
        assert "enclave" in seen or "isgx" in seen
    for name in cluster.plain_nodes:
        assert not testbed.run_in(name, "find", f"{cluster.host_root}/dev", "-type", "c").stdout


def test_devices_that_a_test_takes_away_are_gone_for_the_node_and_come_back(cluster: "Cluster", testbed: "Testbed") -> None:
    (name, *_) = cluster.sgx_nodes
    look = ("find", f"{cluster.host_root}/dev", "-type", "c")
    before = testbed.run_in(name, *look).stdout
    testbed.remove_devices(name)
    assert not testbed.run_in(name, *look).stdout
    testbed.return_devices(name)
    assert sorted(testbed.run_in(name, *look).stdout.split()) == sorted(before.split())


def _made(file: Path) -> tuple[int, int] | None:
    """Which file it is, if it is there: the number of one that is gone may be given to the next at once."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def test_a_restarted_kubelet_opens_its_plugin_socket_again(
    cluster: "Cluster", testbed: "Testbed", wait_for: Callable[..., Any]
) -> None:
    (name, *_) = cluster.sgx_nodes
    socket = testbed.plugins(name) / "kubelet.sock"
    before = _made(socket)
    testbed.restart_kubelet(name, wipe=True)
    wait_for(lambda: _made(socket) not in {before, None}, what="a new kubelet.sock", seconds=15)
    wait_for(lambda: cluster.ready(name), what=f"{name} is Ready again", seconds=30)


def test_a_stopped_kubelet_stays_stopped_until_it_is_started(cluster: "Cluster", testbed: "Testbed") -> None:
    (name, *_) = cluster.plain_nodes
    testbed.stop_kubelet(name)
    assert not processes.running(f"kubelet-{name}")
    testbed.start_kubelet(name)
    assert processes.running(f"kubelet-{name}")


def test_up_again_leaves_every_daemon_running(cluster: "Cluster", testbed: "Testbed") -> None:
    assert cluster.node_names
    before = {path.name: path.read_text() for path in processes.RECORDS.iterdir()}
    testbed_cluster.up(testbed.layout, testbed_cluster.Wish())
    assert {path.name: path.read_text() for path in processes.RECORDS.iterdir()} == before


def test_a_second_testbed_is_refused_with_the_folder_that_holds_the_first(
    cluster: "Cluster", testbed: "Testbed", tmp_path: Path
) -> None:
    assert cluster.node_names
    copy = elsewhere.copy(testbed.layout, tmp_path / "elsewhere")
    for command in ("up", "down"):
        refused = elsewhere.call(copy, command)
        assert refused.returncode == 1
        assert f"a testbed from {testbed.layout.checkout} is on this machine" in refused.stderr


def test_a_second_testbed_is_refused_also_while_the_first_is_still_coming_up(
    cluster: "Cluster", testbed: "Testbed", tmp_path: Path
) -> None:
    testbed_cluster.COMPLETE.unlink()
    try:
        refused = elsewhere.call(elsewhere.copy(testbed.layout, tmp_path / "elsewhere"), "up")
    finally:
        testbed_cluster.COMPLETE.touch()
    assert f"a testbed from {testbed.layout.checkout} is on this machine" in refused.stderr
    assert cluster.node_names
