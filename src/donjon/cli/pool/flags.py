"""A plan of one pool by options, in place of a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import click

from donjon.fleet.pools.plan import Cloud, NodeTaint
from donjon.formats.json import JsonObject

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class PlanFlag:
    """An option, and the field of a plan that it is, as a JSON pointer."""

    option: str
    place: str
    help: str
    kind: Any = str

    @property
    def name(self) -> str:
        """As click names its value."""
        return self.option.removeprefix("--").replace("-", "_")


FLAGS = (
    PlanFlag("--cloud", "/cluster/cloud", "Who makes the machines.", click.Choice([each.value for each in Cloud])),
    PlanFlag("--cluster", "/cluster/name", "The cluster's name."),
    PlanFlag("--resource-group", "/cluster/resource_group", "Of Azure."),
    PlanFlag("--region", "/cluster/region", "Of a cloud, such as westeurope."),
    PlanFlag("--network", "/cluster/network", "Of AKS: azure, overlay, kubenet, none."),
    PlanFlag("--version", "/cluster/version", "Of Kubernetes."),
    PlanFlag("--quota", "/cluster/quota", "Cores of the family that the subscription may have.", int),
    PlanFlag("--pool", "/pools/0/name", "The pool's name."),
    PlanFlag("--size", "/pools/0/size", "A size or a class of processors; donjon sku list has them."),
    PlanFlag("--count", "/pools/0/count", "Nodes to begin with.", int),
    PlanFlag("--min", "/pools/0/scale/min", "Nodes, at least, by the autoscaler.", int),
    PlanFlag("--max", "/pools/0/scale/max", "Nodes, at most.", int),
    PlanFlag("--taint", "/pools/0/taint", "Who may go there.", click.Choice([each.value for each in NodeTaint])),
)


def of_a_plan(command: F) -> F:
    """All these options."""

    def add(inner: F, flag: PlanFlag) -> F:
        return click.option(flag.option, flag.name, type=flag.kind, help=flag.help)(inner)

    return reduce(add, reversed(FLAGS), command)


def document(values: Mapping[str, str | int]) -> JsonObject:
    """The plan, as a file would have it."""
    cluster: JsonObject = {}
    pool: JsonObject = {}
    scale: JsonObject = {}
    for flag in FLAGS:
        if flag.name in values:
            part = cluster if flag.place.startswith("/cluster/") else scale if "/scale/" in flag.place else pool
            part[flag.place.rpartition("/")[2]] = values[flag.name]
    return {"cluster": cluster, "pools": [{**pool, **({"scale": scale} if scale else {})}]}


def option_of(place: str) -> str:
    """The option that is meant by a place of the plan; the first of those within it."""
    return next((flag.option for flag in FLAGS if flag.place == place or flag.place.startswith(f"{place}/")), "options")
