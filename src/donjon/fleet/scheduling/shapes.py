"""Pods as the scheduler sees them: those that are alike have one shape, which is read once for all of them.

Source: k8s.io/kubernetes `pkg/scheduler/framework/types.go`, `pkg/scheduler/util/pod_resources.go`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from donjon.fleet.scheduling import constraints
from donjon.fleet.scheduling.constraints import PREFERRED, REQUIRED, AffinityTerm, PodKind, SpreadConstraint
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.objects import CONTAINER_FIELDS, containers_of, labels_of, namespace_of
from donjon.kube.reserved import Amounts, pod_requests

CPU, MEMORY, PODS = "cpu", "memory", "pods"
LEAST: Amounts = {CPU: Fraction(1, 10), MEMORY: Fraction(200 << 20)}
"""What a container without a request counts for in scores: a tenth of a processor, 200 MiB."""

MAX_WORDS = 5000
"""Of what one pod says of nodes: each of them may be held against each of it."""
_NOT_READ = ("resourceClaims", "schedulingGates", "schedulingGroup", "workloadRef")
"""Fields of a pod's spec that decide where it goes, and whose sense lies in other objects, or in time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PodShape:
    """Everything of a pod by which the scheduler tells it from others."""

    pod: JsonObject
    stance: str  # the same for pods that say the same of nodes, whatever they say of each other
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
    soft_spread: tuple[SpreadConstraint, ...]  # that only wishes
    is_spread_by_default: bool
    preferences: tuple[tuple[AffinityTerm, int], ...]  # and their weights; below 0, to be away from such pods
    node_preferences: tuple[tuple[JsonObject, int], ...]  # each as a pod that requires it
    images: tuple[str, ...]
    unread: str  # what decides and is not looked at; empty where nothing is
    wishes: frozenset[str]  # labels of nodes that the pod's own words name


class ShapeTable:
    """The shapes of pods, one for those that are alike. Pods that it was shown it keeps, and knows again."""

    def __init__(self) -> None:
        self._shapes: dict[str, PodShape] = {}
        self._stances: dict[str, str] = {}
        self._pods: dict[int, tuple[JsonObject, PodShape]] = {}  # by identity, which lasts as long as the pod is kept

    def of(self, pod: JsonObject) -> PodShape:
        """The pod's shape."""
        if id(pod) not in self._pods:
            self._pods[id(pod)] = (pod, self._read(pod))
        return self._pods[id(pod)][1]

    def _read(self, pod: JsonObject) -> PodShape:
        stance = json.dumps(_stance(pod), sort_keys=True)
        around = [namespace_of(pod), labels_of(pod), constraints.is_spread_by_default(pod), _around(pod)]
        text = stance + json.dumps(around, sort_keys=True)
        if text not in self._shapes:
            self._shapes[text] = shape_of(pod, self._stances.setdefault(stance, stance))
        return self._shapes[text]


_STANCE = ("nodeName", "nodeSelector", "tolerations", "overhead", "resources", "schedulerName", *_NOT_READ)
_AROUND = ("podAffinity", "podAntiAffinity")


def _stance(pod: JsonObject) -> Json:
    """What it says of nodes alone, and nothing that another pod of its owner says otherwise, such as a token's volume."""
    spec = at(pod, "spec")
    fields = [spec.get(name) for name in _STANCE] if isinstance(spec, dict) else []
    containers = [list(map(_essence, objects(at(spec, field)))) for field in CONTAINER_FIELDS]
    return [fields, at(spec, "affinity", "nodeAffinity"), _unread(pod), *containers]


def _around(pod: JsonObject) -> Json:
    affinity = at(pod, "spec", "affinity")
    return [*(at(affinity, field) for field in _AROUND), at(pod, "spec", "topologySpreadConstraints")]


def _essence(container: JsonObject) -> Json:
    return [container.get(name) for name in ("image", "resources", "ports", "restartPolicy")]


def shape_of(pod: JsonObject, stance: str) -> PodShape:
    """What the scheduler reads of a pod."""
    affinity, anti_affinity = (constraints.terms(pod, field) for field in ("podAffinity", "podAntiAffinity"))
    spread, soft_spread = (tuple(constraints.spread(pod, when)) for when in ("DoNotSchedule", "ScheduleAnyway"))
    is_default = not at(pod, "spec", "topologySpreadConstraints") and constraints.is_spread_by_default(pod)
    amounts, scores = whole(pod_requests(pod)), whole(pod_requests(pod, LEAST))
    return PodShape(
        pod=pod,
        stance=stance,
        kind=constraints.kind_of(pod),
        requests={**amounts, PODS: 1},
        cpu=amounts.get(CPU, 0),
        memory=amounts.get(MEMORY, 0),
        score_cpu=scores.get(CPU, 0),
        score_memory=scores.get(MEMORY, 0),
        ports=frozenset(_ports(pod)),
        spread=spread,
        affinity=affinity,
        anti_affinity=anti_affinity,
        soft_spread=tuple(constraints.default_spread(pod)) if is_default else soft_spread,
        is_spread_by_default=is_default,
        preferences=tuple(constraints.preferences(pod)),
        node_preferences=tuple(constraints.node_preferences(pod)),
        images=tuple(image_name(str(each.get("image") or "")) for each in containers_of(pod)),
        unread=_unread(pod),
        wishes=frozenset(_wishes(pod)),
    )


def whole(amounts: Amounts) -> dict[str, int]:
    """Amounts as the scheduler counts them: thousandths of processors, whole numbers of all else, each rounded up."""
    return {name: math.ceil(amount * 1000 if name == CPU else amount) for name, amount in amounts.items() if amount > 0}


def _ports(pod: JsonObject) -> Iterator[tuple[str, str, int]]:
    for container in containers_of(pod):
        for port in objects(container.get("ports")):
            number = port.get("hostPort")
            if isinstance(number, int) and number > 0:
                yield str(port.get("protocol") or "TCP"), str(port.get("hostIP") or "0.0.0.0"), number  # noqa: S104 - any address.


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
    if _affinity_words(pod) > MAX_WORDS:
        return f"a nodeAffinity of more than {MAX_WORDS} expressions and values"
    return constraints.unread_terms(pod)


def _affinity_words(pod: JsonObject) -> int:
    affinity = at(pod, "spec", "affinity", "nodeAffinity")
    preferences = [at(each, "preference") for each in objects(at(affinity, PREFERRED))]
    terms = [*objects(at(affinity, REQUIRED, "nodeSelectorTerms")), *preferences]
    values = (at(each, "values") for term in terms for each in objects(at(term, "matchExpressions")))
    return len(terms) + sum(1 + (len(each) if isinstance(each, list) else 0) for each in values)


def _wishes(pod: JsonObject) -> Iterator[str]:
    selector = at(pod, "spec", "nodeSelector")
    yield from map(str, selector if isinstance(selector, dict) else ())
    for term in objects(at(pod, "spec", "affinity", "nodeAffinity", REQUIRED, "nodeSelectorTerms")):
        yield from (str(each.get("key")) for each in objects(term.get("matchExpressions")))
        if objects(term.get("matchFields")):
            yield "metadata.name"


def image_name(image: str) -> str:
    """As nodes name what they have: with a tag."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
