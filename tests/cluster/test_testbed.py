"""The testbed keeps its own promises: a real cluster, hardware that can come and go, one a machine, and nothing left behind."""

import base64
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from testbed import clock, processes
from testbed import cluster as testbed_cluster
from testbed.leftovers import leftovers
from tests.cluster import found

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster, Testbed

ORDINARY_IMAGE = "donjon.dev/testbed/busybox:1"
SGX_TEST_IMAGE = "oeciteam/sgx-test:1.0"

WOULD_BE_LOST = (
    "the testbed would be taken down with what others put there (`make cluster-down` first, or DONJON_TESTBED_MAY_FALL=1)"
)

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
    wait_for(lambda: _ready(cluster, name), what=f"{name} is Ready again", seconds=30)


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
    copy = _copy(testbed, tmp_path / "elsewhere")
    for command in ("up", "down"):
        refused = _testbed(copy, command)
        assert refused.returncode == 1
        assert f"a testbed from {testbed.layout.checkout} is on this machine" in refused.stderr


def test_a_second_testbed_is_refused_also_while_the_first_is_still_coming_up(
    cluster: "Cluster", testbed: "Testbed", tmp_path: Path
) -> None:
    testbed_cluster.COMPLETE.unlink()
    try:
        refused = _testbed(_copy(testbed, tmp_path / "elsewhere"), "up")
    finally:
        testbed_cluster.COMPLETE.touch()
    assert f"a testbed from {testbed.layout.checkout} is on this machine" in refused.stderr
    assert cluster.node_names


@pytest.fixture
def alone(testbed: "Testbed") -> Iterator["Testbed"]:
    """The testbed, for tests that take it down; not where something would be lost that nobody here can put back."""
    if not testbed.may_fall:
        assert testbed.found is not None
        pytest.skip(f"{WOULD_BE_LOST}: {', '.join(testbed.found.others)}")
    yield testbed
    testbed_cluster.up(testbed.layout, testbed_cluster.Wish())


@pytest.mark.takes_the_testbed_down
@pytest.mark.parametrize("daemon", ["kubelet-sgx-1", "containerd-sgx-1", "kube-apiserver", "etcd"])
def test_up_starts_a_daemon_that_was_killed(cluster: "Cluster", alone: "Testbed", daemon: str) -> None:
    alone.kill(daemon, signal.SIGKILL)
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert processes.running(daemon)
    assert all(_ready(cluster, name) for name in cluster.node_names)


@pytest.mark.takes_the_testbed_down
def test_nodes_are_added_and_removed_while_the_others_stay(cluster: "Cluster", alone: "Testbed") -> None:
    kept = processes.recorded("kubelet-sgx-1")
    wish = testbed_cluster.Wish(sgx=2, plain=0, machines=("dc2ds-v3", "dc1s-v2"), drivers=("in-tree", "dcap"))
    testbed_cluster.up(alone.layout, wish)
    assert cluster.node_names == ["sgx-1", "sgx-2"]
    assert (alone.tree("sgx-2") / "dev/sgx/enclave").is_char_device()
    testbed_cluster.up(alone.layout, testbed_cluster.Wish(sgx=1, plain=1))
    assert cluster.node_names == ["plain-1", "sgx-1"]
    assert processes.recorded("kubelet-sgx-1") == kept


@pytest.mark.takes_the_testbed_down
def test_down_leaves_nothing_even_with_pods_running(cluster: "Cluster", alone: "Testbed") -> None:
    (name, *_) = cluster.node_names
    cluster.apply(pod("stays", name, "sleep", "600"), namespace="default")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=30s")
    testbed_cluster.down(alone.layout)
    assert leftovers() == []


@pytest.mark.takes_the_testbed_down
def test_it_is_ready_within_30_seconds_once_built(alone: "Testbed") -> None:
    testbed_cluster.down(alone.layout)
    began = clock.now()
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert clock.now() - began <= 30


