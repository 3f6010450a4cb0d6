"""Pods put on nodes one after the other, as the scheduler would: important ones first, each where it does best.

Where several nodes do equally well the scheduler takes any of them, so a schedule is one of many. Pods that push others out of
the way (preemption) are left out.
"""

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from donjon.fleet.scheduling.board import Board, BoardNode
from donjon.fleet.scheduling.constraints import SpreadConstraint
from donjon.fleet.scheduling.preferences import Draws, preference, reach, taint_scores
from donjon.fleet.scheduling.shapes import PodShape, ShapeTable
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.objects import is_over, name_of, namespace_of, node_name_of
from donjon.kube.reserved import Amounts
from donjon.kube.selection import not_tolerated, selects

HOSTNAME = "metadata.name"

SOMETIMES = 3
"""When the scheduler tries a pod again nobody can say: only when the queue is through, always, or by chance in so many parts."""
SMALL, WHIMS = 100, 200
"""Of more nodes the scheduler scores a part, and what pods prefer is not looked at; it is drawn by lot in some schedules."""
LOOKS = 4
"""Nodes whose score is reckoned anew for one pod. The scheduler, too, looks at a part of a large cluster only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """What became of each pod that had no node."""

    nodes: Mapping[str, str]  # of namespace/name, the node that it gets
    pending: tuple[str, ...]  # who gets none
    unread: Mapping[str, str]  # of whom it cannot be said, and why


@dataclass(slots=True)
class _Seeker:
    """The nodes that a shape may go to, the best first."""

    fit: list[BoardNode]  # by the pod's own words
    taint_scores: Mapping[str, int]  # by node
    heap: list[tuple[int, int, int, int]] = field(default_factory=list)  # score, lot, index of `fit`, version
    among: dict[SpreadConstraint, frozenset[str]] = field(default_factory=dict)  # nodes whose pods count


class _Lots:
    """Numbers in no order that matters, the same for one seed: an inner state of 64 bits (Knuth's MMIX)."""

    def __init__(self, seed: int) -> None:
        self._state = int.from_bytes(hashlib.blake2b(seed.to_bytes(8, "big"), digest_size=8).digest(), "big")

    def draw(self) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return self._state >> 33


class Scheduler:
    """Places pods on a board. With one seed it does the same each time; another may choose otherwise among equals."""

    def __init__(self, nodes: Iterable[JsonObject], pods: Iterable[JsonObject], seed: int = 0) -> None:
        """`pods` are those that have a node; who has none is for `place`."""
        self._board, self._shapes, self._lots = Board(nodes), ShapeTable(), _Lots(seed)
        self._eagerness = seed % (SOMETIMES + 1)
        self._is_small = len(self._board.nodes) <= SMALL
        self._whims = 0 if self._is_small else WHIMS * (seed // (SOMETIMES + 1) % 2)
        self._seekers: dict[PodShape, _Seeker] = {}
        for pod in pods:
            node = self._board.by_name.get(node_name_of(pod))
            if node is not None and not is_over(pod):
                self._board.put(self._shapes.of(pod), node)

    @property
    def holding(self) -> Mapping[str, Amounts]:
        """What pods hold on each node now."""
        return {node.name: node.holding for node in self._board.nodes}

    def place(self, queue: Iterable[JsonObject]) -> Scheduling:
        """Put each pod of the queue where it goes, the most important first, then as they stand."""
        nodes, unread = dict[str, str](), dict[str, str]()
        waiting: list[tuple[str, PodShape]] = []
        for pod in sorted(queue, key=lambda each: -_priority(each)):
            name, shape = f"{namespace_of(pod)}/{name_of(pod)}", self._shapes.of(pod)
            if shape.unread:
                unread[name] = shape.unread
            elif not self._try(name, shape, nodes):
                waiting.append((name, shape))
            elif self._lots.draw() % SOMETIMES < self._eagerness:
                waiting = self._again(waiting, nodes)
        return Scheduling(nodes=nodes, pending=tuple(name for name, _ in self._again(waiting, nodes)), unread=unread)

    def _again(self, waiting: list[tuple[str, PodShape]], nodes: dict[str, str]) -> list[tuple[str, PodShape]]:
        """Who waits still, when all were tried again: one may have found nobody beside whom it wants to be."""
        count = -1
        while count != len(waiting) and any(shape.affinity or shape.spread for _, shape in waiting):
            count, waiting = len(waiting), [each for each in waiting if not self._try(*each, nodes)]
        return waiting

    def _try(self, name: str, shape: PodShape, nodes: dict[str, str]) -> bool:
        node = self._find(shape)
        if node is not None:
            nodes[name] = node.name
            self._board.put(shape, node)
        return node is not None

    def _find(self, shape: PodShape) -> BoardNode | None:
        seeker = self._seekers.get(shape) or self._seeker(shape)
        draws = self._board.draw(shape)
        prefers = self._is_small and bool(shape.has_preferences or draws)
        if prefers or shape.looks_around or any(True for _ in self._board.closed_domains(shape)):
            fit = [each for each in self._open(shape, seeker) if each.has_room(shape)]
            return self._choose(shape, fit, draws)
        return self._best(shape, seeker)

    def _choose(self, shape: PodShape, nodes: list[BoardNode], draws: Draws) -> BoardNode | None:
        """The best of these, by all that the scheduler scores."""
        gains = preference(shape, self._board, nodes, draws)
        scores = (node.score(shape) + gain + self._whim() for node, gain in zip(nodes, gains, strict=True))
        pairs = zip(scores, nodes, strict=True)
        return max(pairs, key=lambda pair: (pair[0], self._lots.draw()), default=(0, None))[1]

    def _best(self, shape: PodShape, seeker: _Seeker) -> BoardNode | None:
        """The best of all that fit; a score is reckoned anew only where something came since, and of so many nodes at most."""
        heap, looks = seeker.heap, LOOKS
        while heap:
            _, lot, index, version = heap[0]
            node = seeker.fit[index]
            if not node.has_room(shape):
                heapq.heappop(heap)  # Pods come and none goes.
            elif node.version != version and looks:
                looks -= 1
                heapq.heapreplace(heap, (-self._score(shape, seeker, node), lot, index, node.version))
            else:
                return node
        return None

    def _seeker(self, shape: PodShape) -> _Seeker:
        fit = self._fit(shape)
        gains = taint_scores(shape, fit)
        seeker = _Seeker(fit, {node.name: gain for node, gain in zip(fit, gains, strict=True) if gain})
        seeker.heap = [
            (-self._score(shape, seeker, node), self._lots.draw(), index, node.version)
            for index, node in enumerate(fit)
            if node.has_room(shape)
        ]
        heapq.heapify(seeker.heap)
        self._seekers[shape] = seeker
        return seeker

    def _score(self, shape: PodShape, seeker: _Seeker, node: BoardNode) -> int:
        return node.score(shape) + seeker.taint_scores.get(node.name, 0) + self._whim()

    def _whim(self) -> int:
        return self._lots.draw() % self._whims if self._whims else 0

    def _fit(self, shape: PodShape) -> list[BoardNode]:
        """The nodes that the pod's own words and their taints let it go to; those that look the same to it are asked once."""
        own_node, wishes = node_name_of(shape.pod), sorted(shape.wishes)
        by_name = bool(own_node) or HOSTNAME in shape.wishes
        answers: dict[tuple[Json, ...], bool] = {}
        fit: list[BoardNode] = []
        for node in self._board.nodes:
            looks = (node.guard, node.name if by_name else None, *[node.labels.get(key) for key in wishes])
            if looks not in answers:
                fits = (not own_node or own_node == node.name) and selects(shape.pod, node.name, node.labels)
                answers[looks] = fits and not not_tolerated(shape.pod, node.node)
            if answers[looks]:
                fit.append(node)
        return fit

    def _open(self, shape: PodShape, seeker: _Seeker) -> list[BoardNode]:
        """Those where the pods around let it go."""
        closed = set(self._board.closed_domains(shape))
        nodes = [each for each in seeker.fit if not any(each.labels.get(key) == domain for key, domain in closed)]
        for term in shape.anti_affinity:
            counts = self._board.count(term.selector, term.key)
            nodes = [each for each in nodes if not counts.get(str(each.labels.get(term.key)), 0)]
        return self._beside(shape, self._spread(shape, seeker, nodes))

    def _beside(self, shape: PodShape, nodes: list[BoardNode]) -> list[BoardNode]:
        """Those with the pods that it wants beside it: of one that chooses itself, the first goes anywhere."""
        if not shape.affinity:
            return nodes
        nodes = [each for each in nodes if all(term.key in each.labels for term in shape.affinity)]
        counts = [self._board.count(term.selector, term.key) for term in shape.affinity]
        alone = not any(any(each.values()) for each in counts) and all(term.selector.holds(shape.kind) for term in shape.affinity)
        if alone:
            return nodes
        pairs = list(zip(shape.affinity, counts, strict=True))
        return [each for each in nodes if all(count.get(str(each.labels[term.key]), 0) for term, count in pairs)]

    def _spread(self, shape: PodShape, seeker: _Seeker, nodes: list[BoardNode]) -> list[BoardNode]:
        for constraint in shape.spread:
            if constraint not in seeker.among:
                keys = {each.key for each in shape.spread}
                seeker.among[constraint] = reach(shape, self._board, constraint, keys)
            counts = self._board.count(constraint.selector, constraint.key, seeker.among[constraint])
            least = min(counts.values(), default=0) if len(counts) >= constraint.min_domains else 0
            most = least + constraint.max_skew - (1 if constraint.selector.holds(shape.kind) else 0)
            nodes = [
                each
                for each in nodes
                if constraint.key in each.labels and counts.get(str(each.labels[constraint.key]), 0) <= most
            ]
        return nodes


def _priority(pod: JsonObject) -> int:
    number = at(pod, "spec", "priority")
    return number if isinstance(number, int) and not isinstance(number, bool) else 0
