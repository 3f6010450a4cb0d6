"""A default storage class, so that claims are bound as in other clusters: each node has some folders as volumes of type `local`.

Nothing makes volumes at run time: one whose claim has gone is given to nobody again until the testbed is taken down.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from testbed.commands import attempt, run
from testbed.layout import VOLUMES

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.layout import Layout, Node

CLASS = "local"
EACH = 10
"""Volumes of a node."""

_NODE = "testbed.donjon.dev/node"
_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def offer(layout: Layout, nodes: tuple[Node, ...]) -> None:
    """Make the class and the nodes' volumes, where they are not there yet."""
    for node in nodes:
        for number in range(EACH):
            (node.folder(layout) / "volumes" / str(number)).mkdir(parents=True, exist_ok=True)
    items = [_CLASS, *(_volume(node, number) for node in nodes for number in range(EACH))]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    run(*_kubectl(layout), "apply", "-f", "-", stdin=json.dumps(listed))


def withdraw(layout: Layout, node: Node) -> None:
    """Forget the volumes of a node that goes."""
    attempt(*_kubectl(layout), "delete", "pv", "-l", f"{_NODE}={node.name}", "--wait=false")


def _volume(node: Node, number: int) -> dict[str, object]:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{node.name}-{number}", "labels": {_NODE: node.name}},
        "spec": {
            "storageClassName": CLASS,
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(VOLUMES / str(number))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def _kubectl(layout: Layout) -> tuple[str | Path, ...]:
    return (layout.program("kubectl"), "--kubeconfig", layout.kubeconfig)
