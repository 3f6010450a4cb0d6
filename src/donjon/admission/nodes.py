"""The largest node of a cluster: more EPC than it has nobody can give to a pod, whatever else ends.

A policy of the API server knows no nodes, so that is for whoever was given them: `donjon check --nodes`, and the webhook.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from donjon.admission.intent import text
from donjon.formats.json import JsonObject, at
from donjon.kube.names import EPC_UNITS
from donjon.kube.quantities import amount


@dataclass(frozen=True, slots=True, kw_only=True)
class LargestNode:
    """The node with the most EPC."""

    name: str
    epc: int  # bytes that pods may have of it, under whatever name it offers them; 0 where no node has any
    nodes_seen: int  # at least one


def largest(nodes: Iterable[JsonObject]) -> LargestNode | None:
    """The node with the most EPC, of several the first; `None` where there is no node."""
    sizes = [(_epc(node), text(at(node, "metadata", "name"))) for node in nodes]
    if not sizes:
        return None
    epc, name = max(sizes, key=lambda size: size[0])
    return LargestNode(name=name, epc=epc, nodes_seen=len(sizes))


def _epc(node: JsonObject) -> int:
    offered = ((amount(at(node, "status", "allocatable", name)), unit) for name, unit in EPC_UNITS.items())
    return max(int(each * unit) if each is not None and each > 0 else 0 for each, unit in offered)
