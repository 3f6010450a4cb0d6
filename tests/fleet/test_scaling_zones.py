"""Pods that could not be on any new node make no pool grow, whatever they say of what nobody knows of it yet."""

from datetime import timedelta
from typing import Any

import pytest
from tests.fleet.scaling import Cloud, made
from tests.fleet.scheduling import HOST, ZONE, pod, required
from tests.fleet.test_scaling import verbs

from donjon.fleet.scaling.record import ScalingRules


def chooses(key: str, operator: str, *values: str) -> Any:
    expression: Any = {"key": key, "operator": operator, "values": [*values]}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
        }
    }


@pytest.mark.parametrize(
    "affinity",
    [
        chooses(ZONE, "DoesNotExist"),
        chooses(ZONE, "NotIn", "z1", "z2"),
        chooses(HOST, "In", *(f"{sign}sgx1+{why}+1" for sign in ("", "?") for why in ("new", "coming"))),
        required("podAntiAffinity", {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": "a"}}}),
    ],
)
def test_no_pool_grows_for_a_pod_that_new_nodes_do_not_take_where_their_zone_is_not_known(affinity: Any) -> None:
    """One pod of a byte, and a pool would grow to its bound: a node a minute, none of which it can have."""
    cloud = Cloud({"sgx1": (0, 20, 128)}, rules=ScalingRules(acts=True, shrinks=False))
    cloud.add("sgx1", 2)
    for zone, machine in zip(("z1", "z2"), cloud.machines, strict=True):
        machine.node["metadata"]["labels"][ZONE] = zone
    there = [made(pod(f"a{each}", 1, at=f"sgx1-{each}", labels={"app": "a"})) for each in (1, 2)]
    cloud.pods = [*there, made(pod("p", 1, labels={"app": "a"}, affinity=affinity))]
    cloud.look()
    assert verbs(cloud) == []
    assert cloud.pending() == ["p"]


def test_a_pod_that_wants_its_zone_for_itself_gets_one_node_of_an_unknown_zone_not_many() -> None:
    cloud = Cloud({"sgx1": (0, 20, 128)})
    cloud.add("sgx1", 2)
    for zone, machine in zip(("z1", "z2"), cloud.machines, strict=True):
        machine.node["metadata"]["labels"][ZONE] = zone
    affinity = required("podAntiAffinity", {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": "a"}}})
    full = [made(pod(f"f{each}", 128, at=f"sgx1-{each}")) for each in (1, 2)]
    cloud.pods = [*full, *(made(pod(f"p{each}", 100, labels={"app": "a"}, affinity=affinity)) for each in range(9))]
    cloud.look()
    assert verbs(cloud) == [("grow", "sgx1", 2, 3)]


def test_a_clock_that_is_set_back_is_not_waited_for() -> None:
    cloud = Cloud({"sgx1": (0, 20, 128)})
    cloud.pods = [made(pod("p0", 100))]
    cloud.go_on(120)
    cloud.moment -= timedelta(days=365)
    for each in cloud.machines:
        each.made -= timedelta(days=366)
    cloud.pods.append(made(pod("p1", 100)))
    cloud.go_on(120)
    assert verbs(cloud) == [("grow", "sgx1", 0, 1), ("grow", "sgx1", 1, 2)]
