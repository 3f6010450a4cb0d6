"""What a plan comes to: how many pods of each workload fit, how much EPC is both of each node, and who has no room."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from donjon.fleet.machines.packing import PodGroup
from donjon.fleet.placement import Obstacle, amount_text, look_at
from donjon.fleet.scheduling.outlook import Outlook, PodOutlook, Prospect
from donjon.fleet.scheduling.shapes import PODS
from donjon.formats.json import JsonObject, at
from donjon.kube.names import EPC
from donjon.kube.objects import is_over, name_of, namespace_of, node_name_of, owners_of
from donjon.kube.reserved import Amounts, allocatable, epc_offered, pod_requests

MOST_REASONS = 3
MOST_NODES = 500  # that are looked at for a reason
RESOURCES = (EPC, "memory", "cpu")
SCARCE = frozenset({Obstacle.NO_EPC_FREE, Obstacle.TOO_LARGE, Obstacle.DEVICE, Obstacle.OTHER})
OF_MACHINES = SCARCE | {Obstacle.NO_SGX}
"""What a larger machine, or one with SGX, has not."""
APART = "there is room, and other pods there, or the pod's own spreading, keep it away"
NO_NODE = "there is no node"
_NAMES = {EPC: "EPC", PODS: "room for pods"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOutlook:
    """Pods that one owner makes."""

    name: str
    prospects: Mapping[Prospect, int]
    nodes: Mapping[str, int]  # where they go, in the first schedule
    why: tuple[str, ...]  # of one that stays Pending: what speaks against it, and on how many nodes
    unread: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEpc:
    """A node's EPC, in bytes: what it offers, what is requested of it now, and what would be."""

    name: str
    total: int
    before: int
    after: int
    use: int | None  # that enclaves take now as its meter counts it, in EPC and evicted from it; `None` where none counts


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """All of it."""

    workloads: tuple[WorkloadOutlook, ...]
    nodes: tuple[NodeEpc, ...]  # that have EPC
    short: tuple[PodGroup, ...]  # pods with EPC for which there are too few machines
    tries: int


def report(nodes: Sequence[JsonObject], queue: Sequence[JsonObject], outlook: Outlook, use: Mapping[str, int]) -> PlanReport:
    """What became of the queue on these nodes; `use` is what meters counted, by node."""
    by_name = {f"{namespace_of(each)}/{name_of(each)}": each for each in queue}
    groups: defaultdict[str, list[PodOutlook]] = defaultdict(list)
    for each in outlook.pods:
        groups[owner_of(by_name[each.name])].append(each)
    return PlanReport(
        workloads=tuple(_workload(name, each, by_name, nodes, outlook.after) for name, each in groups.items()),
        nodes=tuple(_epc(nodes, outlook, use)),
        short=tuple(_short(groups, by_name, nodes)),
        tries=outlook.tries,
    )


def owner_of(pod: JsonObject) -> str:
    """Who makes the pod, as namespace/kind/name; of a template its own name without the number, or the node, behind it."""
    owner = next(iter(owners_of(pod)), None)
    if owner is not None:
        return f"{namespace_of(pod)}/{str(owner.get('kind')).lower()}/{owner.get('name')}"
    name = name_of(pod)
    return f"{namespace_of(pod)}/{name.rpartition('/')[0] if '/' in name else f'pod/{name}'}"


def _workload(
    name: str,
    pods: Sequence[PodOutlook],
    by_name: Mapping[str, JsonObject],
    nodes: Sequence[JsonObject],
    holding: Mapping[str, Amounts],
) -> WorkloadOutlook:
    pending = next((each for each in pods if each.prospect in {Prospect.PENDING, Prospect.MAY_FIT}), None)
    return WorkloadOutlook(
        name=name,
        prospects=Counter(each.prospect for each in pods),
        nodes=Counter(each.node for each in pods if each.node),
        why=() if pending is None else _reasons(by_name[pending.name], nodes[:MOST_NODES], holding),
        unread=next((each.unread for each in pods if each.unread), ""),
    )


