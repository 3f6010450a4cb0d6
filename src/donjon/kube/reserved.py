"""What the scheduler sets aside for a pod, by resource (k8s.io/component-helpers, `resource.PodRequests`).

Nothing here raises: what is no quantity sets nothing aside.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.quantities import exact

Amounts = Mapping[str, Fraction]
ENDED = frozenset({"Succeeded", "Failed"})
"""The phases in which a pod holds nothing any more."""


def amounts(listed: Json) -> dict[str, Fraction]:
    """A list of resources as numbers."""
    return {name: _number(said) for name, said in listed.items()} if isinstance(listed, dict) else {}


def reserved(pod: JsonObject) -> dict[str, Fraction]:
    """What is set aside for a pod: init containers run one by one beside the sidecars before them, containers side by side."""
    peak: dict[str, Fraction] = {}
    beside: dict[str, Fraction] = {}
    for container in objects(at(pod, "spec", "initContainers")):
        own = _requests(container)
        peak = _larger(peak, _sum(beside, own))
        if at(container, "restartPolicy") == "Always":
            beside = _sum(beside, own)
    for container in objects(at(pod, "spec", "containers")):
        beside = _sum(beside, _requests(container))
    whole = _larger(peak, beside) | amounts(at(pod, "spec", "resources", "requests"))  # A pod's own requests go first.
    return {name: amount for name, amount in _sum(whole, amounts(at(pod, "spec", "overhead"))).items() if amount > 0}


def held(pods: Iterable[JsonObject]) -> dict[str, dict[str, Fraction]]:
    """What the pods that were given a node hold there, by node; a pod that ended holds nothing."""
    by_node: dict[str, dict[str, Fraction]] = {}
    for pod in pods:
        node = at(pod, "spec", "nodeName")
        if isinstance(node, str) and node and at(pod, "status", "phase") not in ENDED:
            by_node[node] = _sum(by_node.get(node, {}), reserved(pod) | {"pods": Fraction(1)})
    return by_node


def _requests(container: JsonObject) -> dict[str, Fraction]:
    """The API server copies a limit without its request to the requests; a template was not there yet."""
    return amounts(at(container, "resources", "limits")) | amounts(at(container, "resources", "requests"))


def _sum(some: Amounts, others: Amounts) -> dict[str, Fraction]:
    return {name: some.get(name, Fraction(0)) + others.get(name, Fraction(0)) for name in (*some, *others)}


def _larger(some: Amounts, others: Amounts) -> dict[str, Fraction]:
    return {name: max(some.get(name, Fraction(0)), others.get(name, Fraction(0))) for name in (*some, *others)}


def _number(said: Json) -> Fraction:
    if isinstance(said, bool) or not isinstance(said, (str, int, float)):
        return Fraction(0)
    try:
        return max(exact(said if isinstance(said, str) else repr(said)), Fraction(0))
    except (Malformed, ValueError):  # Python does not print integers of more than 4,300 digits.
        return Fraction(0)
