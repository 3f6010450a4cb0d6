"""The nodes that `kubectl get nodes` prints, read for the largest of them."""

import json
from collections.abc import Iterator
from typing import cast

from donjon.admission.manifests import documents
from donjon.admission.nodes import LargestNode, largest
from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at, objects

MAX_SIZE = 64 << 20  # bytes of JSON; a node has about 20 KiB, so some thousand nodes
LISTS = ("List", "NodeList")


def parse(kubectl_output: str) -> LargestNode:
    """The largest of the nodes in the output of `kubectl get nodes -o json` or `-o yaml`.

    Raises `Malformed`: DJ930 for neither of them, DJ931 beyond a bound, DJ933 where no node is in it.
    """
    largest_node = largest(node for document in _documents(kubectl_output) for node in _nodes(document))
    if largest_node is None:
        raise Malformed("DJ933", "no node in it, expected what kubectl get nodes -o json prints")
    return largest_node


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
