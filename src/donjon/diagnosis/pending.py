"""Why no node takes a pod: the nodes that come nearest, and what to do about what stands in the way there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from donjon.diagnosis.commands import MAX_NAMES, change, few
from donjon.diagnosis.distance import nearest, of_unknown_size, reach
from donjon.findings import Finding
from donjon.findings.codes import UNREADY_NODE
from donjon.fleet.placement import NodeView, Obstacle, amount_text
from donjon.formats.json import JsonObject
from donjon.kube.names import ENCLAVE, EPC, LABEL_AESM, LABEL_CAPABLE, PROVISION
from donjon.kube.objects import is_over, name_of, namespace_of, node_name_of
from donjon.kube.reserved import pod_requests

KEEPING = f'a DaemonSet keeps to nodes with SGX by the nodeSelector {LABEL_CAPABLE}: "true"'
"""What its maker does where pods of a DaemonSet are made for other nodes."""
_LIMITS = {ENCLAVE: "node.enclaveLimit", PROVISION: "node.provisionLimit"}
"""The chart's values that say how many containers of a node may have a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the words about an obstacle are made from."""

    pod: JsonObject
    requested: str  # its EPC as a person reads it
    views: tuple[NodeView, ...]  # every node
    within: tuple[NodeView, ...]  # those that the pod may go to as much as to the nearest
    there: tuple[NodeView, ...]  # the nearest nodes where the obstacle stands
    obstacle: Obstacle
    pods: tuple[JsonObject, ...]

    @property
    def change(self) -> str:
        """How what is advised comes into the pod."""
        return change(self.pod)


def in_the_way(pod: JsonObject, views: Sequence[NodeView], pods: Iterable[JsonObject]) -> tuple[Finding, ...]:
    """What stands in the way on the nodes that come nearest, hardest first; nothing where some node would take the pod."""
    closest = nearest(views)
    kinds = {kind for view in closest for kind in view.obstacles}
    if not closest or Obstacle.NO_SGX in kinds:  # Then nothing else that these nodes have matters.
        kinds = {Obstacle.NO_SGX}
    within = tuple(view for view in views if reach(view) == reach(closest[0]))
    requested, all_pods = amount_text(EPC, pod_requests(pod).get(EPC, Fraction(0))), tuple(pods)
    findings = []
    for kind in sorted(kinds, key=lambda each: each.value):
        there = tuple(view for view in closest if kind in view.obstacles)
        findings.append(
            _WORDS[kind](
                Situation(
                    pod=pod, requested=requested, views=tuple(views), within=within, there=there, obstacle=kind, pods=all_pods
                )
            )
        )
    return tuple({(finding.code, finding.do): finding for finding in reversed(findings)}.values())[::-1]


def _too_large(now: Situation) -> Finding:
    largest = max(now.within, key=lambda view: view.epc.total)
    most = _amount(largest.epc.total)
    beyond = any(view not in now.within and view.epc.total > largest.epc.total for view in now.views)
    unknown = tuple(view for view in now.within if of_unknown_size(view))
    ways = (
        f"ask for at most {most} ({now.change})",
        f"put right {_names(unknown)}, of which nobody knows now how much it has" if unknown else "",
        "let it go to a node that has more (the table says what keeps it away)" if beyond else "add a node with more EPC",
    )
    return of_placement(
        "DJ132",
        f"asks for {now.requested} of EPC, and no node {'that it may go to ' if beyond else ''}"
        f"{'says that it has' if unknown else 'has'} that much: the largest, {largest.name}, has {most}",
        "it waits until one does" if unknown else "it stays Pending for ever, whatever else ends",
        ", or ".join(filter(None, ways)),
    )


def _no_epc_free(now: Situation) -> Finding:
    best = max(now.there, key=lambda view: view.epc.free)
    holders = _holders(best.name, EPC, now.pods)
    return of_placement(
        "DJ130",
        f"asks for {now.requested} of EPC, and the most that is free where it may go is {_amount(best.epc.free)} of "
        f"{_amount(best.epc.total)}, on {best.name}",
        "EPC cannot be overcommitted, so it waits until enough is given back",
        f"wait, or end what holds EPC there{f' ({holders})' if holders else ''}, or ask for less ({now.change}), or add a node",
    )


