"""How many nodes a pool's cloud makes, and another number asked for: of AKS by Azure, of metal by Cluster API."""

from typing import TYPE_CHECKING

from donjon.errors import Unavailable
from donjon.fleet.scaling.membership import CloudPool
from donjon.formats.json import at
from donjon.formats.words import recite

if TYPE_CHECKING:
    from donjon.adapters.azure.pools import AksPools
    from donjon.adapters.cluster.machines import MachineDeployments

SETTLED_STATES = frozenset({"Succeeded", "Failed", "Canceled", ""})
"""Azure's words for a pool that nobody changes now."""
AUTOSCALED = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size"
"""The annotation by which the cluster autoscaler takes a MachineDeployment for its own."""


class AzureSizes:
    """How many nodes Azure makes for each pool, and another number asked for."""

    def __init__(self, pools: "AksPools") -> None:
        self._pools = pools

    def look(self, pool: str) -> CloudPool:
        """What Azure says of it; raises `Unavailable`."""
        there = self._pools.read(pool)
        if there is None:
            return CloudPool(size=0, trouble="Azure has no such pool: donjon pool apply makes it")
        count, state = there[0].get("count"), str(at(there[0], "provisioningState") or "")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise Unavailable("DJ845", f"pool {pool}: Azure does not say how many nodes it has")
        trouble = "" if state in SETTLED_STATES else f"Azure is still at its last change ({recite(state)})"
        if there[0].get("enableAutoScaling"):
            trouble = "AKS' own autoscaler says how many nodes it has"
        return CloudPool(size=count, trouble=trouble)

    def resize(self, pool: str, before: int, after: int) -> None:
        """Asked for; raises `Unavailable`, `Malformed`."""
        self._pools.resize(pool, before, after)

    def close(self) -> None:
        """Close the connections."""
        self._pools.close()


class MachineSizes:
    """How many machines Cluster API makes for each pool, and another number asked for."""

    def __init__(self, machines: "MachineDeployments") -> None:
        self._machines = machines

    def look(self, pool: str) -> CloudPool:
        """What the MachineDeployment of that name says; raises `Unavailable`."""
        there = self._machines.read(pool)
        if there is None:
            return CloudPool(size=0, trouble="there is no MachineDeployment of its name: donjon pool plan FILE --output capm3")
        count, annotations = at(there, "spec", "replicas"), at(there, "metadata", "annotations")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise Unavailable("DJ845", f"MachineDeployment {pool}: does not say how many machines it has")
        is_theirs = isinstance(annotations, dict) and AUTOSCALED in annotations
        return CloudPool(size=count, trouble="the cluster autoscaler says how many nodes it has" if is_theirs else "")

    def resize(self, pool: str, before: int, after: int) -> None:
        """Asked for; raises `Unavailable`, `Misconfigured`."""
        self._machines.resize(pool, before, after)

    def close(self) -> None:
        """Close the connections."""
        self._machines.close()
