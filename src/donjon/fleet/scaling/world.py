"""The cluster as it will be once the nodes that come are there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from donjon.fleet.scaling.record import PoolRecord, ScalePool, ScalingRules, absent, is_late, unfinished
from donjon.fleet.scaling.templates import NodeTemplate
from donjon.fleet.scheduling.outlook import TRIES, Outlook, outlook
from donjon.fleet.scheduling.queue import waiting
from donjon.fleet.scheduling.report import live
from donjon.fleet.scheduling.shapes import ShapeTable
from donjon.formats.json import JsonObject
from donjon.kube.objects import labels_of, name_of, node_name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingWorld:
    """Nodes, pods that have one, and pods that wait for one."""

    nodes: tuple[JsonObject, ...]
    pods: tuple[JsonObject, ...]
    queue: tuple[JsonObject, ...]
    coming: Mapping[str, str]  # nodes that are not there or not whole, each with its pool
    shapes: ShapeTable = field(default_factory=ShapeTable)

    def with_nodes(self, pool: str, template: NodeTemplate, number: int, turn: int | None = None) -> "ScalingWorld":
        """The same with more nodes of a pool, in zones that nobody knows, or as they may come at that turn."""
        nodes = tuple(template.nodes(f"{pool}+new", number, turn))
        pods = template.pods_of(map(name_of, nodes))
        coming = {**self.coming, **dict.fromkeys(map(name_of, nodes), pool)}
        return replace(self, nodes=(*self.nodes, *nodes), pods=(*self.pods, *pods), coming=coming)

    def outlook(self, tries: int = TRIES) -> Outlook:
        """What becomes of the queue."""
        return outlook(self.nodes, self.pods, self.queue, most_tries=tries, shapes=self.shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingScene:
    """The cluster as it is."""

    pools: tuple[ScalePool, ...]
    nodes: tuple[JsonObject, ...]
    pods: tuple[JsonObject, ...]


def world_of(scene: ScalingScene, records: Mapping[str, PoolRecord], moment: datetime, rules: ScalingRules) -> ScalingWorld:
    """Nodes that come count as there, so that nobody asks twice; those that are late do not."""
    everybody, coming = scene.pods, dict[str, str]()
    whole = {name_of(each): each for each in scene.nodes}
    more: list[JsonObject] = []
    for pool in scene.pools:
        if pool.template is None:
            continue
        names = unfinished(pool, moment, rules)
        whole |= {name: pool.template.as_node(name, {**labels_of(whole[name])}) for name in names}
        record = records[pool.name]
        number = 0 if is_late(pool, record, moment, rules) else absent(pool, record)
        new = tuple(pool.template.nodes(f"{pool.name}+coming", number))
        whole |= {name_of(each): each for each in new}
        own = (*names, *map(name_of, new))
        coming |= dict.fromkeys(own, pool.name)
        more += _beginnings(pool.template, own, everybody)
    return ScalingWorld(nodes=tuple(whole.values()), pods=(*live(everybody), *more), queue=waiting(everybody), coming=coming)


def _beginnings(template: NodeTemplate, names: Iterable[str], pods: Sequence[JsonObject]) -> Iterable[JsonObject]:
    """What will run on nodes that come; on one that is there already, its own pods count."""
    busy = {node_name_of(each) for each in pods}
    return template.pods_of(name for name in names if name not in busy)
