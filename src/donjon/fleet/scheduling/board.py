"""A cluster as the scheduler keeps it in mind while it places one pod after the other. Mutable: each placement changes it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from donjon.fleet.scheduling.neighbours import Neighbours
from donjon.fleet.scheduling.shapes import CPU, MEMORY, PodShape, image_name, whole
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.objects import labels_of, name_of
from donjon.kube.reserved import Amounts, allocatable

HostPort: TypeAlias = tuple[str, str, int]  # protocol, address, number
EVERYWHERE, SOMEWHERE = "0.0.0.0", ""  # noqa: S104 - addresses that are compared, not listened at.
ADVICE = "PreferNoSchedule"
MAX_IMAGES = 100  # of a node, and names of an image; a kubelet tells of 50


@dataclass(slots=True)
class BoardNode:
    """One node, and what is free on it."""

    name: str
    node: JsonObject
    labels: Mapping[str, Json]
    capacity: Mapping[str, int]
    free: dict[str, int]
    guard: str = ""  # what of it keeps pods away: taints, and that it is cordoned
    advice: tuple[JsonObject, ...] = ()  # taints that only advise
    images: Mapping[str, int] = field(default_factory=dict)  # bytes of those that it has
    score_cpu: int = 0
    score_memory: int = 0
    ports: set[HostPort] = field(default_factory=set)
    cpus: int = 0  # thousandths of processors that it has
    memory: int = 0
    cpu_use: int = 0  # that pods request
    memory_use: int = 0
    evenness: int = 100  # of both, as parts of what there is

    def has_room(self, shape: PodShape) -> bool:
        """Whether all that the pod requests is free, ports too."""
        free = self.free
        for name, amount in shape.requests.items():
            if free.get(name, 0) < amount:
                return False
        return not any(_is_taken(each, self.ports) for each in shape.ports)

    @property
    def holding(self) -> Amounts:
        """What pods hold of it, in Kubernetes' own units."""
        amounts = {name: self.capacity.get(name, 0) - amount for name, amount in self.free.items()}
        return {name: Fraction(amount, 1000 if name == CPU else 1) for name, amount in amounts.items() if amount}

    def score(self, shape: PodShape) -> int:
        """How well it would do: emptier first, and with processors and memory in balance (two of the scheduler's scores)."""
        cpus, memory, parts, least = self.cpus, self.memory, 0, 0
        if cpus:
            parts, least = 1, _least(self.score_cpu + shape.score_cpu, cpus)
        if memory:
            parts, least = parts + 1, least + _least(self.score_memory + shape.score_memory, memory)
        least = least // parts if parts else 0
        if parts < 2 or not (shape.cpu or shape.memory):  # noqa: PLR2004 - both.
            return least
        after = _even((self.cpu_use + shape.cpu) / cpus, (self.memory_use + shape.memory) / memory)
        return least + 50 + (50 + after - self.evenness) // 2

    def put(self, shape: PodShape) -> None:
        """Have the pod on it."""
        for name, amount in shape.requests.items():
            self.free[name] = self.free.get(name, 0) - amount
        self.score_cpu += shape.score_cpu
        self.score_memory += shape.score_memory
        self.cpu_use += shape.cpu
        self.memory_use += shape.memory
        if self.cpus and self.memory:
            self.evenness = _even(self.cpu_use / self.cpus, self.memory_use / self.memory)
        self.ports.update(shape.ports, ((protocol, SOMEWHERE, number) for protocol, _, number in shape.ports))


def _least(use: int, capacity: int) -> int:
    return (capacity - use) * 100 // capacity if use <= capacity else 0


def _even(first: float, second: float) -> int:
    return int((1 - abs(min(first, 1) - min(second, 1)) / 2) * 100)


def _is_taken(port: HostPort, ports: AbstractSet[HostPort]) -> bool:
    protocol, address, number = port
    if address == EVERYWHERE:
        return (protocol, SOMEWHERE, number) in ports
    return port in ports or (protocol, EVERYWHERE, number) in ports


class Board:
    """All nodes, and the pods on them."""

    def __init__(self, nodes: Iterable[JsonObject]) -> None:
        self.nodes = [_board_node(each) for each in nodes]
        self.by_name = {each.name: each for each in self.nodes}
        self.image_nodes = Counter(image for each in self.nodes for image in each.images)
        self.neighbours = Neighbours({each.name: each.labels for each in self.nodes})
        self.moves = 0  # pods that were put anywhere

    def put(self, shape: PodShape, node: BoardNode) -> None:
        """Have a pod on a node."""
        node.put(shape)
        self.neighbours.put(shape, node.name)
        self.moves += 1


def _board_node(node: JsonObject) -> BoardNode:
    capacity = whole(allocatable(node))
    return BoardNode(
        name=name_of(node),
        node=node,
        labels=labels_of(node),
        capacity=capacity,
        free=dict(capacity),
        guard=f"{at(node, 'spec', 'unschedulable')} {at(node, 'spec', 'taints')}",
        advice=tuple(each for each in objects(at(node, "spec", "taints")) if at(each, "effect") == ADVICE),
        images=dict(_images(node)),
        cpus=capacity.get(CPU, 0),
        memory=capacity.get(MEMORY, 0),
    )


def _images(node: JsonObject) -> Iterator[tuple[str, int]]:
    for image in objects(at(node, "status", "images"))[:MAX_IMAGES]:
        names, size = image.get("names"), image.get("sizeBytes")
        if isinstance(names, list) and isinstance(size, int):
            yield from ((image_name(str(name)), size) for name in names[:MAX_IMAGES])
