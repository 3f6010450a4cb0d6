"""Pods put on nodes one after the other, as the scheduler would: important ones first, each where it does best.

Where several nodes do equally well the scheduler takes any of them, so a schedule is one of many. Pods that push others out of
the way (preemption) are left out.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from donjon.fleet.scheduling.board import Board, BoardNode
from donjon.fleet.scheduling.neighbours import DomainCount
from donjon.fleet.scheduling.openness import Bar, Openness, OwnConstraints, most
from donjon.fleet.scheduling.preferences import preference
from donjon.fleet.scheduling.seeking import NodeSets, Seeker
from donjon.fleet.scheduling.shapes import PodShape, ShapeTable
from donjon.formats.json import JsonObject, at
from donjon.kube.objects import is_over, name_of, namespace_of, node_name_of
from donjon.kube.reserved import Amounts

SOMETIMES = 3
"""When the scheduler tries a pod again nobody can say: only when the queue is through, always, or by chance in so many parts."""
SMALL, WHIMS = 100, 200
"""Of more nodes the scheduler scores a part, and what pods prefer is not looked at; it is drawn by lot in some schedules."""
EAGER = 2000  # pods of a queue in which those that wait are tried again before its end
ROUNDS = 10
NEVER = -1
ENOUGH = 8
"""Nodes among which one is chosen in a large cluster. The scheduler itself takes a hundred and more."""
OVERRUN = "there are more constraints among pods than are looked at, and what decides beside them"
NOT_YET = frozenset({"schedulingGates", OVERRUN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """What became of each pod that had no node."""

    nodes: Mapping[str, str]  # of namespace/name, the node that it gets
    pending: tuple[str, ...]  # who gets none
    unread: Mapping[str, str]  # of whom it cannot be said, and why


class _Lots:
    """Numbers in no order that matters, the same for one seed: an inner state of 64 bits (Knuth's MMIX)."""

    def __init__(self, seed: int) -> None:
        self._state = int.from_bytes(hashlib.blake2b(seed.to_bytes(8, "big"), digest_size=8).digest(), "big")

    def draw(self) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return self._state >> 33


class Scheduler:
    """Places pods on a board. With one seed it does the same each time; another may choose otherwise among equals."""

    def __init__(
        self, nodes: Iterable[JsonObject], pods: Iterable[JsonObject], seed: int = 0, shapes: ShapeTable | None = None
    ) -> None:
        """`pods` are those that have a node; who has none is for `place`. Several schedules of the same pods share `shapes`."""
        self._board, self._shapes, self._lots = Board(nodes), shapes or ShapeTable(), _Lots(seed)
        self._eagerness = seed % (SOMETIMES + 1)
        self._is_small = len(self._board.nodes) <= SMALL
        self._whims = 0 if self._is_small else WHIMS * (seed // (SOMETIMES + 1) % 2)
        self._sets, self._seekers = NodeSets(self._board), dict[str, Seeker]()  # by stance
        self._is_wary = False
        self._constraints: dict[PodShape, OwnConstraints] = {}
        self._vain: dict[PodShape, int] = {}  # of shapes that got no node, after how many moves
        for pod in pods:
            node = self._board.by_name.get(node_name_of(pod))
            if node is not None and not is_over(pod):
                self._board.put(self._shapes.of(pod), node)

    @property
    def work(self) -> int:
        """How much was looked at of what pods say of each other."""
        return self._board.neighbours.work

    @property
    def holding(self) -> Mapping[str, Amounts]:
        """What pods hold on each node now."""
        return {node.name: node.holding for node in self._board.nodes}

    def place(self, queue: Iterable[JsonObject], *, wary: bool = False, rivals: bool = False) -> Scheduling:
        """Put each pod of the queue where it goes, the most important first, then as they stand.

        Whoever is wary goes to no node where a pod may want to be apart from it, and it cannot be said whether it does. With
        `rivals`, those of whom nothing can be said take room, too.
        """
        self._is_wary = wary
        nodes, pending, unread = dict[str, str](), list[str](), dict[str, str]()
        hopeful: list[tuple[str, PodShape]] = []  # whom pods that come later may open a node to
        pods = sorted(queue, key=lambda each: -_priority(each))
        eagerness = self._eagerness if len(pods) <= EAGER else 0
        for pod in pods:
            name, shape = f"{namespace_of(pod)}/{name_of(pod)}", self._shapes.of(pod)
            if why := self._unread(shape):
                unread[name] = why
                if rivals and why not in NOT_YET:
                    self._try(name, shape, {})
            elif self._try(name, shape, nodes):
                hopeful = self._again(hopeful, nodes) if self._lots.draw() % SOMETIMES < eagerness else hopeful
            elif shape.affinity or shape.spread:
                hopeful.append((name, shape))
            else:
                pending.append(name)
        rest = self._again(hopeful, nodes)
        return Scheduling(nodes=nodes, pending=(*pending, *(name for name, _ in rest)), unread=unread)

    def _unread(self, shape: PodShape) -> str:
        if shape.unread:
            return shape.unread
        return OVERRUN if self._board.neighbours.is_overrun else ""

    def _again(self, hopeful: list[tuple[str, PodShape]], nodes: dict[str, str]) -> list[tuple[str, PodShape]]:
        """Who waits still, when all were tried again: one may have found nobody beside whom it wants to be."""
        for _ in range(ROUNDS):
            rest = [each for each in hopeful if not self._try(*each, nodes)]
            if len(rest) == len(hopeful):
                break
            hopeful = rest
        return hopeful

    def _try(self, name: str, shape: PodShape, nodes: dict[str, str]) -> bool:
        if self._vain.get(shape) in {NEVER, self._board.moves}:
            return False
        node = self._find(shape)
        if node is None:
            self._vain[shape] = self._board.moves if shape.affinity or shape.spread else NEVER
            return False
        nodes[name] = node.name
        self._board.put(shape, node)
        return True

    def _find(self, shape: PodShape) -> BoardNode | None:
        seeker, relations = self._seeker(shape), self._board.neighbours.relations(shape.kind)
        openness = self._openness(shape, seeker, (*relations.closers, *(relations.doubts if self._is_wary else ())))
        if self._is_small:
            nodes = [each for each in seeker.rest if each.has_room(shape) and openness.is_open(each.labels)]
            gains = preference(shape, self._board, nodes, relations.drawers)
        else:
            nodes = self._sample(shape, seeker, openness)
            gains = [seeker.taint_scores.get(each.name, 0) + self._whim() for each in nodes]
        scores = ((node.score(shape) + gain, self._lots.draw()) for node, gain in zip(nodes, gains, strict=True))
        return max(zip(scores, nodes, strict=True), key=lambda pair: pair[0], default=(0, None))[1]

    def _sample(self, shape: PodShape, seeker: Seeker, openness: Openness) -> list[BoardNode]:
        """The first that are open to it, from where the last search ended; who has no room never will have."""
        rest, nodes, looks, is_bound = seeker.rest, list[BoardNode](), 0, bool(openness.bars or openness.friends)
        while looks < len(rest) and len(nodes) < ENOUGH:
            seeker.turn = (seeker.turn + 1) % len(rest)
            node = rest[seeker.turn]
            if not node.has_room(shape):
                rest[seeker.turn] = rest[-1]
                rest.pop()
                continue
            looks += 1
            if not is_bound or openness.is_open(node.labels):
                nodes.append(node)
        return nodes

    def _seeker(self, shape: PodShape) -> Seeker:
        seeker = self._seekers.get(shape.stance)
        if seeker is None:
            seeker = self._seekers[shape.stance] = self._sets.seeker(shape, self._lots.draw())
        return seeker

    def _whim(self) -> int:
        return self._lots.draw() % self._whims if self._whims else 0

    def _openness(self, shape: PodShape, seeker: Seeker, closers: Iterable[DomainCount]) -> Openness:
        """What the pods around have to say."""
        if shape not in self._constraints:
            self._constraints[shape] = self._count(shape, seeker)
        own = self._constraints[shape]
        bars = [Bar(each, most=0) for each in (*closers, *own.apart)]
        bars += [Bar(count, most=most(each, count, shape.kind), is_label_needed=True) for each, count in own.spread]
        return Openness(tuple(bars), own.friends, is_first=own.is_own_friend and not any(each.domains for each in own.friends))

    def _count(self, shape: PodShape, seeker: Seeker) -> OwnConstraints:
        neighbours = self._board.neighbours
        keys = frozenset(each.key for each in shape.spread)
        among = {each: seeker.reach(shape, self._board, each, keys) for each in shape.spread}
        return OwnConstraints(
            apart=tuple(neighbours.count(term.selector, term.key) for term in shape.anti_affinity),
            spread=tuple((each, neighbours.count(each.selector, each.key, among[each])) for each in shape.spread),
            friends=tuple(neighbours.count(term.selector, term.key) for term in shape.affinity),
            is_own_friend=all(each.selector.holds(shape.kind) for each in shape.affinity),
        )


def _priority(pod: JsonObject) -> int:
    number = at(pod, "spec", "priority")
    return number if isinstance(number, int) and not isinstance(number, bool) else 0