def _not_ready(now: Situation) -> Finding:
    return of_placement(
        UNREADY_NODE,
        _could_take(now),
        "such a node offers no EPC and no device until that is put right",
        f"do what the node's reason says; kubectl describe node {now.there[0].name} has all of it, and on the node itself "
        "donjon doctor",
    )


def _node_down(now: Situation) -> Finding:
    return of_placement(
        UNREADY_NODE,
        _could_take(now),
        "no pod is sent to such a node, or started there, whatever it offers",
        f"have an administrator put the node itself right: kubectl describe node {now.there[0].name} has its conditions, the "
        "kubelet's log on the node the rest",
    )


def _could_take(now: Situation) -> str:
    words = "; ".join(dict.fromkeys(each.partition("; ")[0] for each in _words(now)))  # The rest is the table's.
    nodes = "node that could take it is" if len(now.there) == 1 else "nodes that could take it are"
    return f"the {nodes} not ready: {_names(now.there)}: {words}"


def _no_sgx(now: Situation) -> Finding:
    others = tuple(view for view in now.views if Obstacle.NO_SGX not in view.obstacles)
    release = f"change its nodeSelector or affinity, which leaves out {_names(others)} ({now.change}), or " if others else ""
    return of_placement(
        UNREADY_NODE,
        f"no node that it could go to offers SGX (looked at {_names(now.there) or 'none'})",
        f"nothing {'there' if others else 'in this cluster'} can run an enclave",
        f"{release}add a node with SGX, or install Donjon where there is one; {KEEPING}",
    )


def _devices(now: Situation) -> Finding:
    return of_placement(
        "DJ135",
        f"its device is not to be had on {_names(now.there)}: {'; '.join(dict.fromkeys(_words(now)))}",
        "without the device a container has no way into an enclave, so the scheduler leaves it out",
        _about_devices(now),
    )


def _about_devices(now: Situation) -> str:
    """What to do about devices, with who holds them where they are all held."""
    here = [(view.name, each.scarce) for view in now.there for each in view.against if each.obstacle is now.obstacle]
    advice = []
    if without := [node for node, device in here if not device]:
        advice.append(f"where none is offered, have an administrator run donjon status: it tells of the agent of {without[0]}")
    if exhausted := [(node, device) for node, device in here if device][:MAX_NAMES]:
        who = "; ".join(f"on {node}: {holders}" for node, device in exhausted if (holders := _holders(node, device, now.pods)))
        limits = " and ".join(sorted({_LIMITS[device] for _, device in exhausted}))
        advice.append(
            f"where all are held, wait, or end what holds them{f' ({who})' if who else ''}, or raise {limits} in the chart"
        )
    return "; ".join(advice)


def _held_back(now: Situation) -> Finding:
    return of_placement(
        "DJ133",
        f"it may not go to {_names(now.there)}: {'; '.join(dict.fromkeys(_words(now)))}",
        _BARS[now.obstacle],
        _RELEASES[now.obstacle](now),
    )


def _about_selection(now: Situation) -> str:
    """A label is to be written only where that alone lets the pod in, and never one that tells a node from others."""
    commands = [f"kubectl label node {view.name} {each.labels}" for view in now.there for each in view.against if each.labels]
    label = f", or have an administrator label a node that is meant for it ({commands[0]})" if commands else ""
    return f"change the pod's nodeSelector or affinity ({now.change}){label}"


