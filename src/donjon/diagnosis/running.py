"""What is the matter with a pod that has its node: with its containers, its device, and the node under it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from donjon.diagnosis.commands import node_of, remake
from donjon.findings import Finding, Severity
from donjon.findings.codes import UNREADY_NODE
from donjon.fleet.placement import Objection, Obstacle, amount_text, look
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite
from donjon.kube.names import ENCLAVE, EPC, EVENT_COMPONENT, EVENT_NOT_ACCOUNTED, EVENT_WITHOUT_DEVICE
from donjon.kube.objects import containers_of, name_of
from donjon.kube.reserved import epc_by_container, epc_offered, requests_by_node


def without_device(pod: JsonObject, events: Sequence[JsonObject]) -> Iterator[Finding]:
    """The agent's word for it, or the pod's own: what asks for EPC and for no device was given none."""
    is_reported = any(_is_from_own_agent(event, pod, EVENT_WITHOUT_DEVICE) for event in events)
    wired = {
        at(container, "name")
        for container in containers_of(pod)
        if at(container, "resources", "limits", ENCLAVE) not in {None, "0"}
    }
    unwired = sorted(name for name, amount in epc_by_container(pod).items() if amount and name not in wired)
    if is_reported or unwired:
        yield Finding(
            code="DJ020",
            severity=Severity.ERROR,
            subject=f"container {recite(', '.join(unwired))}" if unwired else "container",
            observation=f"asked for EPC and runs without {ENCLAVE}",
            why="it bypassed the scheduler or the policies, or the kubelet started it on a stale count: it can make no enclave",
            do=f"{remake(pod)}; where that one has no device either, have an administrator run donjon status",
        )


def not_accounted(pod: JsonObject, events: Sequence[JsonObject]) -> Iterator[Finding]:
    """The agent's word that the kubelet lost its account of the pod's device."""
    if any(_is_from_own_agent(event, pod, EVENT_NOT_ACCOUNTED) for event in events):
        yield _warning(
            "DJ023",
            pod,
            observation="its kubelet does not account for the pod's device any more",
            why="the pod runs on with it, and the kubelet's next restart ends the pod",
            do=f"move it before that, at a time that suits it: {remake(pod)}",
        )


def _is_from_own_agent(event: JsonObject, pod: JsonObject, reason: str) -> bool:
    """Whether the agent of the pod's own node says that of this pod.

    No policy can look up where a pod is, so an agent's token is good for Events about pods of any node: but only in its own
    node's name.
    """
    about = at(event, "reason") == reason and at(event, "involvedObject", "uid") == at(pod, "metadata", "uid")
    components = (at(event, "reportingComponent"), at(event, "source", "component"))
    hosts = (at(event, "reportingInstance"), at(event, "source", "host"))
    return about and components == (EVENT_COMPONENT, EVENT_COMPONENT) and hosts == (node_of(pod), node_of(pod))


def under(pod: JsonObject, nodes: Sequence[JsonObject]) -> Iterator[Finding]:
    """What became of its node since the pod came there; nothing where no node could be read."""
    node = node_under(pod, nodes)
    if node is None:
        if nodes:
            do = f"kubectl get nodes; where the node is gone for good, {remake(pod)}"
            yield replace(silent_node(pod, "it is not in the cluster any more"), do=do)
        return
    trouble = _trouble(pod, node)
    if trouble is None:
        return
    if trouble.obstacle is Obstacle.NODE_DOWN:
        yield silent_node(pod, trouble.words)
    else:
        yield _warning(
            UNREADY_NODE,
            pod,
            observation=trouble.words,
            why="the pod stays, and its enclaves may be lost or not be made anew",
            do=f"do what the reason says; kubectl describe node {node_of(pod)} has all of it",
        )


def silent_node(pod: JsonObject, observation: str) -> Finding:
    """That its node tells nothing of it any more."""
    return Finding.error(
        UNREADY_NODE,
        f"node {node_of(pod)}",
        observation,
        "nobody knows how the pod is: what is told of it is the last that its node said",
        f"have the node's administrator look at it: kubectl describe node {node_of(pod)}",
    )


def before_start(pod: JsonObject, nodes: Sequence[JsonObject]) -> Iterator[Finding]:
    """The same of a pod that has not started yet: its kubelet starts nothing as long as that is so."""
    for finding in under(pod, nodes):
        yield replace(
            finding,
            severity=Severity.ERROR,
            why="it was given to that node before, and nothing starts it there until the node is put right",
            do=f"have an administrator see to {node_of(pod)} (kubectl describe node {node_of(pod)}); or, where the pod may go to "
            f"another node, {remake(pod)}",
        )


def out_of_touch(pod: JsonObject, nodes: Sequence[JsonObject]) -> bool:
    """Whether its node is gone or its kubelet silent, so that what the cluster knows of the pod may be long past."""
    if not nodes:
        return False
    node = node_under(pod, nodes)
    trouble = None if node is None else _trouble(pod, node)
    return node is None or (trouble is not None and trouble.obstacle is Obstacle.NODE_DOWN)


def _trouble(pod: JsonObject, node: JsonObject) -> Objection | None:
    """What is the matter with the node itself, and would be with any pod like this one; the kubelet's silence first."""
    (view,) = look(pod, (node,), ())
    kinds = (Obstacle.NODE_DOWN, Obstacle.NOT_READY, Obstacle.NO_SGX)
    return next((each for kind in kinds for each in view.against if each.obstacle is kind), None)


def over_capacity(pod: JsonObject, nodes: Sequence[JsonObject], pods: Sequence[JsonObject]) -> Iterator[Finding]:
    """Whether the pods of its node hold more EPC than the node offers now: nobody takes from a pod what it has.

    A node that is not in order says nothing about its size by what it offers.
    """
    node = node_under(pod, nodes)
    if node is None or _trouble(pod, node) is not None:
        return
    offered = epc_offered(node)
    holding = requests_by_node(pods).get(node_of(pod), {}).get(EPC, Fraction(0))
    if offered and holding > offered:
        yield _warning(
            "DJ153",
            pod,
            observation=f"its pods hold {amount_text(EPC, holding)} of EPC, and it offers {amount_text(EPC, offered)} now",
            why="they all stay, but the kernel pages EPC out, which slows every enclave there, and no pod that asks can come",
            do=f"see why {node_of(pod)} offers less (kubectl describe node {node_of(pod)}), or end one of its pods",
        )


def node_under(pod: JsonObject, nodes: Sequence[JsonObject]) -> JsonObject | None:
    """The node that it was given, where it can be read."""
    return next((node for node in nodes if name_of(node) == node_of(pod)), None)


def _warning(code: str, pod: JsonObject, *, observation: str, why: str, do: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, subject=f"node {node_of(pod)}", observation=observation, why=why, do=do)
