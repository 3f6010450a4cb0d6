"""A plan's pools for tools whose language is Kubernetes': Cluster API on Azure and on metal, kubeadm, and Donjon's own chart.

Sources: the CRDs of Cluster API (v1beta2) and of its providers Azure (v1beta1) and Metal3 (v1beta2); kubeadm's v1beta4.
"""

import json
from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.forms.template import tags, taints
from donjon.fleet.pools.plan import UBUNTU, FleetPlan, Pool
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import LABEL_CAPABLE

CORE, INFRASTRUCTURE, BOOTSTRAP = (f"{group}cluster.x-k8s.io" for group in ("", "infrastructure.", "bootstrap."))
IMAGE = "http://IMAGE-SERVER/node.raw"
"""Of a node's system; it is the user's own, and to be filled in."""

IN_TREE_MUTATION = (1, 36)
"""The version of Kubernetes from which on the API server itself wires pods."""

_DEFAULT = "default"


def capz(plan: FleetPlan, skus: Mapping[str, Sku]) -> tuple[JsonObject, ...]:
    """A MachinePool and its AzureManagedMachinePool for each pool."""
    return tuple(each for pool in plan.pools for each in _capz(plan, pool, skus.get(pool.size)))


def _capz(plan: FleetPlan, pool: Pool, sku: Sku | None) -> tuple[JsonObject, JsonObject]:
    template: JsonObject = {
        "bootstrap": {"dataSecretName": ""},
        "clusterName": plan.cluster.name,
        "infrastructureRef": _reference(INFRASTRUCTURE, "AzureManagedMachinePool", pool),
    }
    version = _version(plan)
    machines: JsonObject = {
        "clusterName": plan.cluster.name,
        "replicas": pool.count,
        "template": {"spec": template | version},
    }
    return (
        _object(f"{CORE}/v1beta2", "MachinePool", pool, machines),
        _object(f"{INFRASTRUCTURE}/v1beta1", "AzureManagedMachinePool", pool, _managed(pool, sku)),
    )


def _version(plan: FleetPlan) -> JsonObject:
    """Cluster API takes versions of three numbers alone; where a plan says two, the first release of those."""
    version = plan.cluster.version
    return {"version": f"v{version}{'.0' * (version.count('.') == 1)}"} if version else {}


def _managed(pool: Pool, sku: Sku | None) -> JsonObject:
    spec: JsonObject = {
        "name": pool.name,
        "mode": str(pool.mode),
        "sku": pool.size,
        "osType": pool.os_type,
        "maxPods": pool.max_pods,
    }
    if pool.autoscaler is not None:
        spec["scaling"] = {"minSize": pool.autoscaler.least, "maxSize": pool.autoscaler.most}
    if pool.spot:
        spec |= {"scaleSetPriority": "Spot", "spotMaxPrice": "-1"}
    if pool.os_sku != UBUNTU:  # The CRD has no field for it.
        spec["asoManagedClustersAgentPoolPatches"] = [json.dumps({"spec": {"osSKU": pool.os_sku}})]
    if pool.ephemeral_os_disk:
        spec["osDiskType"] = "Ephemeral"
    several: dict[str, Json] = {
        "subnetName": pool.subnet.rpartition("/")[2],
        "osDiskSizeGB": pool.os_disk,
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


def capm3(plan: FleetPlan) -> tuple[JsonObject, ...]:
    """A MachineDeployment of hosts labelled as having SGX for each pool, with their template and how they join."""
    return tuple(each for pool in plan.pools for each in _capm3(plan, pool))


def _capm3(plan: FleetPlan, pool: Pool) -> tuple[JsonObject, ...]:
    labels: JsonObject = {"cluster.x-k8s.io/deployment-name": pool.name}
    machine: JsonObject = {
        "clusterName": plan.cluster.name,
        "bootstrap": {"configRef": _reference(BOOTSTRAP, "KubeadmConfigTemplate", pool)},
        "infrastructureRef": _reference(INFRASTRUCTURE, "Metal3MachineTemplate", pool),
    }
    version = _version(plan)
    deployment: JsonObject = {
        "clusterName": plan.cluster.name,
        "replicas": pool.count,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": machine | version},
    }
    hosts: JsonObject = {
        "hostSelector": {"matchLabels": {LABEL_CAPABLE: "true", **pool.labels}},
        "image": {"url": IMAGE, "checksum": f"{IMAGE}.sha256sum", "checksumType": "sha256", "diskFormat": "raw"},
    }
    return (
        _object(f"{CORE}/v1beta2", "MachineDeployment", pool, deployment) | _annotations(pool),
        _object(f"{INFRASTRUCTURE}/v1beta2", "Metal3MachineTemplate", pool, {"template": {"spec": hosts}}),
        _object(
            f"{BOOTSTRAP}/v1beta2",
            "KubeadmConfigTemplate",
            pool,
            {"template": {"spec": {"joinConfiguration": {"nodeRegistration": _registration(pool)}}}},
        ),
    )


def _object(version: str, kind: str, pool: Pool, spec: JsonObject) -> JsonObject:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": pool.name, "namespace": _DEFAULT}, "spec": spec}


def _annotations(pool: Pool) -> JsonObject:
    """Bounds for the cluster autoscaler, which reads them there."""
    if pool.autoscaler is None:
        return {}
    size = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-"
    bounds: JsonObject = {f"{size}min-size": str(pool.autoscaler.least), f"{size}max-size": str(pool.autoscaler.most)}
    return {"metadata": {"name": pool.name, "namespace": _DEFAULT, "annotations": bounds}}


def _reference(group: str, kind: str, pool: Pool) -> JsonObject:
    return {"apiGroup": group, "kind": kind, "name": pool.name}


def kubeadm(plan: FleetPlan) -> tuple[JsonObject, ...]:
    """How a node of each pool joins; token, authority and address are the cluster's own, and to be filled in."""
    return tuple(_join(pool) for pool in plan.pools)


def _join(pool: Pool) -> JsonObject:
    discovery: JsonObject = {
        "apiServerEndpoint": "API-SERVER:6443",
        "token": "abcdef.0123456789abcdef",
        "caCertHashes": [f"sha256:{'0' * 64}"],
    }
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": discovery},
        "nodeRegistration": _registration(pool),
    }


def _registration(pool: Pool) -> JsonObject:
    arguments: list[Json] = [{"name": "max-pods", "value": str(pool.max_pods)}]
    if pool.labels:
        labels = ",".join(f"{name}={text}" for name, text in pool.labels.items())
        arguments.append({"name": "node-labels", "value": labels})
    several: JsonObject = {"taints": [_taint(each) for each in taints(pool)]} if taints(pool) else {}
    return {"kubeletExtraArgs": arguments} | several


def chart_values(plan: FleetPlan) -> JsonObject:
    """What Donjon's chart is to be told of the cluster; its defaults do for the rest, taints of any kind included."""
    values: JsonObject = {"node": {"meter": {"enabled": True}}}
    if plan.cluster.version:  # Who renders the chart without a cluster (Argo CD, helm template) must say the mode.
        wires_pods = tuple(map(int, plan.cluster.version.split(".")[:2])) >= IN_TREE_MUTATION
        values["admission"] = {"mode": "policies" if wires_pods else "webhook"}
    return values
