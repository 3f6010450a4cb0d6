"""A plan as a file has it, read into values: every field that is wrong, missing or unknown is said at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from donjon.findings import Finding
from donjon.fleet.pools.plan import Cloud, ClusterPlan, FleetPlan, NodeTaint, PlanFault, Pool, PoolMode, PoolScale, Scaler
from donjon.formats.json import Json, JsonObject
from donjon.formats.words import nearest, recite

MAX_POOLS = 100  # of a cluster; AKS takes as many
MAX_NODES = 5000  # of a cluster
MAX_TEXT = 253  # characters of a name, a label, a path
MAX_LABELS = 50
MAX_RESOURCE_ID = 1024  # characters
MIN_DISK, MAX_DISK = 30, 2048  # GB of a node's system, of AKS

_NOT_IN_TAGS = frozenset("<>%&\\?/")
_SUBNET = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+", re.IGNORECASE
)

W = TypeVar("W", bound=StrEnum)
Reader = Callable[[Json], Any]
"""Gives the value of a field; raises `ValueError` that says what was expected."""


@dataclass(frozen=True, slots=True)
class _Field:
    read: Reader
    required: bool = False


@dataclass(slots=True)
class _Faults:
    faults: list[PlanFault] = field(default_factory=list)

    def add(self, place: str, observation: str, do: str) -> None:
        why = "a plan is taken whole or not at all"
        finding = Finding.error("DJ820", place.strip("/").replace("/", ".") or "plan", observation, why, do)
        self.faults.append(PlanFault(place=place, finding=finding))


def read_plan(value: Json) -> tuple[FleetPlan | None, tuple[PlanFault, ...]]:
    """The plan and what is wrong with its file. With faults it is there to be judged alone, where enough of it can be read."""
    faults = _Faults()
    top = _read(value, "", {"cluster": _Field(_object, required=True), "pools": _Field(_list, required=True)}, faults)
    cluster = _read(top.get("cluster", {}), "/cluster", _CLUSTER, faults) if "cluster" in top else {}
    pools = [_read(each, f"/pools/{index}", _POOL, faults) for index, each in enumerate(top.get("pools", ()))]
    parts = ((cluster, _CLUSTER), *((each, _POOL) for each in pools))
    if not pools or not all(_has_required(values, fields) for values, fields in parts):
        return None, tuple(faults.faults)
    plan = FleetPlan(cluster=ClusterPlan(**cluster), pools=tuple(Pool(**each) for each in pools))
    return plan, tuple(faults.faults)


def _has_required(values: Mapping[str, Any], fields: Mapping[str, _Field]) -> bool:
    return all(name in values for name, each in fields.items() if each.required)


def _read(value: Json, place: str, fields: Mapping[str, _Field], faults: _Faults) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.add(place, f"is {_kind(value)}, expected an object", f"write {', '.join(fields)} below it")
        return {}
    values = dict(_values(value, place, fields, faults))
    for name, each in fields.items():
        if each.required and name not in value:
            faults.add(f"{place}/{name}", "is missing", "write it")
    return values


def _values(value: JsonObject, place: str, fields: Mapping[str, _Field], faults: _Faults) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if name not in fields:
            near = nearest(name[:MAX_TEXT], fields)
            faults.add(f"{place}/{recite(name)}", "is no field of it", f"did you mean {near}?" if near else "leave it out")
            continue
        try:
            yield name, fields[name].read(inner)
        except ValueError as error:
            faults.add(f"{place}/{name}", f"is {recite(str(inner))}", f"write {error}")


def _kind(value: Json) -> str:
    return "nothing" if value is None else type(value).__name__


def _object(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise ValueError("an object")  # noqa: TRY004 - it says what was expected, as all readers do.
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_POOLS:
        raise ValueError(f"a list of 1 to {MAX_POOLS} pools")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError(f"a text of 1 to {MAX_TEXT} characters, in quotation marks where it looks like a number")
    return value


def _texts(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_LABELS:
        raise ValueError("a list of texts")
    return tuple(_text(str(each) if isinstance(each, int) else each) for each in value)


def _labels(value: Json) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_LABELS:
        raise ValueError(f"an object of up to {MAX_LABELS} texts")
    return {_text(name): _label_value(each) for name, each in value.items()}


def _tags(value: Json) -> dict[str, str]:
    tags = _labels(value)
    if wrong := [name for name in tags if set(name) & _NOT_IN_TAGS]:
        raise ValueError(f"names of tags without {' '.join(sorted(_NOT_IN_TAGS))}, in place of {recite(wrong[0])}")
    return tags


def _subnet(value: Json) -> str:
    text = _long_text(value)
    if not _SUBNET.fullmatch(text):
        raise ValueError("its resource ID, as az network vnet subnet show --query id prints it: /subscriptions/…/subnets/…")
    return text


def _long_text(value: Json) -> str:
    if not isinstance(value, str) or len(value) > MAX_RESOURCE_ID or not value.isprintable():
        raise ValueError(f"a text of up to {MAX_RESOURCE_ID} characters")
    return value


def _label_value(value: Json) -> str:
    if value == "":
        return ""
    return _text(value)


def _whole(least: int, most: int, before: str = "") -> Reader:
    def read(value: Json) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{before}a whole number from {least} to {most}")
        return value

    return read


def _flag(value: Json) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - as above.
    return value


def _one_of(kind: type[W]) -> Callable[[Json], W]:
    def read(value: Json) -> W:
        try:
            return kind(str(value))
        except ValueError as error:
            raise ValueError(f"one of {', '.join(kind)}") from error

    return read


def _scale(value: Json) -> PoolScale:
    if not isinstance(value, dict) or value.keys() - {"by"} != {"min", "max"}:
        raise ValueError("an object with min and max, and by where that is not the autoscaler")
    bound, by = _whole(0, MAX_NODES, "as min and as max "), _one_of(Scaler)
    return PoolScale(least=bound(value["min"]), most=bound(value["max"]), by=by(value.get("by", Scaler.AUTOSCALER)))


_CLUSTER = {
    "cloud": _Field(_one_of(Cloud), required=True),
    "name": _Field(_text, required=True),
    "region": _Field(_text),
    "resource_group": _Field(_text),
    "network": _Field(_text),
    "version": _Field(_text),
    "confcom": _Field(_flag),
    "donjon": _Field(_flag),
    "quota": _Field(_whole(0, 1_000_000)),
}
_POOL = {
    "name": _Field(_text, required=True),
    "size": _Field(_text, required=True),
    "count": _Field(_whole(0, MAX_NODES), required=True),
    "scale": _Field(_scale),
    "mode": _Field(_one_of(PoolMode)),
    "os_type": _Field(_text),
    "os_sku": _Field(_text),
    "zones": _Field(_texts),
    "spot": _Field(_flag),
    "taint": _Field(_one_of(NodeTaint)),
    "labels": _Field(_labels),
    "tags": _Field(_tags),
    "subnet": _Field(_subnet),
    "os_disk": _Field(_whole(MIN_DISK, MAX_DISK)),
    "max_pods": _Field(_whole(10, 250)),
    "accelerated_networking": _Field(_flag),
    "ephemeral_os_disk": _Field(_flag),
    "driver": _Field(_text),
}
