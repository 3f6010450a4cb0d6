"""Which nodes a pod's own words and their taints let it go to: worked out once for all pods that say the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from donjon.fleet.scheduling.board import Board, BoardNode
from donjon.fleet.scheduling.constraints import SpreadConstraint
from donjon.fleet.scheduling.preferences import reach, taint_scores
from donjon.fleet.scheduling.shapes import PodShape
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.objects import node_name_of
from donjon.kube.selection import meant_for, not_tolerated, selects

_BY_NAME = "metadata.name"
_WORDS = ("nodeName", "nodeSelector", "tolerations")


@dataclass(frozen=True, slots=True)
class NodeSet:
    """The nodes that pods with some words may go to."""

    nodes: list[BoardNode]
    taint_scores: Mapping[str, int]  # by node


@dataclass(slots=True)
class Seeker:
    """What pods of one stance have left."""

    rest: list[BoardNode]  # less those that were seen to have no room
    turn: int  # index of `rest`, at which the last search ended
    taint_scores: Mapping[str, int]
    among: dict[tuple[frozenset[str], bool, bool], frozenset[str]] = field(default_factory=dict)  # nodes whose pods count

    def reach(self, shape: PodShape, board: Board, constraint: SpreadConstraint, keys: frozenset[str]) -> frozenset[str]:
        """The nodes whose pods count for a constraint: worked out once for all that say the same of nodes."""
        words = (keys, constraint.honors_affinity, constraint.honors_taints)
        if words not in self.among:
            self.among[words] = reach(shape, board, constraint, keys)
        return self.among[words]


class NodeSets:
    """The nodes of a board as pods see them."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._sets: dict[str, NodeSet] = {}

    def seeker(self, shape: PodShape, lot: int) -> Seeker:
        """Where pods of that stance may go; the lot says where the search begins."""
        words = _words(shape.pod)
        if words not in self._sets:
            nodes = self._open(shape)
            pairs = zip(nodes, taint_scores(shape, nodes), strict=True)
            self._sets[words] = NodeSet(nodes, {node.name: score for node, score in pairs if score})
        node_set = self._sets[words]
        return Seeker(
            rest=list(node_set.nodes), turn=lot % len(node_set.nodes) if node_set.nodes else 0, taint_scores=node_set.taint_scores
        )

    def _open(self, shape: PodShape) -> list[BoardNode]:
        """Nodes that look the same to the pod are asked once; of a pod that names them, no others."""
        own_node, wishes = node_name_of(shape.pod), sorted(shape.wishes)
        by_name = bool(own_node) or _BY_NAME in shape.wishes
        answers: dict[tuple[Json, ...], bool] = {}
        nodes: list[BoardNode] = []
        for node in self._candidates(shape):
            looks = (node.guard, node.name if by_name else None, *[node.labels.get(key) for key in wishes])
            if looks not in answers:
                fits = (not own_node or own_node == node.name) and selects(shape.pod, node.name, node.labels)
                answers[looks] = fits and not not_tolerated(shape.pod, node.node)
            if answers[looks]:
                nodes.append(node)
        return nodes

    def _candidates(self, shape: PodShape) -> list[BoardNode]:
        names = meant_for(shape.pod)
        by_name = self._board.by_name
        return self._board.nodes if names is None else [by_name[each] for each in sorted(names & by_name.keys())]


def _words(pod: JsonObject) -> str:
    spec = at(pod, "spec")
    words: list[Json] = [at(spec, name) for name in _WORDS]
    return json.dumps([*words, at(spec, "affinity", "nodeAffinity")], sort_keys=True)
