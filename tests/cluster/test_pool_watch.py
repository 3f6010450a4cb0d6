"""`donjon plan --watch` beside Kubernetes' own scheduler: it proposes, the test makes the nodes, the scheduler has the word."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from testbed import clock
from tests import pages
from tests.pages import Terminal
from tests.scheduler.judge import NODES, PODS, fill, settled
from tests.scheduler.plane import Plane, plane
from tests.scheduler.worlds import world

from donjon.adapters.cluster.client import open_cluster
from donjon.adapters.cluster.machines import MachineDeployments
from donjon.errors import Unavailable
from donjon.fleet.pools.forms import kubernetes
from donjon.fleet.pools.plan import FleetPlan, PoolScale
from donjon.fleet.pools.reading import read_plan
from donjon.fleet.scaling.look import decide
from donjon.fleet.scaling.record import ScalePool, ScalingRules, ScalingVerb
from donjon.fleet.scaling.templates import after_node
from donjon.fleet.scaling.world import ScalingScene
from donjon.kube.objects import name_of, node_name_of
from donjon.kube.selection import UNKNOWN_VALUE

EPC, ENCLAVE, POOL = "sgx.intel.com/epc", "sgx.intel.com/enclave", "agentpool"
MI = 1 << 20
ANSWER_WITHIN, QUIET = 30.0, 3.0
PLAN = {
    "cluster": {"cloud": "azure", "name": "vaults", "resource_group": "g", "region": "westeurope", "quota": 40},
    "pools": [{"name": "sgx1", "size": "Standard_DC4s_v3", "count": 1, "scale": {"min": 0, "max": 8}}],
}
WORLDS = range(700, 740)
FALSE_PROMISES = 1 / 10
"""Of pods for whom a pool grew: 3 of 69 were left for the next step. The scheduler's order is its own, and a zone its cloud's."""


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane(tmp_path_factory.mktemp("plane")) as here:
        yield here


@pytest.fixture
def empty(control_plane: Plane) -> Iterator[Plane]:
    yield control_plane
    for path in (PODS, NODES):
        control_plane.call("DELETE", path, {"gracePeriodSeconds": 0, "kind": "DeleteOptions", "apiVersion": "v1"})


def node(name: str, *, ready: bool = True, epc: bool = True) -> dict[str, Any]:
    amounts = {"cpu": "4", "memory": "16Gi", "pods": "110"}
    amounts |= {EPC: str(128 * MI), ENCLAVE: "110"} if epc else {}
    labels = {"kubernetes.io/hostname": name, POOL: "sgx1"}
    moment = "2026-11-28T20:00:00Z"
    state = {"type": "Ready", "status": "True" if ready else "False", "reason": "x", "message": "x"}
    status = {
        "capacity": amounts,
        "allocatable": amounts,
        "conditions": [state | {"lastHeartbeatTime": moment, "lastTransitionTime": moment}],
    }
    taints = [] if ready else [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}, "status": status}


def pod(name: str) -> dict[str, Any]:
    resources = {"limits": {EPC: "100Mi", ENCLAVE: "1"}}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
    }


class Watch:
    """The command, and the lines that it prints."""

    def __init__(self, folder: Path, plane: Plane, plan: Any = PLAN, *more: str) -> None:
        (folder / "pools.yaml").write_text(json.dumps(plan))
        words = [sys.executable, "-m", "donjon", "plan", "--watch", "pools.yaml", "--every", "1s", "--output", "json", *more]
        environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
        self.program = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        self.lines: Queue[str] = Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.program.stdout is not None
        with self.program.stdout as lines:
            for line in lines:
                self.lines.put(line)

    def next(self, seconds: float = ANSWER_WITHIN) -> Any:
        return json.loads(self.lines.get(timeout=seconds))

    def steps(self, seconds: float = QUIET) -> list[Any]:
        """Those that still come, until it is quiet, without holds."""
        lines: list[Any] = []
        try:
            while True:
                lines.append(self.next(seconds))
        except Empty:
            return [each for each in lines if each["step"] != "hold"]

    def end(self) -> int:
        self.program.send_signal(signal.SIGINT)
        code = self.program.wait(30)
        self.thread.join()
        return code


def test_what_it_proposes_is_what_the_scheduler_needed(empty: Plane, tmp_path: Path) -> None:
    fill(empty, [node("n1")], [pod(f"p{index}") for index in range(5)])
    settled(empty)
    watch = Watch(tmp_path, empty)
    try:
        step = watch.next()
        assert (step["step"], step["pool"], step["before"], step["after"]) == ("grow", "sgx1", 1, 5)
        assert len(step["pods"]) == 4
        fill(empty, [node(f"n{index}", ready=False, epc=False) for index in range(2, 6)], [])
        assert watch.steps() == []
        for index in range(2, 6):
            whole = node(f"n{index}")
            path = f"{NODES}/n{index}"
            empty.call("PATCH", path, {"spec": {"taints": None}}, "application/merge-patch+json")
            empty.call("PATCH", f"{path}/status", {"status": whole["status"]}, "application/merge-patch+json")
        assert all(node_name_of(each) for each in settled(empty))
        assert watch.steps() == []
    finally:
        assert watch.end() == 0


def test_whom_a_pool_grows_for_the_scheduler_gives_a_node(empty: Plane) -> None:
    """Random clusters: their nodes with EPC are a pool, which grows as proposed; whom it grew for must then have a node."""
    promises, grown, broken = 0, 0, list[str]()
    for number in WORLDS:
        nodes, pods = world(number)
        fill(empty, nodes, pods)
        settled(empty)
        everything = ScalingScene(pools=(), nodes=_all(empty, NODES), pods=_all(empty, PODS))
        own = tuple(each for each in everything.nodes if each["status"]["allocatable"].get(EPC))  # type: ignore[call-overload,index,union-attr] # As Kubernetes writes it.
        pool = ScalePool(name="sgx1", scale=PoolScale(least=0, most=40), nodes=own, template=after_node(own, ()))
        scene = ScalingScene(pools=(pool,), nodes=everything.nodes, pods=everything.pods)
        decision = decide(scene, {}, datetime(2026, 11, 30, 10, tzinfo=UTC), ScalingRules())
        steps = [each for each in decision.steps if each.verb is ScalingVerb.GROW]
        for step in steps:
            assert pool.template is not None
            names = [f"w{number}-new-{index}" for index in range(step.after - step.before)]
            new: list[Any] = [pool.template.as_node(name) for name in names]
            for index, each in enumerate(new):
                each["status"]["capacity"] = each["status"]["allocatable"]
                labels = each["metadata"]["labels"]
                each["metadata"]["labels"] = {
                    key: _zone(value, pool.template.zones, number + index) for key, value in labels.items()
                }
            fill(empty, new, [])
            happy = {f"default/{name_of(each)}" for each in settled(empty) if node_name_of(each)}
            broken += sorted(set(step.pods) - happy)
            promises, grown = promises + len(step.pods), grown + 1
        for path in (PODS, NODES):
            empty.call("DELETE", path, {"gracePeriodSeconds": 0, "kind": "DeleteOptions", "apiVersion": "v1"})
    assert grown >= 5
    assert promises >= 40
    assert len(broken) <= promises * FALSE_PROMISES, broken


def _zone(value: str, zones: Sequence[str], number: int) -> str:
    """What the cloud makes of a zone that nobody could know before: one of those that the pool has."""
    return zones[number % len(zones)] if value == UNKNOWN_VALUE else value


def _all(plane: Plane, path: str) -> tuple[Any, ...]:
    return tuple(plane.call("GET", path)["items"])


def test_the_page_on_watching_runs_as_it_stands(empty: Plane, tmp_path: Path) -> None:
    (tmp_path / "pools.yaml").write_text(json.dumps(PLAN))
    fill(empty, [node("n1")], [pod("a"), pod("b")])
    settled(empty)
    reader = Terminal(
        folder=tmp_path, environment={"KUBECONFIG": str(empty.kubeconfig)}, instead={"plan --watch": "plan --watch"}
    )
    once, on = pages.shown("planning.md", __file__)
    line = reader.run(once, ok=(1,))
    assert " grow sgx1 1 → 2: 1 pod (default/" in line
    whole = reader.run(f"timeout --signal=INT 8 {on}", ok=(124, 0))
    first = json.loads(whole.splitlines()[0])
    assert (first["step"], first["pool"], first["before"], first["after"]) == ("grow", "sgx1", 1, 2)


GROUP = "cluster.x-k8s.io"
MACHINES = f"/apis/{GROUP}/v1beta2/namespaces/default/machinedeployments"
SCHEMA = json.loads((pages.PROJECT / "vectors" / "pools" / "MachineDeployment.json").read_text())["schema"]
METAL = {
    "cluster": {"cloud": "metal", "name": "vaults"},
    "pools": [
        {"name": "sgx1", "size": "xeon", "count": 1, "labels": {POOL: "sgx1"}, "scale": {"min": 0, "max": 8, "by": "donjon"}}
    ],
}


@pytest.fixture(scope="module")
def kind(control_plane: Plane) -> None:
    """Cluster API's own kind, with its own schema."""
    names = {"kind": "MachineDeployment", "plural": "machinedeployments", "singular": "machinedeployment", "listKind": "Machines"}
    version = {"name": "v1beta2", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", **SCHEMA}}}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": f"machinedeployments.{GROUP}"}
    whole = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}
    control_plane.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", whole)
    assert clock.wait_until(lambda: _is_served(control_plane), seconds=30, every=0.2)


