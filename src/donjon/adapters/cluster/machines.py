"""How many machines a MachineDeployment of Cluster API is to have: read, and changed where it still is as it was read."""

from donjon.adapters.cluster.client import ClusterRefusal, Resource, UserCluster
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite

MACHINES = Resource(group="cluster.x-k8s.io", kind="MachineDeployment", plural="machinedeployments", version="v1beta2")
HTTP_CONFLICT = 409


class MachineDeployments:
    """Those of one namespace of a management cluster."""

    def __init__(self, cluster: UserCluster) -> None:
        self._cluster, self._namespace = cluster, cluster.namespace or "default"

    def read(self, name: str) -> JsonObject | None:
        """One of them; `None` where there is none of that name. Raises `Unavailable`, `Misconfigured`."""
        return self._cluster.get(MACHINES, name, self._namespace)

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()

    def resize(self, name: str, before: int, after: int) -> None:
        """Have another number of machines asked for, where it has that before; raises `Unavailable`, `Misconfigured`."""
        there = self.read(name)
        count, spec = at(there, "spec", "replicas"), at(there, "spec")
        if there is None or not isinstance(spec, dict) or count != before:
            words = f"has {recite(str(count))} machines, expected {before}"
            raise Unavailable("DJ844", f"MachineDeployment {name}: {words}: somebody else changed it")
        try:
            self._cluster.write(MACHINES, self._namespace, {**there, "spec": {**spec, "replicas": after}})
        except ClusterRefusal as error:
            if error.status == HTTP_CONFLICT:
                raise Unavailable("DJ844", f"MachineDeployment {name}: somebody else changed it since it was read") from error
            raise
