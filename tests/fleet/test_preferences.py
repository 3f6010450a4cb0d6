"""What makes the scheduler prefer one node to another, each alone: nodes are alike, and one preference decides."""

from typing import Any

import pytest
from tests.fleet.scheduling import HOST, ZONE, node, pod

from donjon.fleet.scheduling.queue import moving
from donjon.fleet.scheduling.schedule import SMALL, Scheduler
from donjon.formats.json import JsonObject

WEB: JsonObject = {"app": "web"}
OF_WEB: JsonObject = {"matchLabels": {"app": "web"}}
SEEDS = range(8)
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def goes(nodes: list[JsonObject], pods: list[JsonObject], one: JsonObject) -> set[str]:
    """The nodes that it gets, in any of some schedules."""
    return {at for seed in SEEDS for at in Scheduler(nodes, pods, seed).place([one]).nodes.values()}


def of_a_set(one: JsonObject, kind: str = "ReplicaSet") -> JsonObject:
    metadata = one["metadata"]
    assert isinstance(metadata, dict)
    metadata["ownerReferences"] = [{"kind": kind, "name": "web"}]
    return one


def alike(*names: str) -> list[JsonObject]:
    return [node(name, 64, zone=f"z{name}") for name in names]


def test_without_a_preference_any_of_nodes_that_are_alike_is_taken() -> None:
    assert goes(alike("a", "b"), [], pod("p", 1)) == {"a", "b"}


@pytest.mark.parametrize(("field", "where"), [("podAffinity", {"a"}), ("podAntiAffinity", {"b"})])
def test_a_pod_is_drawn_to_whom_it_likes_and_kept_from_whom_it_does_not(field: str, where: set[str]) -> None:
    wish = {"weight": 100, "podAffinityTerm": {"topologyKey": HOST, "labelSelector": OF_WEB}}
    there = pod("there", at="a", labels=WEB)
    assert goes(alike("a", "b"), [there], pod("p", affinity={field: {PREFERRED: [wish]}})) == where


def test_who_is_there_draws_others_too() -> None:
    wish: Any = {"weight": 100, "podAffinityTerm": {"topologyKey": HOST, "labelSelector": OF_WEB}}
    there = pod("there", at="a", affinity={"podAntiAffinity": {PREFERRED: [wish]}})
    assert goes(alike("a", "b"), [there], pod("p", labels=WEB)) == {"b"}


def test_a_node_that_the_pod_prefers_is_taken() -> None:
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": ["b"]}]}
    wish = {"nodeAffinity": {PREFERRED: [{"weight": 1, "preference": term}]}}
    assert goes(alike("a", "b"), [], pod("p", affinity=wish)) == {"b"}


def test_a_pod_that_is_to_be_spread_goes_where_fewer_of_its_kind_are() -> None:
    spread: list[JsonObject] = [
        {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": OF_WEB}
    ]
    there = pod("there", at="a", labels=WEB)
    assert goes(alike("a", "b"), [there], pod("p", labels=WEB, topologySpreadConstraints=[*spread])) == {"b"}


@pytest.mark.parametrize(("kind", "where"), [("ReplicaSet", {"b"}), ("Deployment", {"b"}), ("Job", {"a", "b"})])
def test_pods_of_a_replica_set_are_spread_unasked(kind: str, where: set[str]) -> None:
    nodes = alike("a", "b")
    there = [pod("there", at="a", labels=WEB), pod("other", at="b")]  # Both nodes are as full.
    assert goes(nodes, there, of_a_set(pod("p", labels=WEB), kind)) == where


def test_a_node_that_has_the_image_is_preferred() -> None:
    nodes = alike("a", "b")
    status: Any = nodes[1]["status"]
    status["images"] = [{"names": ["registry.example/big:latest"], "sizeBytes": 900 << 20}]
    large: Any = {"containers": [{"name": "c", "image": "registry.example/big"}]}
    assert goes(nodes, [], pod("p", **large)) == {"b"}


def test_in_a_large_cluster_chance_stands_in_for_preferences() -> None:
    nodes = alike(*(f"n{each}" for each in range(SMALL + 1)))
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": ["n7"]}]}
    wish = {"nodeAffinity": {PREFERRED: [{"weight": 1, "preference": term}]}}
    assert len(goes(nodes, [], pod("p", affinity=wish))) > 1


def test_in_half_of_the_schedules_of_a_large_cluster_the_emptier_node_is_not_always_taken() -> None:
    """Two nodes of many are open, and one of them is emptier: what is not looked at may draw the pod to the other."""
    nodes = [*alike(*(f"n{each}" for each in range(SMALL))), node("a", 64, tier="x"), node("b", 64, tier="x")]
    one = pod("p", 1, nodeSelector={"tier": "x"})
    places = [Scheduler(nodes, [pod("r", at="b", cpu="1")], seed).place([one]).nodes["default/p"] for seed in range(32)]
    steady = {at for seed, at in enumerate(places) if not seed // 4 % 2}
    assert steady == {"a"}
    assert set(places) == {"a", "b"}


def test_a_pod_moves_without_the_labels_of_its_zone() -> None:
    (free,) = moving([pod("p", at="a", labels={**WEB, ZONE: "za"})], alike("a"))
    metadata = free["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["labels"] == WEB
