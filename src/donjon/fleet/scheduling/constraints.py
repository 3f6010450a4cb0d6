"""What a pod says of the pods around it: where it may not be without them, or with them, and where it would rather be."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.objects import labels_of, namespace_of, owners_of
from donjon.kube.selection import OPERATORS

MAX_CONSTRAINTS = 32  # of one pod, of each kind
NAME_LABEL = "kubernetes.io/metadata.name"  # of every namespace, its own name; the API server sees to it
HOSTNAME_LABEL, ZONE_LABEL = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
_SPREAD_KINDS = frozenset({"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"})


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
    is_unsure: bool = False  # it may be about fewer namespaces than all, and which is for other objects to say
    words: int = 0  # that are compared

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


ANYBODY = PodSelector(frozenset(), every_namespace=True, requirements=(), is_unsure=True)
"""Of terms that are not looked at: whom they are about is not known."""


def kind_of(pod: JsonObject) -> PodKind:
    """Namespace and labels of a pod."""
    return PodKind(namespace_of(pod), frozenset((key, str(value)) for key, value in labels_of(pod).items()))


def terms(pod: JsonObject, field: str) -> tuple[AffinityTerm, ...]:
    """What must hold of podAffinity or podAntiAffinity."""
    whole = objects(at(pod, "spec", "affinity", field, REQUIRED))
    terms = tuple(_term(pod, each) for each in whole[:MAX_CONSTRAINTS])
    return (
        *terms,
        *(AffinityTerm(key, ANYBODY) for key in sorted({str(each.get("topologyKey")) for each in whole[MAX_CONSTRAINTS:]})),
    )


def unread_terms(pod: JsonObject) -> str:
    """What of a pod's words about pods around it decides and is not looked at; empty where nothing is."""
    for field in ("podAffinity", "podAntiAffinity"):
        whole = objects(at(pod, "spec", "affinity", field, REQUIRED))
        if len(whole) > MAX_CONSTRAINTS:
            return f"more than {MAX_CONSTRAINTS} terms of {field}"
        if any(_namespaces(each.get("namespaceSelector")) is None for each in whole):
            return "namespaceSelector"
    count = len(objects(at(pod, "spec", "topologySpreadConstraints")))
    return "" if count <= MAX_CONSTRAINTS else f"more than {MAX_CONSTRAINTS} topologySpreadConstraints"


def _term(pod: JsonObject, term: JsonObject) -> AffinityTerm:
    return AffinityTerm(str(term.get("topologyKey") or ""), _selector(pod, term))


def _selector(pod: JsonObject, term: JsonObject) -> PodSelector:
    names, places = frozenset(map(str, _list(term.get("namespaces")))), term.get("namespaceSelector")
    more = _namespaces(places)
    own = frozenset() if names or places is not None else frozenset({namespace_of(pod)})
    selector = _label_selector(pod, term, names | own | (more or frozenset()), every_namespace=places == {} or more is None)
    return replace(selector, is_unsure=more is None)


def _namespaces(selector: Json) -> frozenset[str] | None:
    """The namespaces that a selector names by the label that each has of its own name; `None` where it says more than that."""
    if selector is None or selector == {}:
        return frozenset()
    labels = at(selector, "matchLabels")
    if isinstance(labels, dict) and labels.keys() == {NAME_LABEL} and not at(selector, "matchExpressions"):
        return frozenset({str(labels[NAME_LABEL])})
    return None


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
    words = sum(1 + len(values) for _, _, values in requirements)
    return PodSelector(namespaces, every_namespace, tuple(requirements), words=words)


def preferences(pod: JsonObject) -> Iterator[tuple[AffinityTerm, int]]:
    """What it prefers of pods around it, with its weight; below 0, to be away from such pods."""
    for field, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        for each in objects(at(pod, "spec", "affinity", field, PREFERRED))[:MAX_CONSTRAINTS]:
            term = at(each, "podAffinityTerm")
            if isinstance(term, dict):
                yield _term(pod, term), sign * _number(each.get("weight"), 0)


def node_preferences(pod: JsonObject) -> Iterator[tuple[JsonObject, int]]:
    """Nodes that it prefers, each as a pod that requires them, with its weight."""
    for each in objects(at(pod, "spec", "affinity", "nodeAffinity", PREFERRED))[:MAX_CONSTRAINTS]:
        required: JsonObject = {REQUIRED: {"nodeSelectorTerms": [at(each, "preference")]}}
        yield {"spec": {"affinity": {"nodeAffinity": required}}}, _number(each.get("weight"), 0)


def is_spread_by_default(pod: JsonObject) -> bool:
    """Services do the same for the pods that they select; they are not looked at."""
    return any(each.get("kind") in _SPREAD_KINDS for each in owners_of(pod))


def default_spread(pod: JsonObject) -> Iterator[SpreadConstraint]:
    """What the scheduler adds to pods of a ReplicaSet or the like that say nothing themselves (`systemDefaultConstraints`)."""
    pairs: JsonObject = {"labelSelector": {"matchLabels": {**labels_of(pod)}}}
    selector = _label_selector(pod, pairs, frozenset({namespace_of(pod)}), every_namespace=False)
    for key, skew in ((HOSTNAME_LABEL, 3), (ZONE_LABEL, 5)):
        yield SpreadConstraint(key, selector, max_skew=skew, min_domains=1, honors_affinity=True, honors_taints=False)


def spread(pod: JsonObject, when: str) -> Iterator[SpreadConstraint]:
    """Its own constraints of spreading, of one kind: DoNotSchedule or ScheduleAnyway."""
    for each in objects(at(pod, "spec", "topologySpreadConstraints"))[:MAX_CONSTRAINTS]:
        if each.get("whenUnsatisfiable", "DoNotSchedule") == when:
            yield SpreadConstraint(
                key=str(each.get("topologyKey") or ""),
                selector=_label_selector(pod, each, frozenset({namespace_of(pod)}), every_namespace=False),
                max_skew=_number(each.get("maxSkew"), 1),
                min_domains=_number(each.get("minDomains"), 1),
                honors_affinity=each.get("nodeAffinityPolicy", "Honor") == "Honor",
                honors_taints=each.get("nodeTaintsPolicy", "Ignore") == "Honor",
            )


def _list(value: Json) -> Iterable[Json]:
    return value if isinstance(value, list) else ()


def _number(value: Json, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