def _reasons(pod: JsonObject, nodes: Sequence[JsonObject], holding: Mapping[str, Amounts]) -> tuple[str, ...]:
    """What speaks against it, and on how many nodes; of what is scarce, the most that is free on one of them."""
    requests, most = pod_requests(pod), defaultdict[str, Fraction](Fraction)
    words: Counter[str] = Counter()
    scarce: Counter[str] = Counter()
    views = {view.name: view for view in look_at(pod, nodes, holding)}
    for node in nodes:
        against = views[name_of(node)].against
        free = _scarcity(requests, node, holding) if against and against[0].obstacle in SCARCE else None
        if free is not None:
            scarce[free[0]] += 1
            most[free[0]] = max(most[free[0]], free[1])
        else:
            words[against[0].words if against else APART] += 1
    for name, count in scarce.items():
        words[f"too little {_NAMES.get(name, name)} free: at most {amount_text(name, most[name])} of {_wish(name, requests)}"] = (
            count
        )
    return tuple(f"{count} node{'s' * (count != 1)}: {text}" for text, count in words.most_common(MOST_REASONS)) or (NO_NODE,)


def _wish(name: str, requests: Amounts) -> str:
    return amount_text(name, requests.get(name, Fraction(1)))


def _scarcity(requests: Amounts, node: JsonObject, holding: Mapping[str, Amounts]) -> tuple[str, Fraction] | None:
    """A resource of which there is too little, EPC first, and how much is free."""
    there, amounts = allocatable(node), holding.get(name_of(node), {})
    for name in (*(each for each in RESOURCES if each in requests), *sorted(requests), PODS):
        free = max(there.get(name, Fraction(0)) - amounts.get(name, Fraction(0)), Fraction(0))
        if free < requests.get(name, Fraction(1)):
            return name, free
    return None


def _epc(nodes: Sequence[JsonObject], outlook: Outlook, use: Mapping[str, int]) -> Iterable[NodeEpc]:
    for node in nodes:
        if total := int(epc_offered(node)):
            name = name_of(node)
            before, after = (int(each[name].get(EPC, 0)) for each in (outlook.before, outlook.after))
            yield NodeEpc(name=name, total=total, before=before, after=after, use=use.get(name))


def _short(
    groups: Mapping[str, Sequence[PodOutlook]], by_name: Mapping[str, JsonObject], nodes: Sequence[JsonObject]
) -> Iterable[PodGroup]:
    """Pods with EPC that got no node in any schedule and would get one if there were more machines, by what they request."""
    for name, pods in groups.items():
        for pod, number in _alike([by_name[each.name] for each in pods if each.prospect is Prospect.PENDING]):
            requests = pod_requests(pod)
            if EPC in requests and _is_helped(pod, nodes[:MOST_NODES]):
                amounts = {resource: requests[resource] for resource in RESOURCES if resource in requests}
                yield PodGroup(name=name, replicas=number, requests=amounts)


def _alike(pods: Iterable[JsonObject]) -> Iterable[tuple[JsonObject, int]]:
    """One of those that ask for the same, and how many they are: who says to have the same owner need not."""
    groups: defaultdict[str, list[JsonObject]] = defaultdict(list)
    for pod in pods:
        spec = at(pod, "spec")
        fields = {key: each for key, each in spec.items() if key != "volumes"} if isinstance(spec, dict) else {}
        groups[json.dumps(fields, sort_keys=True)].append(pod)
    return ((each[0], len(each)) for each in groups.values())


def _is_helped(pod: JsonObject, nodes: Sequence[JsonObject]) -> bool:
    """Whether a machine more would do: some node, were it empty and had it SGX, would take the pod."""
    views = look_at(pod, nodes, {})
    return not views or any(view.obstacles <= OF_MACHINES for view in views)


def live(pods: Iterable[JsonObject]) -> tuple[JsonObject, ...]:
    """Those that have a node and have not ended."""
    return tuple(each for each in pods if node_name_of(each) and not is_over(each))
