"""What a pool that is there has, beside what the plan says of it: nothing to do, to be made, changed, waited for, or refused.

Source: Azure, AKS: which properties of an agent pool may be changed (agentPools, create or update).
"""

from dataclasses import dataclass
from enum import StrEnum

from donjon.findings import Finding
from donjon.fleet.pools.properties import COUNT, DEFAULTS, SCALES, is_same
from donjon.formats.json import Json, JsonObject, at
from donjon.formats.words import recite

UNCHANGEABLE = frozenset(
    (
        "vmSize",
        "osType",
        "availabilityZones",
        "scaleSetPriority",
        "scaleSetEvictionPolicy",
        "spotMaxPrice",
        "maxPods",
        "osDiskType",
        "osDiskSizeGB",
        "vnetSubnetID",
    )
)
"""What AKS sets when it makes a pool, and never after."""

_OVER = frozenset({"", "Succeeded", "Failed", "Canceled"})
"""States in which nobody changes it; there are more others than any page lists."""
_LEAVING = frozenset({"Deleting"})


class PoolStep(StrEnum):
    """What is to be done with a pool."""

    NOTHING = "nothing"
    MAKE = "make"
    CHANGE = "change"
    WAIT = "wait"  # somebody changes it already: an earlier run that was cut off, perhaps
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyDrift:
    """One property: what is there, and what the plan says."""

    name: str
    there: str
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDrift:
    """One pool: what is to be done, and why."""

    pool: str
    step: PoolStep
    drifts: tuple[PropertyDrift, ...] = ()
    state: str = ""  # Azure's word for how far it is; empty where it is not there
    findings: tuple[Finding, ...] = ()


def compare(pool: str, plan: JsonObject, there: JsonObject | None) -> PoolDrift:
    """What separates them; both are properties as Resource Manager has them."""
    if there is None:
        return PoolDrift(pool=pool, step=PoolStep.MAKE)
    state = str(at(there, "provisioningState") or "")
    drifts = tuple(_drifts(plan, there))
    if state in _LEAVING:
        return PoolDrift(pool=pool, step=PoolStep.REFUSE, drifts=drifts, state=state, findings=(_leaving(pool),))
    if state not in _OVER:
        return PoolDrift(pool=pool, step=PoolStep.WAIT, drifts=drifts, state=state)
    if fixed := [each for each in drifts if each.name in UNCHANGEABLE]:
        return PoolDrift(pool=pool, step=PoolStep.REFUSE, drifts=drifts, state=state, findings=(_fixed(pool, fixed),))
    done = state in {"", "Succeeded"}
    step = PoolStep.CHANGE if drifts or not done else PoolStep.NOTHING  # What failed is put again.
    return PoolDrift(pool=pool, step=step, drifts=drifts, state=state)


def _drifts(plan: JsonObject, there: JsonObject) -> list[PropertyDrift]:
    names = {*plan, *(name for name in DEFAULTS if name in there)}
    if plan.get(SCALES):
        names.discard(COUNT)  # That number is the autoscaler's.
    pairs = ((name, there.get(name), plan.get(name, DEFAULTS.get(name))) for name in sorted(names))
    return [
        PropertyDrift(name=name, there=_text(old), plan=_text(new)) for name, old, new in pairs if not is_same(name, old, new)
    ]


def _text(value: Json) -> str:
    return "nothing" if value is None else recite(str(value))


def _leaving(pool: str) -> Finding:
    why = "nothing can be made under its name until it is gone"
    return Finding.error("DJ842", f"pool {pool}", "is being deleted", why, "wait until it is gone, and apply again")


def _fixed(pool: str, drifts: list[PropertyDrift]) -> Finding:
    words = ", ".join(f"{each.name} is {each.there}, the plan says {each.plan}" for each in drifts)
    why = "Azure sets that when a pool is made, and never after"
    do = "plan another pool beside it, move its pods there, and delete this one yourself; donjon deletes none"
    return Finding.error("DJ841", f"pool {pool}", words, why, do)
