"""Pods as the scheduler sees them: those that are alike have one shape, which is read once for all of them.

Source: k8s.io/kubernetes `pkg/scheduler/framework/types.go`, `pkg/scheduler/util/pod_resources.go`.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.objects import containers_of, labels_of, namespace_of
from donjon.kube.reserved import Amounts, pod_requests
from donjon.kube.selection import OPERATORS

MAX_CONSTRAINTS = 32  # of one pod, of each kind

CPU, MEMORY, PODS = "cpu", "memory", "pods"
LEAST_CPU, LEAST_MEMORY = 100, 200 << 20
"""What a container without a request counts for in scores: thousandths of a processor, bytes."""

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_NOT_READ = ("resourceClaims", "schedulingGates", "schedulingGroup", "workloadRef")
"""Fields of a pod's spec that decide where it goes, and whose sense lies in other objects, or in time."""


class PodKind(NamedTuple):
    """Pods that no selector can tell apart."""

    namespace: str
    labels: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PodSelector:
    """Which pods a constraint is about."""

    namespaces: frozenset[str]
    every_namespace: bool
    requirements: tuple[tuple[str, str, tuple[str, ...]], ...]  # label, operator, values
    nothing: bool = False  # a selector that is not there selects none

    def holds(self, kind: PodKind) -> bool:
        """Whether it is about pods of that kind."""
        if self.nothing or not (self.every_namespace or kind.namespace in self.namespaces):
            return False
        labels = dict(kind.labels)
        return all(OPERATORS[operator](labels.get(key), [*values]) for key, operator, values in self.requirements)


@dataclass(frozen=True, slots=True)
class SpreadConstraint:
    """How unevenly pods may lie in the domains of a label."""

    key: str
    selector: PodSelector
    max_skew: int
    min_domains: int
    honors_affinity: bool
    honors_taints: bool


@dataclass(frozen=True, slots=True)
class AffinityTerm:
    """With which pods, or without which, in one domain of a label."""

    key: str
    selector: PodSelector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PodShape:
    """Everything of a pod by which the scheduler tells it from others."""

    pod: JsonObject
    kind: PodKind
    requests: Mapping[str, int]  # thousandths of processors, bytes, numbers; 1 of `pods`
    cpu: int  # of these, for what is reckoned with each node
    memory: int
    score_cpu: int
    score_memory: int
    ports: frozenset[tuple[str, str, int]]  # protocol, address, port of the host
    spread: tuple[SpreadConstraint, ...]
    affinity: tuple[AffinityTerm, ...]
    anti_affinity: tuple[AffinityTerm, ...]
    unread: str  # what decides and is not looked at; empty where nothing is
    wishes: frozenset[str]  # labels of nodes that the pod's own words name

    @property
    def looks_around(self) -> bool:
        """Whether other pods decide where it may go."""
        return bool(self.spread or self.affinity or self.anti_affinity)


class ShapeTable:
    """The shapes of pods, one for those that are alike."""

    def __init__(self) -> None:
        self._shapes: dict[str, PodShape] = {}

    def of(self, pod: JsonObject) -> PodShape:
        """The pod's shape."""
        spec = at(pod, "spec")
        text = json.dumps([namespace_of(pod), labels_of(pod), spec], sort_keys=True)
        if text not in self._shapes:
            self._shapes[text] = shape_of(pod)
        return self._shapes[text]


def shape_of(pod: JsonObject) -> PodShape:
    """What the scheduler reads of a pod."""
    requests = pod_requests(pod)
    affinity, anti_affinity = (_terms(pod, field) for field in ("podAffinity", "podAntiAffinity"))
    spread = tuple(_spread(pod))
    amounts = whole(requests)
    return PodShape(
        pod=pod,
        kind=kind_of(pod),
        requests={**amounts, PODS: 1},
        cpu=amounts.get(CPU, 0),
        memory=amounts.get(MEMORY, 0),
        score_cpu=_score(pod, CPU, LEAST_CPU, requests),
        score_memory=_score(pod, MEMORY, LEAST_MEMORY, requests),
        ports=frozenset(_ports(pod)),
        spread=spread,
        affinity=affinity,
        anti_affinity=anti_affinity,
        unread=_unread(pod),
        wishes=frozenset(_wishes(pod)),
    )


def kind_of(pod: JsonObject) -> PodKind:
    """Namespace and labels of a pod."""
    return PodKind(namespace_of(pod), frozenset((key, str(value)) for key, value in labels_of(pod).items()))


def whole(amounts: Amounts) -> dict[str, int]:
    """Amounts as the scheduler counts them: thousandths of processors, whole numbers of all else, each rounded up."""
    return {name: math.ceil(amount * 1000 if name == CPU else amount) for name, amount in amounts.items() if amount > 0}