@pytest.mark.takes_the_testbed_down
@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0, 6.0])
def test_down_leaves_nothing_after_an_up_that_was_killed_halfway(alone: "Testbed", seconds: float) -> None:
    testbed_cluster.down(alone.layout)
    began = subprocess.Popen([sys.executable, "-m", "testbed", "up"], cwd=alone.layout.checkout, stdout=subprocess.DEVNULL)
    clock.pause(seconds)
    began.kill()
    began.wait()
    testbed_cluster.down(alone.layout)
    assert leftovers() == []


@pytest.mark.takes_the_testbed_down
def test_up_after_an_up_that_was_killed_halfway_makes_a_whole_cluster(cluster: "Cluster", alone: "Testbed") -> None:
    testbed_cluster.down(alone.layout)
    began = subprocess.Popen([sys.executable, "-m", "testbed", "up"], cwd=alone.layout.checkout, stdout=subprocess.DEVNULL)
    clock.pause(3)
    began.kill()
    began.wait()
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert all(_ready(cluster, name) for name in cluster.node_names)


@pytest.mark.takes_the_testbed_down
def test_a_testbed_whose_folder_is_gone_is_taken_over(cluster: "Cluster", alone: "Testbed", tmp_path: Path) -> None:
    testbed_cluster.down(alone.layout)
    copy = _copy(alone, tmp_path / "elsewhere")
    first = _testbed(copy, "up")
    assert first.returncode == 0, first.stderr
    copy.rename(tmp_path / "moved")
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert testbed_cluster.owner() == alone.layout.checkout
    assert all(_ready(cluster, name) for name in cluster.node_names)


@pytest.mark.takes_the_testbed_down
def test_a_testbed_of_which_nothing_runs_any_more_is_taken_over(cluster: "Cluster", alone: "Testbed", tmp_path: Path) -> None:
    testbed_cluster.down(alone.layout)
    first = _testbed(_copy(alone, tmp_path / "elsewhere"), "up")
    assert first.returncode == 0, first.stderr
    processes.end(processes.ours(), number=signal.SIGKILL)
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert testbed_cluster.owner() == alone.layout.checkout
    assert all(_ready(cluster, name) for name in cluster.node_names)


@pytest.mark.takes_the_testbed_down
def test_what_make_up_leaves_is_put_back_after_tests_that_took_it_away(alone: "Testbed") -> None:
    made = subprocess.run(["make", "up"], cwd=alone.layout.checkout, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    before = found.look(alone.layout)
    assert (before.installed, before.job, before.others) == (True, True, ())
    testbed_cluster.down(alone.layout)
    found.put_back(alone.layout, before)
    assert found.look(alone.layout) == before


@pytest.mark.takes_the_testbed_down
def test_what_others_put_there_is_known_and_nothing_of_kubernetes_or_ours_is(cluster: "Cluster", alone: "Testbed") -> None:
    assert found.look(alone.layout).others == ()
    cluster.kubectl("create", "namespace", "of-somebody")
    assert found.look(alone.layout).others == ("namespace of-somebody",)
    cluster.kubectl("delete", "namespace", "of-somebody")


@pytest.mark.takes_the_testbed_down
def test_down_leaves_nothing_after_daemons_were_killed(alone: "Testbed") -> None:
    for path in list(processes.RECORDS.iterdir()):
        alone.kill(path.stem, signal.SIGKILL)
    testbed_cluster.down(alone.layout)
    assert leftovers() == []


def _ready(cluster: "Cluster", name: str) -> bool:
    conditions = cluster.get("node", name)["status"]["conditions"]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _copy(testbed: "Testbed", folder: Path) -> Path:
    """Another checkout: the testbed's sources and the part of Donjon that they use."""
    leave = shutil.ignore_patterns("state", "bin", "__pycache__")
    shutil.copytree(testbed.layout.folder, folder / "testbed", ignore=leave)
    return folder


def _testbed(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "testbed", command], cwd=folder, capture_output=True, text=True, check=False)
