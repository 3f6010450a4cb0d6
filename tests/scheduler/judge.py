"""Our schedules beside the scheduler's own: the same nodes and pods to both, and every pod on which they differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from testbed import clock
from tests.scheduler.plane import Plane
from tests.scheduler.worlds import replica_set, world

from donjon.fleet.scheduling.outlook import Prospect, outlook
from donjon.fleet.scheduling.queue import moving, waiting

NODES, PODS, OWNERS = "/api/v1/nodes", "/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/replicasets"
AT_ONCE = 10
SEEN_WITHIN = 0.5  # seconds, for the scheduler to know of nodes
SETTLED_WITHIN = 60.0  # seconds, for the scheduler to have looked at each pod


@dataclass(slots=True)
class Verdicts:
    """Over all worlds."""

    pods: int = 0
    over: list[str] = field(default_factory=list)  # said to fit, and Pending
    under: list[str] = field(default_factory=list)  # said to stay Pending, and got a node
    open: int = 0  # of which nothing was promised: may fit

    @property
    def same(self) -> int:
        return self.pods - len(self.over) - len(self.under) - self.open


def judge(plane: Plane, numbers: Sequence[int]) -> Verdicts:
    """The worlds, some at a time, to the real scheduler, and each to ours. No world's pods may go to another's nodes."""
    verdicts = Verdicts()
    for start in range(0, len(numbers), AT_ONCE):
        worlds = {f"w{number}": world(number) for number in numbers[start : start + AT_ONCE]}
        for number in numbers[start : start + AT_ONCE]:
            _own(plane.create(OWNERS, replica_set(number)), worlds[f"w{number}"][1])
        fill(plane, *([each for pair in worlds.values() for each in pair[index]] for index in (0, 1)))
        pods, nodes = settled(plane), plane.call("GET", NODES)["items"]
        for name in worlds:
            _compare(verdicts, [each for each in pods if each["metadata"]["labels"]["world"] == name], nodes)
        for path in (PODS, NODES, OWNERS):
            plane.call("DELETE", path, {"gracePeriodSeconds": 0, "kind": "DeleteOptions", "apiVersion": "v1"})
    return verdicts


def _own(owner: dict[str, Any], pods: Iterable[dict[str, Any]]) -> None:
    reference = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "controller": True,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    for pod in pods:
        if pod["metadata"]["labels"]["app"] == "x":
            pod["metadata"]["ownerReferences"] = [reference]


def fill(plane: Plane, nodes: Iterable[dict[str, Any]], pods: Iterable[dict[str, Any]]) -> None:
    """Make the nodes, then the pods, once the scheduler knows the nodes: its two watches keep no order between them."""
    for node in nodes:
        plane.create(NODES, {name: each for name, each in node.items() if name != "status"})
        status = {"status": node["status"]}
        plane.call("PATCH", f"{NODES}/{node['metadata']['name']}/status", status, "application/merge-patch+json")
    clock.pause(SEEN_WITHIN)
    for pod in pods:
        plane.create(PODS, pod)


def settled(plane: Plane) -> list[dict[str, Any]]:
    """The pods, once the scheduler has looked at each and nothing changes any more."""
    before: dict[str, str] = {}
    pods: list[dict[str, Any]] = []

    def is_quiet() -> bool:
        nonlocal before, pods
        pods = plane.call("GET", PODS)["items"]
        now = {each["metadata"]["name"]: each["spec"].get("nodeName", "") for each in pods}
        same, before = now == before, now
        return same and all(map(_is_looked_at, pods))

    assert clock.wait_until(is_quiet, seconds=SETTLED_WITHIN, every=0.3), "the scheduler has not looked at all pods"
    return pods


def _is_looked_at(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return bool(pod["spec"].get("nodeName")) or any(
        each["type"] == "PodScheduled" and each["status"] == "False" for each in conditions
    )


def _compare(verdicts: Verdicts, pods: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> None:
    queue: list[Any] = [*moving(pods, nodes), *waiting(pods)]
    queue.sort(key=lambda each: each["metadata"]["name"])  # As they were made.
    real = {f"default/{each['metadata']['name']}": bool(each["spec"].get("nodeName")) for each in pods}
    verdicts.pods += len(pods)
    for each in outlook(nodes, [], queue).pods:
        if each.prospect is Prospect.MAY_FIT:
            verdicts.open += 1
        elif each.prospect is Prospect.FITS and not real[each.name]:
            verdicts.over.append(each.name)
        elif each.prospect is not Prospect.FITS and real[each.name]:
            verdicts.under.append(each.name)
