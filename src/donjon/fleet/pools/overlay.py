"""What is put where a pool is there already: all of it, changed where the plan says so; what a put leaves out, it takes away."""

from donjon.fleet.pools.properties import BOUNDS, COUNT, DEFAULTS, LABELS, SCALES, TAGS, TAINTS, is_of_aks, is_same
from donjon.formats.json import Json, JsonObject, at

_READ_ONLY = frozenset({"provisioningState", "eTag", "currentOrchestratorVersion"})


def overlay(plan: JsonObject, there: JsonObject | None) -> JsonObject:
    """The properties to be put; those of the plan where there is no pool."""
    if there is None:
        return plan
    changes = {
        name: _merge(name, at(there, name), value) for name, value in plan.items() if not is_same(name, there.get(name), value)
    }
    defaults = {name: value for name, value in DEFAULTS.items() if name in there and name not in plan}
    whole = {name: value for name, value in there.items() if name not in _READ_ONLY} | changes | defaults
    if plan.get(SCALES):
        return whole | {COUNT: _within(there.get(COUNT), plan)}
    return {name: value for name, value in whole.items() if name not in BOUNDS}


def _merge(name: str, there: Json, plan: Json) -> Json:
    """The plan's value with what others wrote there: tags of anybody, labels and taints of AKS."""
    match there, plan:
        case dict(), dict() if name == TAGS:
            return there | plan
        case dict(), dict() if name == LABELS:
            return {key: value for key, value in there.items() if is_of_aks(key)} | plan
        case list(), list() if name == TAINTS:
            return [*(each for each in there if is_of_aks(each)), *plan]
        case _:
            return plan


def _within(count: Json, plan: JsonObject) -> Json:
    """How many nodes there are, as near as the autoscaler's bounds are; the plan's number is one to begin with."""
    least, most = (plan.get(name) for name in BOUNDS)
    if not (isinstance(count, int) and isinstance(least, int) and isinstance(most, int)):
        return plan.get(COUNT)
    return min(max(count, least), most)
