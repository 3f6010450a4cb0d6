"""A plan's pools for tools whose language is Kubernetes': Cluster API on Azure and on metal, kubeadm, and Donjon's own chart.

Sources: Cluster API provider Azure, `AzureManagedMachinePool` (infrastructure.cluster.x-k8s.io/v1beta1), `MachinePool`; kubeadm
configuration v1beta4, `JoinConfiguration`.
"""

from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.forms.template import tags, taints
from donjon.fleet.pools.plan import FleetPlan, Pool
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import EPC

_DEFAULT = "default"


def capz(plan: FleetPlan, skus: Mapping[str, Sku]) -> tuple[JsonObject, ...]:
    """A MachinePool and its AzureManagedMachinePool for each pool."""
    return tuple(each for pool in plan.pools for each in _capz(plan, pool, skus.get(pool.size)))


def _capz(plan: FleetPlan, pool: Pool, sku: Sku | None) -> tuple[JsonObject, JsonObject]:
    metadata: JsonObject = {"name": pool.name, "namespace": _DEFAULT}
    reference: JsonObject = {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "AzureManagedMachinePool", "name": pool.name}
    template: JsonObject = {"bootstrap": {"dataSecretName": ""}, "clusterName": plan.cluster.name, "infrastructureRef": reference}
    version: JsonObject = {"version": f"v{plan.cluster.version}"} if plan.cluster.version else {}
    machines: JsonObject = {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachinePool",
        "metadata": metadata,
        "spec": {"clusterName": plan.cluster.name, "replicas": pool.count, "template": {"spec": template | version}},
    }
    kind: JsonObject = {
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1",
        "kind": "AzureManagedMachinePool",
        "metadata": metadata,
        "spec": _managed(pool, sku),
    }
    return machines, kind


def _managed(pool: Pool, sku: Sku | None) -> JsonObject:
    spec: JsonObject = {
        "name": pool.name,
        "mode": str(pool.mode),
        "sku": pool.size,
        "osType": pool.os_type,
        "maxPods": pool.max_pods,
    }
    if pool.scale is not None:
        spec["scaling"] = {"minSize": pool.scale.least, "maxSize": pool.scale.most}
    if pool.spot:
        spec |= {"scaleSetPriority": "Spot", "spotVMOptions": {"evictionPolicy": "Delete", "maxPrice": "-1"}}
    if pool.ephemeral_os_disk:
        spec["osDiskType"] = "Ephemeral"
    several: dict[str, Json] = {
        "availabilityZones": [*pool.zones],
        "taints": [_taint(each) for each in taints(pool)],
        "nodeLabels": {**pool.labels},
        "additionalTags": {**tags(pool, sku)},
    }
    return spec | {name: value for name, value in several.items() if value}


def _taint(text: str) -> JsonObject:
    pair, _, effect = text.partition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect}


def kubeadm(plan: FleetPlan) -> tuple[JsonObject, ...]:
    """How a node of each pool joins; token, authority and address are the cluster's own, and to be filled in."""
    return tuple(_join(pool) for pool in plan.pools)


def _join(pool: Pool) -> JsonObject:
    labels = ",".join(f"{name}={text}" for name, text in {"donjon.dev/pool": pool.name, **pool.labels}.items())
    discovery: JsonObject = {
        "apiServerEndpoint": "API-SERVER:6443",
        "token": "abcdef.0123456789abcdef",
        "caCertHashes": [f"sha256:{'0' * 64}"],
    }
    registration: JsonObject = {
        "kubeletExtraArgs": [{"name": "node-labels", "value": labels}, {"name": "max-pods", "value": str(pool.max_pods)}],
        "taints": [_taint(each) for each in taints(pool)],
    }
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": discovery},
        "nodeRegistration": registration,
    }


def chart_values(plan: FleetPlan) -> JsonObject:
    """What Donjon's chart is to be told of these pools; its defaults do for the rest."""
    del plan
    return {"node": {"meter": {"enabled": True}, "tolerations": [{"key": EPC, "operator": "Exists"}, {"operator": "Exists"}]}}
