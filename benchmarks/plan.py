"""P7: where 100,000 pods go on 5,000 nodes, linear over three sizes; beside Kubernetes' own scheduler.

The sizes run each in a process of its own, from the objects in memory to the report: schedules, reasons, the EPC of every node.
The scheduler gets some thousand pods by a real API server, as fast as it binds them; its rate has the API server and etcd in it,
on the same processors. `--worlds N` compares that many random small clusters with it, pod by pod, and lists every difference.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fleet.scheduling import HOST, ZONE
from tests.scheduler.judge import fill, judge, settled
from tests.scheduler.plane import Plane, plane

from donjon.fleet.scheduling.outlook import outlook
from donjon.fleet.scheduling.report import report
from donjon.formats.json import JsonObject

MIB, GIB = 1 << 20, 1 << 30
SIZES = ((1250, 25_000), (2500, 50_000), (5000, 100_000))
KINDS = 1000  # workloads
REAL_NODES, REAL_PODS = 500, 3000
GOAL_SECONDS, GOAL_MIB = 10, 1024


def node(number: int) -> JsonObject:
    """Every second one has SGX; three zones."""
    amounts: JsonObject = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    if number % 2:
        amounts |= {"sgx.intel.com/epc": str(16 * GIB), "sgx.intel.com/enclave": "110"}
    labels: JsonObject = {HOST: f"n{number}", ZONE: f"z{number % 3}"}
    return {
        "metadata": {"name": f"n{number}", "labels": labels},
        "spec": {},
        "status": {"allocatable": amounts, "capacity": amounts},
    }


def pod(number: int) -> JsonObject:
    """One of KINDS, as a cluster has it: every second asks for EPC, a third has a say about those around it."""
    kind = number % KINDS
    requests: JsonObject = {"cpu": f"{100 + 50 * (kind % 5)}m", "memory": f"{128 * (1 + kind % 4)}Mi"}
    if kind % 2:
        requests |= {"sgx.intel.com/epc": str((16 + kind % 7 * 16) * MIB), "sgx.intel.com/enclave": "1"}
    limits = {name: each for name, each in requests.items() if "/" in name}
    container: JsonObject = {
        "name": "c",
        "image": f"registry.example/i{kind}:1",
        "resources": {"requests": requests, "limits": limits},
    }
    labels: JsonObject = {"app": f"a{kind}", "pod-template-hash": f"{kind:08x}"}
    token: JsonObject = {"name": f"kube-api-access-{number:05x}", "projected": {"sources": []}}
    return {
        "metadata": {
            "name": f"a{kind}-{number}",
            "namespace": f"n{kind % 50}",
            "labels": labels,
            "ownerReferences": [_owner(kind)],
        },
        "spec": {"containers": [container], "volumes": [token], **_constraint(kind, labels)},
    }


def _owner(kind: int) -> JsonObject:
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"a{kind}", "uid": f"{kind}"}


def _constraint(kind: int, labels: JsonObject) -> JsonObject:
    chosen: JsonObject = {"labelSelector": {"matchLabels": {"app": labels["app"]}}}
    if kind % 6 == 0:
        return {
            "topologySpreadConstraints": [{**chosen, "maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}]
        }
    if kind % 6 == 1:
        required: JsonObject = {"requiredDuringSchedulingIgnoredDuringExecution": [{**chosen, "topologyKey": HOST}]}
        return {"affinity": {"podAntiAffinity": required}}
    return {}


def main() -> None:
    """All of it, or the worlds alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, metavar="N")
    worlds = parser.parse_args().worlds
    if worlds is None:
        rate = _sizes()
        with tempfile.TemporaryDirectory() as folder, plane(Path(folder)) as control_plane:
            _beside(control_plane, rate)
    else:
        with tempfile.TemporaryDirectory() as folder, plane(Path(folder)) as control_plane:
            _differences(control_plane, worlds)


def _sizes() -> float:
    """Pods a second at the largest size; of each size one schedule, for of the largest no more are tried."""
    costs = []
    for nodes, pods in SIZES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(_plan, (nodes, pods))
        costs.append(seconds / pods)
        print(f"{nodes} nodes, {pods} pods: {seconds:.2f} s, {memory} MiB")
    print(f"  goals at the last: {GOAL_SECONDS} s, {GOAL_MIB} MiB; a pod costs {costs[-1] / costs[0]:.2f} of one at the first")
    return 1 / costs[-1]


def _plan(nodes: int, pods: int) -> tuple[float, int]:
    here, queue = [node(each) for each in range(nodes)], [pod(each) for each in range(pods)]
    start = time.perf_counter()  # noqa: TID251 - this is what is measured.
    outcome = outlook(here, (), queue, most_tries=1)
    report(here, queue, outcome, {})
    seconds = time.perf_counter() - start  # noqa: TID251 - this is what is measured.
    assert len(outcome.first.nodes) == pods
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _beside(control_plane: Plane, rate: float) -> None:
    """The real scheduler's pods a second: all are made while it is stopped, then it is let go."""
    control_plane.pause_scheduler()
    ready: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}
    nodes: list[Any] = [{**each, "status": {**each["status"], **ready}} for each in map(node, range(REAL_NODES))]  # type: ignore[dict-item] # `node` writes an object there.
    pods: list[Any] = [pod(each) for each in range(REAL_PODS)]
    for each in pods:
        del each["metadata"]["ownerReferences"]
        each["metadata"]["namespace"] = "default"
    fill(control_plane, nodes, pods)
    start = time.perf_counter()  # noqa: TID251 - this is what is measured.
    control_plane.resume_scheduler()
    settled(control_plane)
    theirs = REAL_PODS / (time.perf_counter() - start)  # noqa: TID251 - this is what is measured.
    print(f"Kubernetes' scheduler, {REAL_NODES} nodes, {REAL_PODS} pods: {theirs:.0f} pods a second; ours {rate / theirs:.0f} ×")


def _differences(control_plane: Plane, worlds: int) -> None:
    verdicts = judge(control_plane, range(worlds))
    print(f"{worlds} clusters, {verdicts.pods} pods: {verdicts.same} the same, {verdicts.open} may fit")
    print(f"said to fit, and Pending: {len(verdicts.over)} {verdicts.over}")
    print(f"said to stay Pending, and got a node: {len(verdicts.under)} {verdicts.under}")


if __name__ == "__main__":
    main()
