"""A pod against each node: what the node has, and everything there that speaks against the pod."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import starmap

from donjon.findings import codes
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite
from donjon.kube.names import (
    AESM_READY,
    CONDITION_READY,
    DEVICES,
    ENCLAVE,
    EPC,
    FOREIGN_EPC,
    LABEL_AESM,
    NODE_LABELS,
    PROVISION,
    SGX_RESOURCES,
)
from donjon.kube.objects import condition_of, labels_of, name_of
from donjon.kube.quantities import readable
from donjon.kube.reserved import Amounts, allocatable, epc_offered, pod_requests, requests_by_node
from donjon.kube.selection import (
    CORDON,
    MAX_MISFITS,
    SILENCE_TAINTS,
    STATE_TAINTS,
    for_administrators,
    label_absences,
    meant_for,
    misfits,
    not_tolerated,
    selects,
)

MAX_RESOURCES = 100
"""Of those that have nothing to do with SGX, that are compared: a pod has room for tens of thousands of names."""


class Obstacle(Enum):
    """A kind of thing that speaks against a pod on a node; the first that hold are the hardest to clear away."""

    ELSEWHERE = 0  # the pod names other nodes, as those of a DaemonSet do
    NO_SGX = 1  # no EPC is offered, and nothing says that the node should
    TOO_LARGE = 2  # the whole node has less EPC than the pod asks for
    NODE_DOWN = 3  # the kubelet's own condition Ready
    NODE_TAINT = 4  # what Kubernetes itself tells of the node's state by a taint, as of a full disk
    NOT_READY = 5  # the condition SGXReady
    FOREIGN_NAME = 6  # EPC under a name that nobody offers
    DEVICE = 7
    NO_EPC_FREE = 8
    TAINT = 9
    SELECTION = 10
    AESM = 11
    CORDON = 12
    OTHER = 13  # cpu, memory and what else has nothing to do with SGX


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One thing that speaks against the pod on a node."""

    obstacle: Obstacle
    words: str
    scarce: str = ""  # the resource that others hold, where that is what stands in the way
    labels: str = ""  # that would let the pod in, where an administrator may write them, as `kubectl label` takes them


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """How much of something a node offers, and what of it nobody holds."""

    total: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node as one pod sees it."""

    name: str
    epc: Stock  # bytes
    enclave: Stock
    provision: Stock
    aesm: str  # the label, empty where there is none
    ready: str  # the status of SGXReady, empty where there is none; Unknown where it is True and nobody keeps it so
    message: str  # what SGXReady says
    taints: tuple[str, ...]  # those that the pod does not tolerate
    against: tuple[Objection, ...]

    @property
    def obstacles(self) -> frozenset[Obstacle]:
        """The kinds of what speaks against the pod."""
        return frozenset(each.obstacle for each in self.against)


def look(pod: JsonObject, nodes: Iterable[JsonObject], pods: Iterable[JsonObject]) -> tuple[NodeView, ...]:
    """Every node as the pod sees it, by name; `pods` are all that were given a node, the pod itself left out of the account."""
    own = at(pod, "metadata", "uid")
    return look_at(pod, nodes, requests_by_node(each for each in pods if own is None or at(each, "metadata", "uid") != own))


def look_at(pod: JsonObject, nodes: Iterable[JsonObject], holding: Mapping[str, Amounts]) -> tuple[NodeView, ...]:
    """The same, where what others hold on each node is summed already."""
    asker = _Asker(pod=pod, requests=_comparable(pod_requests(pod)))
    views = (_view(asker, node, holding.get(name_of(node), {})) for node in nodes)
    return tuple(sorted(views, key=lambda view: view.name))


def lacks_aesm(pod: JsonObject, node: JsonObject) -> bool:
    """Whether the pod may not be on the node for no other reason than that no AESM answers there."""
    labels, name = labels_of(node), name_of(node)
    return not selects(pod, name, labels) and selects(pod, name, {**labels, LABEL_AESM: AESM_READY})


def amount_text(resource: str, amount: Fraction) -> str:
    """An amount of a resource as a person reads it."""
    if amount.denominator == 1 and (resource in {EPC, "memory", "ephemeral-storage"} or resource.startswith("hugepages-")):
        return readable(int(amount))
    return str(int(amount)) if amount.denominator == 1 else f"{float(amount):g}"


def node_trouble(node: JsonObject) -> str:
    """Why the node itself is not ready, whatever runs on it, as Kubernetes has it; empty where it is."""
    kubelet = condition_of(node, "Ready")
    if not kubelet or kubelet.get("status") == "True":
        return ""
    return f"the node itself is not ready: {recite(kubelet.get('message') or 'silent')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asker:
    """The pod, and what is compared of what it requests, summed once for all nodes; by name."""

    pod: JsonObject
    requests: Amounts


def _comparable(requests: Amounts) -> Amounts:
    whole = {**requests, "pods": Fraction(1)}
    others = [each for each in sorted(whole) if each not in SGX_RESOURCES]
    return {name: whole[name] for name in sorted((*others[:MAX_RESOURCES], *(whole.keys() & SGX_RESOURCES)))}


def _view(asker: _Asker, node: JsonObject, holding: Amounts) -> NodeView:
    there = allocatable(node)
    ready, message = _sgx_ready(node, there)
    return NodeView(
        name=name_of(node),
        epc=_stock(EPC, there, holding),
        enclave=_stock(ENCLAVE, there, holding),
        provision=_stock(PROVISION, there, holding),
        aesm=str(labels_of(node).get(LABEL_AESM) or ""),
        ready=ready,
        message=message,
        taints=not_tolerated(asker.pod, node),
        against=tuple(each for check in CHECKS for each in check(asker, node, holding)),
    )


def _sgx_ready(node: JsonObject, there: Amounts) -> tuple[str, str]:
    """Status and message of SGXReady, which stays True where kubelet or agent are gone: silent, or no device is offered."""
    ready = condition_of(node, CONDITION_READY)
    status, message = recite(ready.get("status") or ""), recite(ready.get("message") or "")
    if status == "True" and (_silent(node) or not there.get(ENCLAVE)):
        return "Unknown", f"its agent said last: {message}"
    return status, message


def _stock(resource: str, there: Amounts, holding: Amounts) -> Stock:
    total, reserved = there.get(resource, Fraction(0)), holding.get(resource, Fraction(0))
    return Stock(total=int(total), free=max(int(total - reserved), 0))


def _readiness(_asker: _Asker, node: JsonObject, _holding: Amounts) -> Iterator[Objection]:
    sgx = condition_of(node, CONDITION_READY)
    if sgx.get("status") == "False" and not never_had(node):
        yield Objection(
            obstacle=Obstacle.NOT_READY, words=f"not ready for enclaves: {recite(sgx.get('message') or 'no reason given')}"
        )
    if words := node_trouble(node):
        yield Objection(obstacle=Obstacle.NODE_DOWN, words=words)


def _selection(asker: _Asker, node: JsonObject, _holding: Amounts) -> Iterator[Objection]:
    pod = asker.pod
    if selects(pod, name_of(node), labels_of(node)):
        return
    nodes, missing = meant_for(pod), label_absences(pod, name_of(node), labels_of(node))
    if nodes is not None and name_of(node) not in nodes:
        yield Objection(obstacle=Obstacle.ELSEWHERE, words="the pod is meant for another node")
    elif lacks_aesm(pod, node):
        yield Objection(obstacle=Obstacle.AESM, words="no AESM answers there, and the pod needs it")
    elif not (missing and missing.keys() <= set(NODE_LABELS) and _without_sgx(node)):  # Its agent took them away with the rest.
        words = "; ".join(misfits(pod, labels_of(node)))
        yield Objection(
            obstacle=Obstacle.SELECTION,
            words=f"the pod wants {words}" if words else "the pod's affinity leaves it out",
            labels=_giving(missing),
        )


def _giving(labels: Mapping[str, str]) -> str:
    """What `kubectl label` is to be told for these labels; empty for many, or where one is not for an administrator to give."""
    may = len(labels) <= MAX_MISFITS and all(starmap(for_administrators, labels.items()))
    return " ".join(f"{key}={value}" for key, value in labels.items()) if may else ""


def _taints(asker: _Asker, node: JsonObject, _holding: Amounts) -> Iterator[Objection]:
    for taint in not_tolerated(asker.pod, node):
        if taint == CORDON:
            yield Objection(obstacle=Obstacle.CORDON, words="it is cordoned: it takes no new pods")
        elif taint.startswith(STATE_TAINTS):
            if not (taint.startswith(SILENCE_TAINTS) and _silent(node)):  # Its condition says it better.
                yield Objection(obstacle=Obstacle.NODE_TAINT, words=f"the node itself is in trouble: taint {taint}")
        else:
            yield Objection(obstacle=Obstacle.TAINT, words=f"taint {taint} is not tolerated")


def _epc(asker: _Asker, node: JsonObject, holding: Amounts) -> Iterator[Objection]:
    requested, there = asker.requests.get(EPC, Fraction(0)), epc_offered(node)
    free = max(there - holding.get(EPC, Fraction(0)), Fraction(0))
    if not requested or requested <= free:
        return
    if not there:
        yield Objection(obstacle=Obstacle.NO_SGX if _plain(node) else Obstacle.NOT_READY, words="offers no EPC")
    elif requested > there:
        yield Objection(obstacle=Obstacle.TOO_LARGE, words=f"has {amount_text(EPC, there)} of EPC in all")
    else:
        yield Objection(obstacle=Obstacle.NO_EPC_FREE, words=f"{amount_text(EPC, free)} of {amount_text(EPC, there)} EPC free")


def _others(asker: _Asker, node: JsonObject, holding: Amounts) -> Iterator[Objection]:
    there = allocatable(node)
    for resource, requested in asker.requests.items():
        total, reserved = there.get(resource, Fraction(0)), holding.get(resource, Fraction(0))
        if resource == EPC or requested <= total - reserved:
            continue
        if resource in DEVICES and not total and not there.get(EPC) and asker.requests.get(EPC):
            continue  # That it offers no EPC says it already.
        left = amount_text(resource, max(total - reserved, Fraction(0)))
        if resource in FOREIGN_EPC and not total:
            yield Objection(obstacle=Obstacle.FOREIGN_NAME, words=f"offers no {resource}")
        elif resource in DEVICES:
            words = f"{left} of {amount_text(resource, total)} {resource} free" if total else f"offers no {resource}"
            kind = Obstacle.DEVICE if total or not _plain(node) else Obstacle.NO_SGX
            yield Objection(obstacle=kind, words=words, scarce=resource if total else "")
        else:
            yield Objection(obstacle=Obstacle.OTHER, words=f"{left} of {amount_text(resource, total)} {resource} free")


CHECKS: tuple[Callable[[_Asker, JsonObject, Amounts], Iterator[Objection]], ...] = (
    _readiness,
    _epc,
    _others,
    _taints,
    _selection,
)


def never_had(node: JsonObject) -> bool:
    """Whether the agent itself says that the machine has no SGX: that is no trouble, only another kind of node."""
    return codes.NO_SGX in agent_codes(node)


def agent_codes(node: JsonObject) -> frozenset[str]:
    """The codes in what the agent says by SGXReady."""
    return codes.codes_in(str(condition_of(node, CONDITION_READY).get("message") or ""))


def _without_sgx(node: JsonObject) -> bool:
    """Whether the node runs no enclaves now, or never did."""
    return _plain(node) or condition_of(node, CONDITION_READY).get("status") == "False"


def _silent(node: JsonObject) -> bool:
    return bool(node_trouble(node))


def _plain(node: JsonObject) -> bool:
    """Whether nothing says that this node should offer SGX."""
    return not epc_offered(node) and (not condition_of(node, CONDITION_READY) or never_had(node))
