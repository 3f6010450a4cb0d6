"""A plan's pools for Terraform: by the provider `azurerm`, and by `azapi`, which takes what Resource Manager takes.

Sources: HashiCorp, HCL native syntax; the providers on `azurerm_kubernetes_cluster_node_pool` and `azapi_resource`.
"""

from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.forms.arm import KIND, VERSION, properties
from donjon.fleet.pools.forms.template import tags, taints
from donjon.fleet.pools.plan import FleetPlan, Pool
from donjon.formats.json import Json, JsonObject

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def azurerm(plan: FleetPlan, skus: Mapping[str, Sku]) -> str:
    """The file for `azurerm`."""
    blocks = [_cluster(plan)]
    for pool in plan.pools:
        arguments = "".join(f"  {name} = {literal(value, 1)}\n" for name, value in _arguments(plan, pool, skus).items())
        identity = "  kubernetes_cluster_id = data.azurerm_kubernetes_cluster.cluster.id\n"
        body = f"{identity}{arguments}{_lifecycle(pool, 'node_count')}"
        blocks.append(f'resource "azurerm_kubernetes_cluster_node_pool" "{pool.name}" {{\n{body}}}\n')
    return "\n".join(blocks)


def azapi(plan: FleetPlan, skus: Mapping[str, Sku]) -> str:
    """The file for `azapi`."""
    blocks = [_cluster(plan)]
    for pool in plan.pools:
        body = literal({"properties": properties(pool, skus.get(pool.size), plan.cluster.version)}, 1)
        head = f'resource "azapi_resource" "{pool.name}" {{\n  type = "{KIND}@{VERSION}"\n  name = {literal(pool.name)}\n'
        rest = f"  parent_id = data.azurerm_kubernetes_cluster.cluster.id\n  body = {body}\n"
        blocks.append(f"{head}{rest}{_lifecycle(pool, 'body.properties.count')}}}\n")
    return "\n".join(blocks)


def _lifecycle(pool: Pool, count: str) -> str:
    """A number of nodes that somebody else moves is not set back by the next `terraform apply`."""
    return f"  lifecycle {{\n    ignore_changes = [{count}]\n  }}\n" if pool.scale else ""


def _cluster(plan: FleetPlan) -> str:
    names = {"name": plan.cluster.name, "resource_group_name": plan.cluster.resource_group}
    return (
        'data "azurerm_kubernetes_cluster" "cluster" {\n' + "".join(f"  {k} = {literal(v)}\n" for k, v in names.items()) + "}\n"
    )


def _arguments(plan: FleetPlan, pool: Pool, skus: Mapping[str, Sku]) -> JsonObject:
    whole: JsonObject = {
        "name": pool.name,
        "vm_size": pool.size,
        "mode": str(pool.mode),
        "os_type": pool.os_type,
        "os_sku": pool.os_sku,
        "max_pods": pool.max_pods,
        "node_count": pool.count,
    }
    if pool.autoscaler is not None:
        whole |= {"auto_scaling_enabled": True, "min_count": pool.autoscaler.least, "max_count": pool.autoscaler.most}
    if pool.spot:
        whole |= {"priority": "Spot", "eviction_policy": "Delete", "spot_max_price": -1}
    if pool.ephemeral_os_disk:
        whole |= {"os_disk_type": "Ephemeral"}
    several: dict[str, Json] = {
        "vnet_subnet_id": pool.subnet,
        "os_disk_size_gb": pool.os_disk,
        "zones": [*pool.zones],
        "node_taints": [*taints(pool)],
        "node_labels": {**pool.labels},
        "tags": {**tags(pool, skus.get(pool.size))},
        "orchestrator_version": plan.cluster.version,
    }
    return whole | {name: value for name, value in several.items() if value}


def literal(value: Json, depth: int = 0) -> str:
    """A value as HCL writes it."""
    inner, outer = "  " * (depth + 1), "  " * depth
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return f'"{value.translate(_ESCAPES).replace("${", "$${").replace("%{", "%%{")}"'
        case list():
            return f"[{', '.join(literal(each, depth) for each in value)}]"
        case dict():
            lines = (f"{inner}{literal(name)} = {literal(each, depth + 1)}\n" for name, each in value.items())
            return "{\n" + "".join(lines) + f"{outer}}}"
        case _:
            return "null"
