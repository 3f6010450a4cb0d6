"""A pool as Azure's Resource Manager takes it, alone and in a template.

Source: Azure REST API, Microsoft.ContainerService/managedClusters/agentPools.
"""

from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.forms.template import tags, taints
from donjon.fleet.pools.plan import FleetPlan, Pool
from donjon.formats.json import Json, JsonObject

VERSION = "2026-08-01"
KIND = "Microsoft.ContainerService/managedClusters/agentPools"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def properties(pool: Pool, sku: Sku | None, version: str = "") -> JsonObject:
    """The properties of one pool; what is Azure's own default is left out."""
    whole: JsonObject = {
        "type": "VirtualMachineScaleSets",
        "mode": str(pool.mode),
        "vmSize": pool.size,
        "count": pool.count,
        "osType": pool.os_type,
        "osSKU": pool.os_sku,
        "maxPods": pool.max_pods,
    }
    if pool.autoscaler is not None:
        whole |= {"enableAutoScaling": True, "minCount": pool.autoscaler.least, "maxCount": pool.autoscaler.most}
    if pool.spot:
        whole |= {"scaleSetPriority": "Spot", "scaleSetEvictionPolicy": "Delete", "spotMaxPrice": -1}
    several: dict[str, Json] = {
        "availabilityZones": [*pool.zones],
        "nodeTaints": [*taints(pool)],
        "nodeLabels": {**pool.labels},
        "tags": {**tags(pool, sku)},
        "vnetSubnetID": pool.subnet,
        "osDiskSizeGB": pool.os_disk,
        "osDiskType": "Ephemeral" if pool.ephemeral_os_disk else "",
        "orchestratorVersion": version,
    }
    return whole | {name: value for name, value in several.items() if value}


def template(plan: FleetPlan, skus: Mapping[str, Sku]) -> JsonObject:
    """A template that makes all pools in a cluster that is there."""
    resources: list[JsonObject] = [
        {
            "type": KIND,
            "apiVersion": VERSION,
            "name": f"{plan.cluster.name}/{pool.name}",
            "properties": properties(pool, skus.get(pool.size), plan.cluster.version),
        }
        for pool in plan.pools
    ]
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": [*resources]}
