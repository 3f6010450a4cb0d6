"""The commands of Alibaba's command line that make a plan's pools in a cluster of ACK, one after the other.

Source: Alibaba's SDK for Container Service (API 2015-12-15), CreateClusterNodePool. Left out: what an account alone knows, the
cluster's ID and its vSwitches, which stand there as words to be filled in.
"""

import json
import shlex
from collections.abc import Mapping

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.pools.forms.template import taints
from donjon.fleet.pools.plan import FleetPlan, Pool
from donjon.formats.json import Json, JsonObject

CLUSTER, VSWITCH = "CLUSTER-ID", "VSWITCH-ID"
DISK = 120  # GB of a node's system disk


def commands(plan: FleetPlan, skus: Mapping[str, Sku]) -> tuple[str, ...]:
    """A line for each pool."""
    head = ["aliyun", "cs", "POST", f"/clusters/{CLUSTER}/nodepools", "--region", plan.cluster.region]
    kind = ["--header", "Content-Type=application/json"]
    return tuple(shlex.join([*head, *kind, "--body", json.dumps(body(pool, skus.get(pool.size)))]) for pool in plan.pools)


def body(pool: Pool, sku: Sku | None) -> JsonObject:
    """The request for one pool."""
    machines: JsonObject = {
        "instance_types": [pool.size],
        "vswitch_ids": [VSWITCH],
        "system_disk_category": "cloud_essd",
        "system_disk_size": pool.os_disk or DISK,
    }
    scale: JsonObject = {"enable": False}
    if pool.autoscaler is None:
        machines["desired_size"] = pool.count
    else:
        scale = {"enable": True, "min_instances": pool.autoscaler.least, "max_instances": pool.autoscaler.most, "type": "cpu"}
    if pool.spot:
        machines["spot_strategy"] = "SpotAsPriceGo"
    return {
        "nodepool_info": {"name": pool.name, "type": "ess"},
        "scaling_group": machines,
        "auto_scaling": scale,
        "kubernetes_config": {
            "runtime": "containerd",
            "labels": _labels(pool),
            "taints": [_taint(each) for each in taints(pool)],
        },
        "tee_config": {"tee_enable": sku is not None and sku.has_sgx},
    }


def _labels(pool: Pool) -> list[Json]:
    return [{"key": name, "value": text} for name, text in pool.labels.items()]


def _taint(text: str) -> JsonObject:
    pair, _, effect = text.partition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect}
