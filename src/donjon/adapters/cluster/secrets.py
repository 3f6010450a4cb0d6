"""One Secret, as the user of a kubeconfig."""

from donjon.adapters.cluster.client import SECRET, UserCluster
from donjon.formats.json import JsonObject


class UserSecret:
    """The Secret of that name; raises what `UserCluster` raises."""

    def __init__(self, cluster: UserCluster, namespace: str, name: str) -> None:
        self._cluster, self._namespace, self._name = cluster, namespace, name

    async def read(self) -> JsonObject | None:
        """The Secret; `None` where there is none."""
        return self._cluster.get(SECRET, self._name, self._namespace)

    async def write(self, secret: JsonObject) -> None:
        """Make it, or replace the version that its metadata say."""
        self._cluster.write(SECRET, self._namespace, secret)
