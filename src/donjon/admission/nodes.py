"""The largest node of a cluster: more EPC than it has nobody can give to a pod, whatever else ends.

A policy of the API server knows no nodes, so that is for whoever was given them: `donjon check --nodes`, and the webhook.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from donjon.admission.intent import text
from donjon.admission.manifests import documents
from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import EPC_UNITS
from donjon.kube.quantities import amount

MAX_SIZE = 64 << 20  # bytes of JSON; a node has about 20 KiB, so some thousand nodes
LISTS = ("List", "NodeList")


@dataclass(frozen=True, slots=True, kw_only=True)
class LargestNode:
    """The node with the most EPC."""

    name: str
    epc: int  # bytes that pods may have of it, under whatever name it offers them; 0 where no node has any
    of: int  # how many nodes were looked at, at least one


def parse(kubectl_output: str) -> LargestNode:
    """The largest of the nodes in the output of `kubectl get nodes -o json` or `-o yaml`.

    Raises `Malformed`: DJ930 for neither of them, DJ931 beyond a bound, DJ933 where no node is in it.
    """
    largest_node = largest(node for document in _documents(kubectl_output) for node in _nodes(document))
    if largest_node is None:
        raise Malformed("DJ933", "no node in it, expected what kubectl get nodes -o json prints")
    return largest_node


def largest(nodes: Iterable[JsonObject]) -> LargestNode | None:
    """The node with the most EPC, of several the first; `None` where there is no node."""
    sizes = [(_epc(node), text(at(node, "metadata", "name"))) for node in nodes]
    if not sizes:
        return None
    epc, name = max(sizes, key=lambda size: size[0])
    return LargestNode(name=name, epc=epc, of=len(sizes))


def _documents(kubectl_output: str) -> tuple[Json, ...]:
    if not kubectl_output.lstrip().startswith("{"):
        if len(kubectl_output) > documents.MAX_SIZE:
            raise Malformed("DJ931", f"more than {documents.MAX_SIZE} bytes of YAML: give it as JSON, kubectl get nodes -o json")
        return tuple(node.json() for node in documents.read(kubectl_output))
    try:
        return (cast("Json", json.loads(kubectl_output)),)
    except (ValueError, RecursionError) as error:  # RecursionError is for what is nested very deep.
        raise Malformed("DJ930", f"no JSON: {error}") from error


def _nodes(document: Json) -> Iterator[JsonObject]:
    items = objects(at(document, "items")) if at(document, "kind") in LISTS else objects([document])
    yield from (each for each in items if each.get("kind", "Node" if at(document, "kind") == "NodeList" else None) == "Node")


def _epc(node: JsonObject) -> int:
    offered = ((amount(at(node, "status", "allocatable", name)), unit) for name, unit in EPC_UNITS.items())
    return max(int(each * unit) if each is not None and each > 0 else 0 for each, unit in offered)
