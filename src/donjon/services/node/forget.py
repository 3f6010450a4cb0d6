"""Takes away what agents wrote on node objects, once, when Donjon is uninstalled."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, Self, TypeVar

from donjon.adapters.kubeapi.client import KubeApi, PatchType, in_cluster
from donjon.errors import Malformed, Unavailable
from donjon.formats.json import JsonObject
from donjon.kube.objects import name_of
from donjon.node.offer import Advertise
from donjon.node.registration import NOTHING_TO_DO, Patches, farewell

Entry = TypeVar("Entry")


class NodeObjects(Protocol):
    """The node objects of a cluster, by whatever account."""

    def list(self, keep: Callable[[JsonObject], Entry]) -> Iterable[Entry]:
        """What is kept of each; whole ones take 80 kB. Raises `Unavailable` DJ041."""

    def patch(self, name: str, patches: Patches) -> None:
        """Change one; raises `Unavailable` DJ041."""


def forget(node_objects: NodeObjects, names: Sequence[str], advertised: frozenset[Advertise]) -> tuple[str, ...]:
    """The nodes that had something to take away, among those named, or all of the cluster where none is.

    Raises `Malformed` DJ044 for names of no node, and `Unavailable` DJ041 when some node could not be cleaned: the others are.
    """
    nodes = dict(node_objects.list(lambda node: (name_of(node), farewell(node, advertised))))
    unknown = sorted(set(names) - set(nodes))
    if unknown:
        raise Malformed("DJ044", f"no node is called {', '.join(unknown)}; kubectl get nodes lists them")
    selected = {name: nodes[name] for name in names or nodes}
    troubles = list(_clean(node_objects, selected))
    if troubles:
        raise Unavailable("DJ041", "; ".join(troubles))
    return tuple(name for name, patches in selected.items() if patches != NOTHING_TO_DO)


def _clean(node_objects: NodeObjects, selected: Mapping[str, Patches]) -> Iterable[str]:
    """Why nodes could not be cleaned."""
    for name, patches in selected.items():
        try:
            node_objects.patch(name, patches)
        except Unavailable as error:
            yield error.message


class OwnAccount:
    """The node objects by the account of the pod in which this runs; closed at the end of the block."""

    def __init__(self) -> None:
        """Raises `Misconfigured` DJ040 outside of a pod."""
        self._runner = asyncio.Runner()
        self._api = KubeApi(in_cluster(os.environ))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._api.close())
        self._runner.close()

    def list(self, keep: Callable[[JsonObject], Entry]) -> Iterable[Entry]:
        """What is kept of each."""
        return self._runner.run(self._api.all("/api/v1/nodes", keep))

    def patch(self, name: str, patches: Patches) -> None:
        """Change one."""
        if patches.status is not None:
            self._runner.run(self._api.patch(f"/api/v1/nodes/{name}/status", patches.status, PatchType.STRATEGIC))
        if patches.node is not None:
            self._runner.run(self._api.patch(f"/api/v1/nodes/{name}", patches.node, PatchType.MERGE))
