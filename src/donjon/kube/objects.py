"""How Kubernetes writes down what we read of many things: their names, labels and conditions, and how far a pod is.

Nothing here raises: a thing may be of a newer API, or nonsense.
"""

from collections.abc import Mapping

from donjon.formats.json import Json, JsonObject, at, objects

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})
"""The phases in which a pod holds nothing any more."""
CONTAINER_FIELDS = ("initContainers", "containers")
"""Where a pod has its containers, in the order in which they start."""


def name_of(thing: Json) -> str:
    """The name of a thing; empty where it has none."""
    return str(at(thing, "metadata", "name") or "")


def namespace_of(thing: Json) -> str:
    """The namespace of a thing that is in one."""
    return str(at(thing, "metadata", "namespace") or "default")


def labels_of(thing: Json) -> Mapping[str, Json]:
    """The labels of a thing."""
    labels = at(thing, "metadata", "labels")
    return labels if isinstance(labels, dict) else {}


def owners_of(thing: Json) -> tuple[JsonObject, ...]:
    """Those to whom a thing belongs, and with which it goes."""
    return objects(at(thing, "metadata", "ownerReferences"))


def condition_of(thing: Json, kind: str) -> JsonObject:
    """The condition of that type; empty where the thing has none."""
    return next((each for each in objects(at(thing, "status", "conditions")) if at(each, "type") == kind), {})


def count(thing: Json, *path: str, default: int = 0) -> int:
    """A number that a thing says."""
    number = at(thing, *path)
    return number if isinstance(number, int) else default


def containers_of(pod: Json) -> tuple[JsonObject, ...]:
    """The containers of a pod, init containers first."""
    return tuple(each for field in CONTAINER_FIELDS for each in objects(at(pod, "spec", field)))


def node_name_of(pod: Json) -> str:
    """The node that a pod was given; empty where it has none."""
    return str(at(pod, "spec", "nodeName") or "")


def phase_of(pod: Json) -> str:
    """How far a pod is; one that says nothing is at its beginning."""
    return str(at(pod, "status", "phase") or "Pending")


def is_over(pod: Json) -> bool:
    """Whether a pod has ended, and holds nothing any more."""
    return phase_of(pod) in TERMINAL_PHASES


def is_here(pod: Json) -> bool:
    """Whether a pod counts: it has not ended, and is not on its way out."""
    return not is_over(pod) and at(pod, "metadata", "deletionTimestamp") is None
