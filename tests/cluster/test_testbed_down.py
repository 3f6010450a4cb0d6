"""What takes the whole testbed down: ups and downs, killed halfway or taken over. Runs after all others."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from testbed import clock, processes
from testbed import cluster as testbed_cluster
from testbed.leftovers import leftovers
from tests.cluster import elsewhere, found
from tests.cluster.test_testbed import pod

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster, Testbed

pytestmark = pytest.mark.takes_the_testbed_down

WOULD_BE_LOST = (
    "the testbed would be taken down with what others put there (`make cluster-down` first, or DONJON_TESTBED_MAY_FALL=1)"
)


@pytest.fixture
def alone(testbed: "Testbed") -> Iterator["Testbed"]:
    """The testbed, for tests that take it down; not where something would be lost that nobody here can put back."""
    if not testbed.may_fall:
        assert testbed.found is not None
        pytest.skip(f"{WOULD_BE_LOST}: {', '.join(testbed.found.others)}")
    yield testbed
    testbed_cluster.up(testbed.layout, testbed_cluster.Wish())


@pytest.mark.parametrize("daemon", ["kubelet-sgx-1", "containerd-sgx-1", "kube-apiserver", "etcd"])
def test_up_starts_a_daemon_that_was_killed(cluster: "Cluster", alone: "Testbed", daemon: str) -> None:
    alone.kill(daemon, signal.SIGKILL)
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert processes.running(daemon)
    assert all(cluster.ready(name) for name in cluster.node_names)


def test_nodes_are_added_and_removed_while_the_others_stay(cluster: "Cluster", alone: "Testbed") -> None:
    kept = processes.recorded("kubelet-sgx-1")
    wish = testbed_cluster.Wish(sgx=2, plain=0, machines=("dc2ds-v3", "dc1s-v2"), drivers=("in-tree", "dcap"))
    testbed_cluster.up(alone.layout, wish)
    assert cluster.node_names == ["sgx-1", "sgx-2"]
    assert (alone.tree("sgx-2") / "dev/sgx/enclave").is_char_device()
    testbed_cluster.up(alone.layout, testbed_cluster.Wish(sgx=1, plain=1))
    assert cluster.node_names == ["plain-1", "sgx-1"]
    assert processes.recorded("kubelet-sgx-1") == kept


def test_down_leaves_nothing_even_with_pods_running(cluster: "Cluster", alone: "Testbed") -> None:
    (name, *_) = cluster.node_names
    cluster.apply(pod("stays", name, "sleep", "600"), namespace="default")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=30s")
    testbed_cluster.down(alone.layout)
    assert leftovers() == []


def test_it_is_ready_within_30_seconds_once_built(alone: "Testbed") -> None:
    testbed_cluster.down(alone.layout)
    began = clock.now()
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert clock.now() - began <= 30


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0, 6.0])
def test_down_leaves_nothing_after_an_up_that_was_killed_halfway(alone: "Testbed", seconds: float) -> None:
    testbed_cluster.down(alone.layout)
    began = subprocess.Popen([sys.executable, "-m", "testbed", "up"], cwd=alone.layout.checkout, stdout=subprocess.DEVNULL)
    clock.pause(seconds)
    began.kill()
    began.wait()
    testbed_cluster.down(alone.layout)
    assert leftovers() == []


def test_up_after_an_up_that_was_killed_halfway_makes_a_whole_cluster(cluster: "Cluster", alone: "Testbed") -> None:
    testbed_cluster.down(alone.layout)
    began = subprocess.Popen([sys.executable, "-m", "testbed", "up"], cwd=alone.layout.checkout, stdout=subprocess.DEVNULL)
    clock.pause(3)
    began.kill()
    began.wait()
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert all(cluster.ready(name) for name in cluster.node_names)


def test_a_testbed_whose_folder_is_gone_is_taken_over(cluster: "Cluster", alone: "Testbed", tmp_path: Path) -> None:
    testbed_cluster.down(alone.layout)
    copy = elsewhere.copy(alone.layout, tmp_path / "elsewhere")
    first = elsewhere.call(copy, "up")
    assert first.returncode == 0, first.stderr
    copy.rename(tmp_path / "moved")
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert testbed_cluster.owner() == alone.layout.checkout
    assert all(cluster.ready(name) for name in cluster.node_names)


def test_a_testbed_of_which_nothing_runs_any_more_is_taken_over(cluster: "Cluster", alone: "Testbed", tmp_path: Path) -> None:
    testbed_cluster.down(alone.layout)
    first = elsewhere.call(elsewhere.copy(alone.layout, tmp_path / "elsewhere"), "up")
    assert first.returncode == 0, first.stderr
    processes.end(processes.ours(), number=signal.SIGKILL)
    testbed_cluster.up(alone.layout, testbed_cluster.Wish())
    assert testbed_cluster.owner() == alone.layout.checkout
    assert all(cluster.ready(name) for name in cluster.node_names)


def test_what_make_up_leaves_is_put_back_after_tests_that_took_it_away(alone: "Testbed") -> None:
    made = subprocess.run(["make", "up"], cwd=alone.layout.checkout, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    before = found.look(alone.layout)
    assert (before.installed, before.job, before.others) == (True, True, ())
    testbed_cluster.down(alone.layout)
    found.put_back(alone.layout, before)
    assert found.look(alone.layout) == before


def test_what_others_put_there_is_known_and_nothing_of_kubernetes_or_ours_is(cluster: "Cluster", alone: "Testbed") -> None:
    assert found.look(alone.layout).others == ()
    cluster.kubectl("create", "namespace", "of-somebody")
    assert found.look(alone.layout).others == ("namespace of-somebody",)
    cluster.kubectl("delete", "namespace", "of-somebody")


def test_down_leaves_nothing_after_daemons_were_killed(alone: "Testbed") -> None:
    for path in list(processes.RECORDS.iterdir()):
        alone.kill(path.stem, signal.SIGKILL)
    testbed_cluster.down(alone.layout)
    assert leftovers() == []


def test_it_goes_by_make_cluster_down(alone: "Testbed") -> None:
    for command, code in (("make cluster-down", 0), (f"{sys.executable} -m testbed status", 1)):
        done = subprocess.run(
            ["bash", "-c", command], cwd=alone.layout.checkout, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == code, done.stdout + done.stderr
    assert "held by: nobody" in done.stdout
