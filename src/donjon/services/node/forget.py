"""Takes away what agents wrote on node objects, once, when Donjon is uninstalled."""

import asyncio
import os
from collections.abc import Sequence

from donjon.adapters.kubeapi.client import KubeApi, PatchType, in_cluster
from donjon.kube.json import JsonObject, at, objects
from donjon.node.registration import NOTHING_TO_DO, farewell


def forget(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the nodes that were cleaned: those named, or all of the cluster where none is."""
    return asyncio.run(_forget(names))


async def _forget(names: Sequence[str]) -> tuple[str, ...]:
    api = KubeApi(in_cluster(os.environ))
    try:
        nodes = objects((await api.get("/api/v1/nodes")).get("items"))
        chosen = [node for node in nodes if not names or at(node, "metadata", "name") in names]
        return tuple([name for node in chosen if (name := await _clean(api, node))])
    finally:
        await api.close()


async def _clean(api: KubeApi, node: JsonObject) -> str:
    """The node's name if there was something to take away."""
    name = str(at(node, "metadata", "name"))
    patches = farewell(node)
    if patches.status is not None:
        await api.patch(f"/api/v1/nodes/{name}/status", patches.status, PatchType.STRATEGIC)
    if patches.node is not None:
        await api.patch(f"/api/v1/nodes/{name}", patches.node, PatchType.MERGE)
    return name if patches != NOTHING_TO_DO else ""
