"""The commands of Azure's command line that make a plan's pools, one after the other.

Source: Azure CLI, `az aks nodepool add`.
"""

import shlex
from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.forms.template import tags, taints
from donjon.fleet.pools.plan import FleetPlan, Pool


def commands(plan: FleetPlan, skus: Mapping[str, Sku]) -> tuple[str, ...]:
    """A line for each pool."""
    cluster = plan.cluster
    group = cluster.resource_group  # Its name may begin with a dash.
    words = [f"--resource-group={group}"] if group.startswith("-") else ["--resource-group", group]
    around = [*words, "--cluster-name", cluster.name]
    version = ["--kubernetes-version", cluster.version] if cluster.version else []
    return tuple(
        shlex.join(["az", "aks", "nodepool", "add", *around, *_options(pool, skus.get(pool.size)), *version])
        for pool in plan.pools
    )


def _options(pool: Pool, sku: Sku | None) -> list[str]:
    words = ["--name", pool.name, "--node-vm-size", pool.size, "--node-count", str(pool.count), "--mode", str(pool.mode)]
    words += ["--os-type", pool.os_type, "--os-sku", pool.os_sku, "--max-pods", str(pool.max_pods)]
    if pool.autoscaler is not None:
        words += [
            "--enable-cluster-autoscaler",
            "--min-count",
            str(pool.autoscaler.least),
            "--max-count",
            str(pool.autoscaler.most),
        ]
    if pool.zones:
        words += ["--zones", *pool.zones]
    if pool.spot:
        words += ["--priority", "Spot", "--eviction-policy", "Delete", "--spot-max-price", "-1"]
    words += ["--vnet-subnet-id", pool.subnet] if pool.subnet else []
    words += ["--node-osdisk-size", str(pool.os_disk)] if pool.os_disk else []
    if pool.ephemeral_os_disk:
        words += ["--node-osdisk-type", "Ephemeral"]
    for option, pairs in (("--labels", pool.labels), ("--tags", tags(pool, sku))):
        words += [option, *(f"{name}={text}" for name, text in pairs.items())] if pairs else []
    return [*words, *(["--node-taints", ",".join(taints(pool))] if taints(pool) else [])]