@pytest.fixture
def management(empty: Plane, kind: None) -> Iterator[Plane]:  # noqa: ARG001 - it must be there.
    """A cluster with one MachineDeployment; here it is the cluster of the pods, too."""
    (thing,) = (each for each in kubernetes.capm3(_plan()) if each["kind"] == "MachineDeployment")
    empty.create(MACHINES, thing)
    yield empty
    empty.call("DELETE", f"{MACHINES}/sgx1")


def _plan() -> FleetPlan:
    plan, faults = read_plan(METAL)  # type: ignore[arg-type] # It is JSON.
    assert plan is not None, faults
    return plan


def _is_served(plane: Plane) -> bool:
    try:
        plane.call("GET", MACHINES)
    except AssertionError:
        return False
    return True


def _controller(plane: Plane, folder: Path) -> Watch:
    more = ("--apply", "--management-kubeconfig", str(plane.kubeconfig))
    return Watch(folder, plane, METAL, *more)


def test_a_machine_deployment_of_cluster_api_is_raised_once_by_two_who_look_again_and_again(
    management: Plane, tmp_path: Path
) -> None:
    fill(management, [node("n1")], [pod(f"p{index}") for index in range(4)])
    settled(management)
    controllers = [_controller(management, tmp_path) for _ in range(2)]
    steps = [each for one in controllers for each in one.steps(10 * QUIET / 3)]
    assert [one.end() for one in controllers] == [0, 0]
    assert [each["reason"] for each in steps].count("sgx1: 4 nodes asked for") == 1
    thing = management.call("GET", f"{MACHINES}/sgx1")
    assert thing["spec"]["replicas"] == 4
    assert thing["metadata"]["generation"] == 2
    assert thing["spec"]["clusterName"] == "vaults"