_BARS: Mapping[Obstacle, str] = {
    Obstacle.ELSEWHERE: "it goes only to the nodes that its affinity names",
    Obstacle.TAINT: "such a node takes only pods that tolerate its taint",
    Obstacle.SELECTION: "it goes only to nodes that its own selector and affinity choose",
    Obstacle.CORDON: "a cordoned node takes no new pods, whatever is free there",
}
_RELEASES: Mapping[Obstacle, Callable[[Situation], str]] = {
    Obstacle.ELSEWHERE: lambda now: f"change the pod's affinity, which names its nodes one by one ({now.change})",
    Obstacle.TAINT: lambda now: (
        f"give the pod a toleration of that taint, if it is meant for such a node ({now.change}); the taint is its "
        "administrator's"
    ),
    Obstacle.SELECTION: _about_selection,
    Obstacle.CORDON: lambda now: (
        f"wait until its maintenance is over; then an administrator runs kubectl uncordon {now.there[0].name}"
    ),
}


def _no_aesm(now: Situation) -> Finding:
    return of_placement(
        "DJ136",
        f"it needs AESM, and none answers on {_names(now.there)} (label {LABEL_AESM})",
        "it gets its quotes from AESM, so it goes only to nodes where one answers",
        f"start AESM there (the node's own service, or a DaemonSet), or let the pod quote in its own process ({now.change})",
    )


def _foreign(now: Situation) -> Finding:
    return foreign_name(now.pod, "; ".join(dict.fromkeys(_words(now))))


def _other(now: Situation) -> Finding:
    return of_placement(
        "DJ138",
        f"SGX is there, something else is not: {_names(now.there)}: {'; '.join(dict.fromkeys(_words(now)))}",
        "the scheduler counts every resource, not only SGX",
        f"ask for less of it ({now.change}), or make room on that node",
    )


_WORDS: Mapping[Obstacle, Callable[[Situation], Finding]] = {
    Obstacle.ELSEWHERE: _held_back,
    Obstacle.NO_SGX: _no_sgx,
    Obstacle.TOO_LARGE: _too_large,
    Obstacle.NODE_DOWN: _node_down,
    Obstacle.NODE_TAINT: _node_down,
    Obstacle.NOT_READY: _not_ready,
    Obstacle.FOREIGN_NAME: _foreign,
    Obstacle.DEVICE: _devices,
    Obstacle.TAINT: _held_back,
    Obstacle.SELECTION: _held_back,
    Obstacle.CORDON: _held_back,
    Obstacle.AESM: _no_aesm,
    Obstacle.NO_EPC_FREE: _no_epc_free,
    Obstacle.OTHER: _other,
}


def of_placement(code: str, observation: str, why: str, do: str) -> Finding:
    """The finding about what keeps a pod from nodes."""
    return Finding.error(code, "placement", observation, why, do)


def foreign_name(pod: JsonObject, words: str) -> Finding:
    """That the pod asks for EPC by a name that is another's; the words say who offers none of it."""
    return of_placement(
        "DJ102",
        f"asks for EPC under a foreign name: {words}",
        "nothing translated it when the pod was made, and no node of Donjon's offers that name",
        f"write {EPC}, which needs no translation ({change(pod)}), or make the pod again once an administrator's donjon status "
        "says that the policies are in force",
    )


def _words(now: Situation) -> list[str]:
    return [each.words for view in now.there for each in view.against if each.obstacle is now.obstacle][:MAX_NAMES]


def _names(views: Sequence[NodeView]) -> str:
    return few([view.name for view in views])


def _holders(node: str, resource: str, pods: Iterable[JsonObject]) -> str:
    """Who holds most of a resource on a node."""
    return holders(resource, (pod for pod in pods if node_name_of(pod) == node))


def holders(resource: str, pods: Iterable[JsonObject]) -> str:
    """Who holds most of a resource, of pods that have their nodes."""
    there = [pod for pod in pods if not is_over(pod)]
    holding = sorted(
        ((amount, f"{namespace_of(pod)}/{name_of(pod)}") for pod in there if (amount := pod_requests(pod).get(resource))),
        reverse=True,
    )
    return few([f"{name} holds {amount_text(resource, amount)}" for amount, name in holding])


def _amount(amount: int) -> str:
    return amount_text(EPC, Fraction(amount))
