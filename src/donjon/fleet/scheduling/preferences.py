"""What a pod prefers, and what others prefer beside them: scores of nodes that decide where the next pod finds room.

Source: k8s.io/kubernetes 1.36.3, `pkg/scheduler/framework/plugins`: interpodaffinity, podtopologyspread, nodeaffinity,
imagelocality, tainttoleration, each `Score` and `NormalizeScore`; weights of `apis/config/v1/default_plugins.go`.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from donjon.fleet.scheduling.board import ADVICE, Board, BoardNode
from donjon.fleet.scheduling.constraints import HOSTNAME_LABEL, SpreadConstraint
from donjon.fleet.scheduling.neighbours import DomainCount
from donjon.fleet.scheduling.shapes import PodShape
from donjon.formats.json import JsonObject, at, objects
from donjon.kube.selection import not_tolerated, selects, tolerates

AROUND, SPREAD, OWN, TAINTS = 2, 2, 2, 3
"""By how much the scheduler weighs pods around, even spreading, the pod's own preferred nodes, and taints that only advise."""
LEAST_IMAGE, MOST_IMAGE = 23 << 20, 1000 << 20  # bytes of an image, that count

Draws = Sequence[tuple[DomainCount, int]]
"""Pods that draw the pod to them, by domain, and how much each; below 0, keep it away."""


def preference(shape: PodShape, board: Board, nodes: Sequence[BoardNode], draws: Draws) -> list[int]:
    """What each of the nodes that are open to a pod gains, in their order."""
    if not nodes:
        return []
    parts = (
        _around(shape, board, nodes, draws),
        _spread(shape, board, nodes),
        _own(shape, nodes),
        taint_scores(shape, nodes),
        _images(shape, board, nodes),
    )
    return [sum(scores) for scores in zip(*parts, strict=True)]


def _around(shape: PodShape, board: Board, nodes: Sequence[BoardNode], draws: Draws) -> list[int]:
    own = [(board.neighbours.count(term.selector, term.key), weight) for term, weight in shape.preferences]
    pairs = [(count.key, count.domains, weight) for count, weight in (*draws, *own)]
    scores = [sum(weight * domains.get(str(node.labels.get(key)), 0) for key, domains, weight in pairs) for node in nodes]
    least, most = min(scores), max(scores)
    return [AROUND * (100 * (score - least) // (most - least) if most > least else 0) for score in scores]


def _spread(shape: PodShape, board: Board, nodes: Sequence[BoardNode]) -> list[int]:
    """The fewer of its kind are in a node's domains the better; a node without the label of one is not scored."""
    if not shape.soft_spread:
        return [0] * len(nodes)
    keys: AbstractSet[str] = frozenset() if shape.is_spread_by_default else {each.key for each in shape.soft_spread}
    ignored = [not keys <= node.labels.keys() for node in nodes]
    scored = [node for node, leave in zip(nodes, ignored, strict=True) if not leave]
    sums = [0.0] * len(nodes)
    for constraint in shape.soft_spread:
        among = _reach(shape, board, constraint, keys)
        counts = board.neighbours.count(constraint.selector, constraint.key, among).domains
        size = len(scored) if constraint.key == HOSTNAME_LABEL else len({node.labels.get(constraint.key) for node in scored})
        for index, node in enumerate(nodes):
            if constraint.key in node.labels:
                number = counts.get(str(node.labels[constraint.key]), 0)
                sums[index] += number * math.log(size + 2) + constraint.max_skew - 1
    return [SPREAD * score for score in _evenness([math.floor(each + 0.5) for each in sums], ignored)]


def _evenness(sums: Sequence[int], ignored: Sequence[bool]) -> list[int]:
    rest = [number for number, leave in zip(sums, ignored, strict=True) if not leave]
    least, most = min(rest, default=0), max(rest, default=0)
    scores = [100 * (most + least - number) // most if most else 100 for number in sums]
    return [0 if leave else score for score, leave in zip(scores, ignored, strict=True)]


def _reach(shape: PodShape, board: Board, constraint: SpreadConstraint, keys: AbstractSet[str]) -> frozenset[str] | None:
    """The nodes whose pods count; of each node's own all do."""
    if constraint.key == HOSTNAME_LABEL:
        return None
    return reach(shape, board, constraint, keys)


def reach(shape: PodShape, board: Board, constraint: SpreadConstraint, keys: AbstractSet[str]) -> frozenset[str]:
    """The nodes whose pods count for a constraint: those with all these labels, as far as it says that the pod may go there."""
    nodes = [each for each in board.nodes if keys <= each.labels.keys()]
    if constraint.honors_affinity:
        nodes = [each for each in nodes if selects(shape.pod, each.name, each.labels)]
    if constraint.honors_taints:
        nodes = [each for each in nodes if not not_tolerated(shape.pod, _with_taints_alone(each))]
    return frozenset(each.name for each in nodes)


def _with_taints_alone(node: BoardNode) -> JsonObject:
    """The node without its cordon, which is no taint."""
    return {"spec": {"taints": at(node.node, "spec", "taints")}}


def _own(shape: PodShape, nodes: Sequence[BoardNode]) -> list[int]:
    scores = [sum(weight for pod, weight in shape.node_preferences if selects(pod, each.name, each.labels)) for each in nodes]
    most = max(scores)
    return [OWN * (100 * score // most if most else 0) for score in scores]


def taint_scores(shape: PodShape, nodes: Sequence[BoardNode]) -> list[int]:
    """How few of a node's taints advise against the pod; where none does, nothing."""
    if not any(node.advice for node in nodes):
        return [0] * len(nodes)
    tolerations: defaultdict[str, list[JsonObject]] = defaultdict(list)  # by their key; without one they stand for every taint
    for each in objects(at(shape.pod, "spec", "tolerations")):
        if at(each, "effect") in (None, "", ADVICE):
            tolerations[str(at(each, "key") or "")].append(each)
    counts = [_advice(tolerations, node) if node.advice else 0 for node in nodes]
    most = max(counts, default=0)
    return [TAINTS * (100 - 100 * count // most) if most else 0 for count in counts]


def _advice(tolerations: Mapping[str, Sequence[JsonObject]], node: BoardNode) -> int:
    return sum(
        not any(tolerates(one, taint) for key in ("", str(at(taint, "key"))) for one in tolerations.get(key, ()))
        for taint in node.advice
    )


def _images(shape: PodShape, board: Board, nodes: Sequence[BoardNode]) -> list[int]:
    """Images that are there already, the more the more nodes have them."""
    if not board.image_nodes or not shape.images:
        return [0] * len(nodes)
    parts = {image: board.image_nodes[image] / len(board.nodes) for image in shape.images}
    most = MOST_IMAGE * len(shape.images)
    sums = [sum(int(node.images.get(image, 0) * parts[image]) for image in shape.images) for node in nodes]
    return [100 * (min(max(each, LEAST_IMAGE), most) - LEAST_IMAGE) // (most - LEAST_IMAGE) for each in sums]
