"""Takes away what agents wrote on node objects, once, when Donjon is uninstalled."""

import asyncio
import os
from collections.abc import Sequence

from donjon.adapters.kubeapi.client import KubeApi, PatchType, in_cluster
from donjon.errors import Malformed, Unavailable
from donjon.formats.json import at
from donjon.node.offer import Advertise
from donjon.node.registration import NOTHING_TO_DO, Patches, farewell


def forget(names: Sequence[str], advertised: frozenset[Advertise]) -> tuple[str, ...]:
    """The nodes that had something to take away, among those named, or all of the cluster where none is.

    Raises `Malformed` DJ044 for names of no node, and `Unavailable` DJ041 when some node could not be cleaned: the others are.
    """
    return asyncio.run(_forget(names, advertised))


async def _forget(names: Sequence[str], advertised: frozenset[Advertise]) -> tuple[str, ...]:
    api = KubeApi(in_cluster(os.environ))
    try:
        nodes = dict(await api.all("/api/v1/nodes", lambda node: (str(at(node, "metadata", "name")), farewell(node, advertised))))
        unknown = sorted(set(names) - set(nodes))
        if unknown:
            raise Malformed("DJ044", f"no node is called {', '.join(unknown)}; kubectl get nodes lists them")
        selected = {name: nodes[name] for name in names or nodes}
        troubles = [trouble for name, patches in selected.items() if (trouble := await _clean(api, name, patches))]
        if troubles:
            raise Unavailable("DJ041", "; ".join(troubles))
        return tuple(name for name, patches in selected.items() if patches != NOTHING_TO_DO)
    finally:
        await api.close()


async def _clean(api: KubeApi, name: str, patches: Patches) -> str:
    """Why the node could not be cleaned, if so."""
    try:
        if patches.status is not None:
            await api.patch(f"/api/v1/nodes/{name}/status", patches.status, PatchType.STRATEGIC)
        if patches.node is not None:
            await api.patch(f"/api/v1/nodes/{name}", patches.node, PatchType.MERGE)
    except Unavailable as error:
        return error.message
    return ""
