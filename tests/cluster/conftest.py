"""What every test on a real cluster shares: the cluster itself, kubectl, waiting with a deadline, and a namespace of one's own.

With DONJON_TEST_KUBECONFIG the tests use that cluster, for those who have one with real SGX. Otherwise they use the testbed of
this checkout: the one that is up, or one that they bring up and take down again.
"""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from testbed import clock, demo, processes
from testbed import cluster as testbed_cluster
from testbed import node as testbed_node
from testbed.layout import HOST_ROOT, Layout, Node, here
from testbed.trouble import Lacking
from tests.cluster.found import Found, look, put_back

from donjon.simulation import host

T = TypeVar("T")

ORDINARY_IMAGE = "donjon.dev/testbed/busybox:1"
SGX_TEST_IMAGE = "oeciteam/sgx-test:1.0"
LAST = "takes_the_testbed_down"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{LAST}: the test takes the whole testbed down, so it runs after all others.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker(LAST) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Testbed:
    """What only the testbed can do to its nodes."""

    __test__ = False

    layout: Layout
    found: Found | None  # as it was before the tests, if it was up

    @property
    def may_fall(self) -> bool:
        """Whether all that would be lost with the cluster is put back after the tests."""
        return self.found is None or not self.found.others or "DONJON_TESTBED_MAY_FALL" in os.environ

    def node(self, name: str) -> Node:
        return testbed_cluster.find(self.layout, name)

    def tree(self, name: str) -> Path:
        """The node's stand-in hardware, from outside."""
        return self.node(name).tree(self.layout)

    def plugins(self, name: str) -> Path:
        """The kubelet's device plugin folder, from outside."""
        return self.node(name).plugins(self.layout)

    def described(self, name: str) -> host.Host:
        """The host that the node pretends to be, to be varied with `dataclasses.replace` and given to `write_tree`."""
        return testbed_node.describe(self.layout, self.node(name))

    def write_tree(self, name: str, described: host.Host) -> None:
        host.write_host(self.tree(name), described)

    def restore_tree(self, name: str) -> None:
        testbed_node.write_tree(self.layout, self.node(name), anew=True)

    def remove_devices(self, name: str) -> None:
        host.remove_devices(self.tree(name))

    def return_devices(self, name: str) -> None:
        driver = self.described(name).driver
        assert driver is not None, f"{name} is an ordinary node"
        host.return_devices(self.tree(name), driver)

    def stop_kubelet(self, name: str) -> None:
        testbed_node.stop_kubelet(self.node(name))

    def start_kubelet(self, name: str) -> None:
        testbed_node.start_kubelet(self.layout, self.node(name))

    def restart_kubelet(self, name: str, *, wipe: bool = False) -> None:
        testbed_node.restart_kubelet(self.layout, self.node(name), wipe=wipe)

    def wipe_plugins(self, name: str) -> None:
        testbed_node.wipe_plugins(self.layout, self.node(name))

    def start_again(self) -> None:
        """Start every daemon that does not run."""
        testbed_cluster.up(self.layout, testbed_cluster.Wish())

    def kill(self, daemon: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a daemon by its name, `kubelet-sgx-1` or `kube-apiserver`."""
        processes.kill(daemon, number=number)

    def run_in(self, name: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in the node's mounts and network."""
        return testbed_node.run_in(self.node(name), *command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A real cluster: the testbed, or one that was given."""

    kubeconfig: Path
    program: str
    testbed: Testbed | None

    @property
    def host_root(self) -> str:
        """The chart's value `node.hostRoot`: where a node's hardware is to be looked for."""
        return "/" if self.testbed is None else str(HOST_ROOT)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl printed; with `check` off, its errors too."""
        done = subprocess.run(
            [self.program, "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if check and done.returncode != 0:
            pytest.fail(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}", pytrace=False)
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> Any:
        """The object or list that `kubectl get` tells."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *objects: object, namespace: str | None = None) -> None:
        """Create or change objects given as Python values."""
        where = () if namespace is None else ("-n", namespace)
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", *where, "-f", "-", stdin=json.dumps(listed))

    @property
    def node_names(self) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self.get("nodes")["items"])

    def ready(self, name: str) -> bool:
        """Whether the node is ready."""
        conditions = self.get("node", name)["status"]["conditions"]
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    @property
    def sgx_nodes(self) -> list[str]:
        """The nodes with SGX: the testbed knows them; elsewhere the label `sgx.intel.com/capable` tells."""
        selector = "sgx.intel.com/capable=true" if self.testbed is None else "testbed.donjon.dev/kind=sgx"
        return sorted(item["metadata"]["name"] for item in self.get("nodes", "-l", selector)["items"])

    @property
    def plain_nodes(self) -> list[str]:
        return sorted(set(self.node_names) - set(self.sgx_nodes))


def wait_until(asked: Callable[[], T], *, seconds: float = 30, what: str = "", every: float = 0.1) -> T:
    """The first answer that counts as true; none within the deadline is a failure that shows the last answer."""
    deadline = clock.now() + seconds
    while True:
        answer = asked()
        if answer:
            return answer
        if clock.now() > deadline:
            pytest.fail(f"{what or asked}: not within {seconds:g} s; the last answer was {answer!r}", pytrace=False)
        clock.pause(every)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster that the tests use."""
    given = os.environ.get("DONJON_TEST_KUBECONFIG")
    if given:
        yield Cluster(kubeconfig=Path(given), program="kubectl", testbed=None)
        return
    layout = here()
    was_up = testbed_cluster.lives(layout)
    try:
        if was_up:
            testbed_cluster.up(layout, testbed_cluster.Wish())
        own = Testbed(layout=layout, found=look(layout) if was_up else None)
        testbed_cluster.up(layout, testbed_cluster.Wish.parse(os.environ))
    except Lacking as error:
        pytest.skip(f"needs root, its packages and a Go module proxy: {error}")
    yield Cluster(kubeconfig=layout.kubeconfig, program=str(layout.program("kubectl")), testbed=own)
    if own.found is not None:
        put_back(layout, own.found)
    else:
        testbed_cluster.down(layout)


@pytest.fixture
def testbed(cluster: Cluster) -> Testbed:
    """The testbed's powers over its nodes, where the cluster is the testbed."""
    if cluster.testbed is None:
        pytest.skip("needs the testbed (its kubelets and stand-in hardware): DONJON_TEST_KUBECONFIG names another cluster")
    return cluster.testbed


@pytest.fixture
def kubectl(cluster: Cluster) -> Callable[..., str]:
    return cluster.kubectl


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    """`wait_for(asked, seconds=…, what="…")`: the first answer that counts as true."""
    return wait_until


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for one test, gone afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    found = f"service account of {name}"
    wait_until(lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-n", name), what=found)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
    # Not waiting for the grace period of pods that do not hear: nothing of theirs matters any more.
    cluster.kubectl("delete", "pods", "--all", "-n", name, "--force", "--grace-period=0", check=False)


@pytest.fixture(scope="session")
def donjon_installed(cluster: Cluster) -> None:
    """Donjon as it stands in this checkout, in the cluster; one that was given must have it already."""
    if cluster.testbed is None:
        cluster.kubectl("get", "daemonset", "-n", "donjon", "donjon-node")
        return
    demo.install(cluster.testbed.layout)
