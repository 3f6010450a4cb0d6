"""The node objects of a cluster, with its user's rights."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from donjon.adapters.cluster.client import NODE, UserCluster
from donjon.formats.json import JsonObject
from donjon.node.registration import Patches

Entry = TypeVar("Entry")


class UserNodes:
    """All nodes, listed and changed."""

    def __init__(self, cluster: UserCluster) -> None:
        self._cluster = cluster

    def list(self, keep: Callable[[JsonObject], Entry]) -> Iterable[Entry]:
        """What is kept of each; raises `Unavailable` DJ041."""
        return map(keep, self._cluster.list(NODE))

    def patch(self, name: str, patches: Patches) -> None:
        """Change one; raises `Unavailable` DJ041."""
        if patches.status is not None:
            self._cluster.patch(NODE, name, patches.status, status=True)
        if patches.node is not None:
            self._cluster.patch(NODE, name, patches.node)
