"""How far a node is from taking a pod: which nodes come nearest, and which would take it were they in order."""

from collections.abc import Callable, Iterable, Sequence

from donjon.fleet.placement import NodeView, Obstacle


def out_of_order(views: Iterable[NodeView]) -> tuple[NodeView, ...]:
    """The nodes that would take the pod, were they in order."""
    return tuple(view for view in views if view.obstacles and view.obstacles <= _IN_DISORDER)


def nearest(views: Sequence[NodeView]) -> list[NodeView]:
    """The nodes with the least in the way: a row of the order weighs more than all below it, and then the number counts."""

    def distance(view: NodeView) -> tuple[int, ...]:
        return (*(holds(view) for holds in _ORDER), len(view.obstacles))

    least = min(map(distance, views), default=None)
    return [view for view in views if distance(view) == least]


def reach(view: NodeView) -> tuple[bool, ...]:
    """What makes it none of those that the pod may go to; alike for nodes that the pod may go to as much."""
    return tuple(holds(view) for holds in _REACH)


def _has(*kinds: Obstacle) -> Callable[[NodeView], bool]:
    return lambda view: bool(view.obstacles.intersection(kinds))


def of_unknown_size(view: NodeView) -> bool:
    """Whether nobody knows how much it has: one that is not in order and offers nothing may have any size."""
    return not view.epc.total and bool(view.obstacles & _IN_DISORDER)


_IN_DISORDER = frozenset({Obstacle.NODE_DOWN, Obstacle.NODE_TAINT, Obstacle.NOT_READY})
_REACH = (
    _has(Obstacle.ELSEWHERE, Obstacle.SELECTION),  # The pod's own words leave it out.
    _has(Obstacle.NO_SGX),  # It is no node for enclaves.
    _has(Obstacle.TAINT),  # It is kept for others.
)
"""What makes a node none of those that the pod may go to, farthest first."""
_ORDER = (
    *_REACH,
    of_unknown_size,
    _has(Obstacle.TOO_LARGE),
    _has(*_IN_DISORDER),
    _has(Obstacle.FOREIGN_NAME),
)
"""What makes a node farther than another, farthest first: the verdict is of the nearest alone."""
