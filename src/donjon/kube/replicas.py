"""How many pods an object makes that has a template of them, and how far its autoscaler may go."""

from collections.abc import Mapping

from donjon.formats.json import Json, JsonObject, at
from donjon.formats.words import excerpt

DAEMON_SET = "DaemonSet"
MAX_REPLICAS = 1_000_000
"""More pods of one object than any cluster has; what says more is counted as that."""

_WHERE = {
    "Job": ("spec", "parallelism"),
    "CronJob": ("spec", "jobTemplate", "spec", "parallelism"),
}
_REPLICAS = ("spec", "replicas")
_NUMBERS = ("replicas", "parallelism")


def replicas_of(thing: JsonObject) -> int:
    """Its pods at a time; 1 where it does not say, as Kubernetes has it (of a DaemonSet that is one a node)."""
    return _count(at(thing, *_WHERE.get(str(thing.get("kind")), _REPLICAS)))


def replicas_towards(thing: JsonObject, pointer: str) -> int:
    """Pods of a template in a kind of others (JobSet, PyTorchJob, FlinkDeployment): every number above it counts."""
    product = 1
    for number in numbers_above(thing, pointer).values():
        product *= _count(number)
    return min(product, MAX_REPLICAS)


def numbers_above(thing: JsonObject, pointer: str) -> Mapping[str, Json]:
    """What is said of replicas on the way to that place, by the place."""
    numbers: dict[str, Json] = {}
    here: Json = thing
    place = ""
    for step in pointer.split("/")[1:]:
        numbers |= {f"{place}/{name}": here[name] for name in _NUMBERS if isinstance(here, dict) and here.get(name) is not None}
        here = here[int(step)] if isinstance(here, list) else at(here, step.replace("~1", "/").replace("~0", "~"))
        place = f"{place}/{step}"
    return numbers


def impossible_count(thing: JsonObject) -> str:
    """What is wrong with how many pods an object says that it makes, or its autoscaler at the most; empty where nothing is."""
    is_autoscaler = thing.get("kind") == "HorizontalPodAutoscaler"
    where = ("spec", "maxReplicas") if is_autoscaler else _WHERE.get(str(thing.get("kind")), _REPLICAS)
    return impossible_number(".".join(where), at(thing, *where))


def impossible_number(place: str, number: Json) -> str:
    """What is wrong with a number of pods; empty where nothing is, or none is said."""
    if number is None or (isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MAX_REPLICAS):
        return ""
    return f"{place} is {excerpt(repr(number))}, expected a whole number from 0 to {MAX_REPLICAS}"


def most_replicas(autoscaler: JsonObject) -> int:
    """To how many pods a HorizontalPodAutoscaler goes."""
    return _count(at(autoscaler, "spec", "maxReplicas"))


def _count(number: Json) -> int:
    return min(max(number, 0), MAX_REPLICAS) if isinstance(number, int) and not isinstance(number, bool) else 1