def _score(pod: JsonObject, name: str, least: int, requests: Amounts) -> int:
    """What it counts for in scores: containers that ask for nothing count for a little."""
    silent = [each for each in objects(at(pod, "spec", "containers")) if at(each, "resources", "requests", name) is None]
    silent = [each for each in silent if at(each, "resources", "limits", name) is None]
    amount = requests.get(name, Fraction(0)) * (1000 if name == CPU else 1)
    return math.ceil(amount) + least * len(silent)


def _ports(pod: JsonObject) -> Iterator[tuple[str, str, int]]:
    for container in containers_of(pod):
        for port in objects(container.get("ports")):
            number = port.get("hostPort")
            if isinstance(number, int) and number > 0:
                yield str(port.get("protocol") or "TCP"), str(port.get("hostIP") or "0.0.0.0"), number  # noqa: S104 - any address.


def _terms(pod: JsonObject, field: str) -> tuple[AffinityTerm, ...]:
    terms = objects(at(pod, "spec", "affinity", field, _REQUIRED))[:MAX_CONSTRAINTS]
    return tuple(AffinityTerm(str(each.get("topologyKey") or ""), _selector(pod, each)) for each in terms)


def _selector(pod: JsonObject, term: JsonObject) -> PodSelector:
    names = frozenset(map(str, _list(term.get("namespaces"))))
    everywhere = term.get("namespaceSelector") == {}
    own = frozenset() if names or everywhere else frozenset({namespace_of(pod)})
    return _label_selector(pod, term, names | own, every_namespace=everywhere)


def _label_selector(pod: JsonObject, term: JsonObject, namespaces: frozenset[str], *, every_namespace: bool) -> PodSelector:
    selector, labels = term.get("labelSelector"), labels_of(pod)
    if not isinstance(selector, dict):
        return PodSelector(namespaces, every_namespace, (), nothing=True)
    pairs = at(selector, "matchLabels")
    requirements: list[tuple[str, str, tuple[str, ...]]] = []
    requirements += [(key, "In", (str(value),)) for key, value in (pairs.items() if isinstance(pairs, dict) else ())]
    for each in objects(selector.get("matchExpressions")):
        operator = str(each.get("operator"))
        if operator in OPERATORS:
            requirements.append((str(each.get("key")), operator, tuple(map(str, _list(each.get("values"))))))
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        requirements += [(str(key), operator, (str(labels[str(key)]),)) for key in _list(term.get(field)) if str(key) in labels]
    return PodSelector(namespaces, every_namespace, tuple(requirements))


def _spread(pod: JsonObject) -> Iterator[SpreadConstraint]:
    for each in objects(at(pod, "spec", "topologySpreadConstraints"))[:MAX_CONSTRAINTS]:
        if each.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule":
            yield SpreadConstraint(
                key=str(each.get("topologyKey") or ""),
                selector=_label_selector(pod, each, frozenset({namespace_of(pod)}), every_namespace=False),
                max_skew=_number(each.get("maxSkew"), 1),
                min_domains=_number(each.get("minDomains"), 1),
                honors_affinity=each.get("nodeAffinityPolicy", "Honor") == "Honor",
                honors_taints=each.get("nodeTaintsPolicy", "Ignore") == "Honor",
            )


def _unread(pod: JsonObject) -> str:
    spec = at(pod, "spec")
    fields: JsonObject = spec if isinstance(spec, dict) else {}
    if str(fields.get("schedulerName") or "default-scheduler") != "default-scheduler":
        return "another scheduler than Kubernetes' own"
    for name in _NOT_READ:
        if fields.get(name):
            return name
    if any("persistentVolumeClaim" in each or "ephemeral" in each for each in objects(fields.get("volumes"))):
        return "volumes that are claimed"
    for field in ("podAffinity", "podAntiAffinity"):
        for each in objects(at(pod, "spec", "affinity", field, _REQUIRED)):
            if each.get("namespaceSelector") not in (None, {}):
                return "namespaceSelector"
    return ""


def _wishes(pod: JsonObject) -> Iterator[str]:
    selector = at(pod, "spec", "nodeSelector")
    yield from map(str, selector if isinstance(selector, dict) else ())
    for term in objects(at(pod, "spec", "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms")):
        yield from (str(each.get("key")) for each in objects(term.get("matchExpressions")))
        if objects(term.get("matchFields")):
            yield "metadata.name"


def _list(value: Json) -> Iterable[Json]:
    return value if isinstance(value, list) else ()


def _number(value: Json, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
