"""The agents and the nodes under them: where one should be and is not, which is not ready, and what each node offers."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from donjon.admission.policies.gaps import bring_back
from donjon.admission.policies.guard import AGENT
from donjon.diagnosis.endings import endings, stuck
from donjon.diagnosis.installation import AGENTS_POLICY, NODE, DonjonState, Row, RowState, StatusPart, unseen
from donjon.findings import Finding, codes
from donjon.fleet.placement import amount_text
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import CONDITION_READY, EPC, LABEL_CAPABLE
from donjon.kube.reserved import TERMINAL_PHASES, amounts
from donjon.kube.selection import misfits, not_tolerated, selects

MAX_NAMES = 3
"""Nodes or pods that a sentence names; the rows have all of them."""


def agents(here: DonjonState) -> StatusPart:
    """The DaemonSet: how many agents are ready, and the nodes with SGX that have none."""
    if hidden := unseen("agents", here.daemon_sets, here.pods):
        return hidden
    daemon_set = here.daemon_sets.first(NODE)
    if daemon_set is None:
        return _no_daemon_set(here)
    name = str(at(daemon_set, "metadata", "name"))
    desired, ready = (_count(daemon_set, field) for field in ("desiredNumberScheduled", "numberReady"))
    late = tuple(_unready(here))
    bare = tuple(node for node in _nodes_with_sgx(here) if _name(node) not in _manned(here))
    whole = ready >= desired and _is_observed(daemon_set) and not late
    rows = (
        Row(name=name, state=RowState.WELL if whole else RowState.WRONG, words=f"{ready} of {desired} ready"),
        *(Row(name=pod_name, state=RowState.WRONG, words=words) for pod_name, words in late),
        *(Row(name=_name(node), state=RowState.WRONG, words=f"no {name} pod: {_reason(daemon_set, node)}") for node in bare),
    )
    findings = (*_absent(daemon_set, bare), *_late(daemon_set, late, whole=whole))
    return StatusPart(name="agents", rows=rows, findings=findings, summary=f"{ready} of {desired} agents ready")


def nodes(here: DonjonState) -> StatusPart:
    """The nodes with SGX: what EPC each offers, and what its agent says of it."""
    if hidden := unseen("nodes", here.nodes):
        return hidden
    ours = _nodes_with_sgx(here)
    rows = tuple(_row(node) for node in ours)
    offering = [epc for node in ours if (epc := _epc(node))]
    total = amount_text(EPC, sum(offering, Fraction(0)))
    plain = len(here.nodes.things) - len(ours)
    rest = (Row(name=f"{plain} without SGX", state=RowState.WELL, words="nothing to offer"),) if plain else ()
    summary = f"{len(offering)} of {len(here.nodes.things)} nodes offer {total} of EPC"
    return StatusPart(name="nodes", rows=(*rows, *rest), findings=tuple(_of_nodes(ours, offering)), summary=summary)


def _nodes_with_sgx(here: DonjonState) -> tuple[JsonObject, ...]:
    """The nodes that something says have SGX: their label, EPC, or an agent that does not say that there is none."""
    ours = (
        node
        for node in here.nodes
        if at(node, "metadata", "labels", LABEL_CAPABLE) == "true" or _epc(node) or (_condition(node) and not _never_had(node))
    )
    return tuple(sorted(ours, key=_name))


def pod_trouble(pod: JsonObject, moment: datetime) -> str:
    """Why a pod of ours is not ready, as far as it says; empty where it is."""
    conditions = {str(at(each, "type")): each for each in objects(at(pod, "status", "conditions"))}
    if at(conditions.get("Ready"), "status") == "True":
        return ""
    trouble = next(iter((*stuck(pod), *endings(pod, moment))), None)
    if trouble is not None:
        return trouble.observation
    scheduled = conditions.get("PodScheduled")
    if at(scheduled, "status") == "False":
        return f"it has no node: {at(scheduled, 'message')}"
    return str(at(conditions.get("Ready"), "message") or "it is starting")


def is_here(pod: JsonObject) -> bool:
    """Whether a pod counts: it has not ended, and is not on its way out."""
    return at(pod, "status", "phase") not in TERMINAL_PHASES and at(pod, "metadata", "deletionTimestamp") is None


def _no_daemon_set(here: DonjonState) -> StatusPart:
    if here.policies.thing(AGENTS_POLICY) is None:
        row = Row(name=AGENT, state=RowState.ABSENT, words="no DaemonSet, and no policy of the agents")
        return StatusPart(name="agents", rows=(row,))
    finding = Finding.error(
        "DJ173",
        "agents",
        f"the DaemonSet {AGENT} is gone",
        "nobody keeps EPC, devices, labels and SGXReady true: they stay as they were last",
        bring_back(here.home),
    )
    return StatusPart(name="agents", rows=(Row(name=AGENT, state=RowState.WRONG, words="is gone"),), findings=(finding,))


def _absent(daemon_set: JsonObject, bare: Sequence[JsonObject]) -> Iterator[Finding]:
    if bare:
        place = f"-n {at(daemon_set, 'metadata', 'namespace')} {at(daemon_set, 'metadata', 'name')}"
        yield Finding.error(
            "DJ173",
            "agents",
            f"no {at(daemon_set, 'metadata', 'name')} pod on {_names(bare)}: {_reason(daemon_set, bare[0])}",
            "nobody keeps the node's EPC, devices and SGXReady true: they stay as they were last",
            f"have an administrator of the cluster bring it back: kubectl describe daemonset {place}",
        )


def _late(daemon_set: JsonObject, late: Sequence[tuple[str, str]], *, whole: bool) -> Iterator[Finding]:
    if whole:
        return
    namespace = at(daemon_set, "metadata", "namespace")
    name, words = next(iter(late), ("", "its pods are being made"))
    yield Finding.error(
        "DJ174",
        "agents",
        f"{_count(daemon_set, 'numberReady')} of {_count(daemon_set, 'desiredNumberScheduled')} are ready"
        f"{f'; {name}' if name else ''}: {words}",
        "where an agent is not ready, its node may offer no enclave",
        f"kubectl logs -n {namespace} {name}, and kubectl describe pod -n {namespace} {name}"
        if name
        else f"wait a moment; then kubectl describe daemonset -n {namespace} {at(daemon_set, 'metadata', 'name')}",
    )


def _reason(daemon_set: JsonObject, node: JsonObject) -> str:
    """Why the DaemonSet has no pod on a node."""
    template: JsonObject = {"spec": at(daemon_set, "spec", "template", "spec")}
    labels = _labels(node)
    if not selects(template, _name(node), labels):
        return f"its DaemonSet wants {'; '.join(misfits(template, labels)) or 'other nodes'}"
    taints = [each for each in not_tolerated(template, node) if not each.startswith("node.kubernetes.io/")]
    return f"it does not tolerate the taint {', '.join(taints)}" if taints else "its DaemonSet has not made one"


def _unready(here: DonjonState) -> Iterator[tuple[str, str]]:
    for pod in here.pods.of(NODE):
        if is_here(pod) and (words := pod_trouble(pod, here.moment)):
            yield _name(pod), f"on {at(pod, 'spec', 'nodeName') or 'no node'}: {words}"


def _manned(here: DonjonState) -> frozenset[str]:
    return frozenset(str(at(pod, "spec", "nodeName")) for pod in here.pods.of(NODE) if is_here(pod))


def _state(node: JsonObject) -> RowState:
    """How bad it is that a node does not offer what it might: one that offered it before was meant to."""
    epc = _epc(node)
    if epc and _condition(node).get("status") == "True":
        return RowState.WELL
    return RowState.WRONG if epc or at(node, "metadata", "labels", LABEL_CAPABLE) == "true" else RowState.DOUBTFUL


def _row(node: JsonObject) -> Row:
    condition, epc = _condition(node), _epc(node)
    offer = f"{amount_text(EPC, epc)} of EPC" if epc else "no EPC"
    words = f"{offer}; {CONDITION_READY} {condition.get('status') or 'not there'}: {condition.get('message') or 'nothing'}"
    return Row(name=_name(node), state=_state(node), words=words)


def _of_nodes(ours: Sequence[JsonObject], offering: Sequence[Fraction]) -> Iterator[Finding]:
    for state, report in ((RowState.WRONG, Finding.error), (RowState.DOUBTFUL, Finding.warning)):
        there = [node for node in ours if _state(node) is state]
        if there:
            message = str(_condition(there[0]).get("message") or "its agent has not said a word")
            yield report(
                "DJ179",
                "nodes",
                f"{_names(there)} not ready for enclaves: {message}",
                "no new enclave comes there",
                f"do what the reason says; kubectl describe node {_name(there[0])} has all of it",
            )
    if not offering and not any(_state(node) is RowState.WRONG for node in ours):
        yield Finding.warning(
            "DJ179",
            "nodes",
            "no node offers EPC",
            "no pod that asks for it can run",
            "add a node with SGX, or see what donjon doctor says on one that should have it",
        )


def _names(things: Sequence[JsonObject]) -> str:
    names = ", ".join(_name(each) for each in things[:MAX_NAMES])
    return f"{names} and {len(things) - MAX_NAMES} more" if len(things) > MAX_NAMES else names


def _is_observed(daemon_set: JsonObject) -> bool:
    """Whether its controller has seen its newest version, and all its pods are of that."""
    observation, newest = at(daemon_set, "status", "observedGeneration"), at(daemon_set, "metadata", "generation")
    return observation == newest and _count(daemon_set, "updatedNumberScheduled") >= _count(daemon_set, "desiredNumberScheduled")


def _count(thing: JsonObject, field: str) -> int:
    count = at(thing, "status", field)
    return count if isinstance(count, int) else 0


def _condition(node: JsonObject) -> JsonObject:
    return next((each for each in objects(at(node, "status", "conditions")) if at(each, "type") == CONDITION_READY), {})


def _never_had(node: JsonObject) -> bool:
    return codes.NO_SGX in codes.codes_in(str(_condition(node).get("message") or ""))


def _epc(node: JsonObject) -> Fraction:
    return amounts(at(node, "status", "allocatable")).get(EPC, Fraction(0))


def _labels(node: JsonObject) -> Mapping[str, Json]:
    labels = at(node, "metadata", "labels")
    return labels if isinstance(labels, dict) else {}


def _name(thing: JsonObject) -> str:
    return str(at(thing, "metadata", "name") or "")
