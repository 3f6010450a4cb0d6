"""Random small clusters: nodes with EPC and without, pods of every kind of which the scheduler's filters speak."""

import random
from typing import Any

MI, GI = 1 << 20, 1 << 30
EPC, ENCLAVE = "sgx.intel.com/epc", "sgx.intel.com/enclave"
ZONE, HOST, TIER = "topology.kubernetes.io/zone", "kubernetes.io/hostname", "tier"


def world(number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Nodes and pods of that number's cluster; every name and label is its own, so that many are looked at in one API server."""
    lot = random.Random(number)  # noqa: S311 - no secret.
    mark = {"world": f"w{number}"}
    nodes = [_node(lot, f"w{number}-n{index}", mark) for index in range(lot.randint(1, 6))]
    pods = [_pod(lot, f"w{number}-p{index:03}", mark) for index in range(lot.randint(1, 30))]
    return nodes, pods


def replica_set(number: int) -> dict[str, Any]:
    """The owner of the pods of an application: it makes the scheduler spread them, where it can."""
    labels = {"app": "x", "world": f"w{number}"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"w{number}", "namespace": "default"},
        "spec": spec,
    }


def _node(lot: random.Random, name: str, mark: dict[str, str]) -> dict[str, Any]:
    sgx = lot.random() < 0.7
    amounts = {"cpu": f"{lot.choice((1, 2, 4))}", "memory": f"{lot.choice((2, 4, 8))}Gi", "pods": f"{lot.choice((5, 10, 110))}"}
    if sgx:
        amounts |= {EPC: str(lot.choice((64, 128, 256)) * MI), ENCLAVE: str(lot.choice((2, 110)))}
    labels = {**mark, HOST: name, TIER: lot.choice(("a", "b"))}
    if lot.random() < 0.8:
        labels[ZONE] = lot.choice(("z1", "z2"))
    spec: dict[str, Any] = {}
    if lot.random() < 0.3:
        spec["taints"] = [
            {"key": lot.choice((EPC, "own")), "value": "true", "effect": lot.choice(("NoSchedule", "PreferNoSchedule"))}
        ]
    if lot.random() < 0.05:
        spec["unschedulable"] = True
    ready = {"type": "Ready", "status": "True", "reason": "x", "message": "x"}
    moment = "2026-11-28T20:00:00Z"
    status = {
        "capacity": amounts,
        "allocatable": amounts,
        "images": [{"names": [f"registry.example/{mark['world']}:latest", "other"], "sizeBytes": 300 * MI}][: lot.choice((0, 1))],
        "conditions": [ready | {"lastHeartbeatTime": moment, "lastTransitionTime": moment}],
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}


def _pod(lot: random.Random, name: str, mark: dict[str, str]) -> dict[str, Any]:
    labels = {"app": lot.choice(("x", "y", "z")), **mark}
    spec: dict[str, Any] = {
        "nodeSelector": dict(mark),
        "containers": [_container(lot, index, mark) for index in range(lot.randint(1, 2))],
    }
    if lot.random() < 0.3:
        spec["initContainers"] = [_container(lot, 9, mark) | ({"restartPolicy": "Always"} if lot.random() < 0.5 else {})]
    if lot.random() < 0.4:
        spec["tolerations"] = [
            lot.choice(({"operator": "Exists"}, {"key": EPC, "operator": "Exists"}, {"key": "own", "value": "true"}))
        ]
    if lot.random() < 0.2:
        spec["nodeSelector"][TIER] = lot.choice(("a", "b", "c"))
    if lot.random() < 0.2:
        spec["topologySpreadConstraints"] = [_spread(lot, mark)]
    affinity = _affinity(lot, mark)
    if affinity:
        spec["affinity"] = affinity
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec}


def _affinity(lot: random.Random, mark: dict[str, str]) -> dict[str, Any]:
    affinity: dict[str, Any] = {}
    for field in ("podAffinity", "podAntiAffinity"):
        if lot.random() < 0.12:
            affinity[field] = {"requiredDuringSchedulingIgnoredDuringExecution": [_term(lot, mark)]}
        if lot.random() < 0.1:
            wish = {"weight": lot.choice((1, 50, 100)), "podAffinityTerm": _term(lot, mark)}
            affinity.setdefault(field, {})["preferredDuringSchedulingIgnoredDuringExecution"] = [wish]
    if lot.random() < 0.15:
        operator = lot.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        values = {"values": [lot.choice(("a", "b"))]} if operator in {"In", "NotIn"} else {}
        terms = [{"matchExpressions": [{"key": lot.choice((TIER, ZONE)), "operator": operator, **values}]}]
        affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    if lot.random() < 0.1:
        term = {"matchExpressions": [{"key": TIER, "operator": "In", "values": [lot.choice(("a", "b"))]}]}
        wish = {"weight": lot.choice((1, 100)), "preference": term}
        affinity.setdefault("nodeAffinity", {})["preferredDuringSchedulingIgnoredDuringExecution"] = [wish]
    return affinity


def _container(lot: random.Random, index: int, mark: dict[str, str]) -> dict[str, Any]:
    requests: dict[str, str] = {}
    if lot.random() < 0.7:
        requests["cpu"] = lot.choice(("50m", "100m", "500m", "1"))
    if lot.random() < 0.6:
        requests["memory"] = lot.choice(("64Mi", "256Mi", "1Gi"))
    limits: dict[str, str] = {}
    if lot.random() < 0.6:
        limits[EPC] = str(lot.choice((1, 10, 32, 64)) * MI)
        limits[ENCLAVE] = "1"
    container: dict[str, Any] = {
        "name": f"c{index}",
        "image": lot.choice(("i", f"registry.example/{mark['world']}")),
        "resources": {"requests": {**requests, **limits}, "limits": limits},
    }
    if index == 0 and lot.random() < 0.08:
        container["ports"] = [{"containerPort": 80, "hostPort": lot.choice((8080, 8081))}]
    return container


def _spread(lot: random.Random, mark: dict[str, str]) -> dict[str, Any]:
    constraint: dict[str, Any] = {
        "maxSkew": lot.choice((1, 2)),
        "topologyKey": lot.choice((ZONE, HOST)),
        "whenUnsatisfiable": lot.choice(("DoNotSchedule", "DoNotSchedule", "ScheduleAnyway")),
        "labelSelector": {"matchLabels": {"app": lot.choice(("x", "y")), **mark}},
    }
    if lot.random() < 0.2 and constraint["whenUnsatisfiable"] == "DoNotSchedule":
        constraint["minDomains"] = 2
    if lot.random() < 0.2:
        constraint["nodeTaintsPolicy"] = "Honor"
    return constraint


def _term(lot: random.Random, mark: dict[str, str]) -> dict[str, Any]:
    return {
        "topologyKey": lot.choice((ZONE, HOST)),
        "labelSelector": {"matchLabels": {"app": lot.choice(("x", "y", "z")), **mark}},
    }