def test_a_machine_deployment_that_somebody_changes_at_that_moment_is_left_alone(management: Plane) -> None:
    machines = MachineDeployments(open_cluster({}, kubeconfig=management.kubeconfig, context=None))
    read = machines.read

    def read_and_lose(name: str) -> Any:
        thing = read(name)
        management.call("PATCH", f"{MACHINES}/sgx1", {"spec": {"replicas": 3}}, "application/merge-patch+json")
        return thing

    machines.read = read_and_lose  # type: ignore[method-assign] # Somebody, for this test.
    with closing(machines), pytest.raises(Unavailable, match="somebody else changed it since it was read"):
        machines.resize("sgx1", 1, 2)
    assert management.call("GET", f"{MACHINES}/sgx1")["spec"]["replicas"] == 3


def test_a_machine_deployment_that_the_cluster_autoscaler_has_is_left_alone(management: Plane, tmp_path: Path) -> None:
    bounds = {"cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size": "0"}
    management.call("PATCH", f"{MACHINES}/sgx1", {"metadata": {"annotations": bounds}}, "application/merge-patch+json")
    fill(management, [node("n1")], [pod(f"p{index}") for index in range(4)])
    settled(management)
    controller = _controller(management, tmp_path)
    assert "the cluster autoscaler says how many nodes it has" in controller.next()["reason"]
    assert controller.steps() == []
    assert controller.end() == 0
    assert management.call("GET", f"{MACHINES}/sgx1")["spec"]["replicas"] == 1
