"""Pods put on nodes: each filter of the scheduler that is kept, and what of a pod makes its outcome unknown."""

from typing import Any

import pytest
from tests.fleet.scheduling import HOST, ZONE, node, pod, required

from donjon.fleet.scheduling.outlook import Prospect, outlook
from donjon.fleet.scheduling.queue import copies, moving, retire, waiting
from donjon.fleet.scheduling.schedule import Scheduler
from donjon.formats.json import JsonObject

WEB: JsonObject = {"app": "web"}
OF_WEB: JsonObject = {"matchLabels": {"app": "web"}}


def placed(nodes: list[JsonObject], pods: list[JsonObject], queue: list[JsonObject], seed: int = 0) -> dict[str, str]:
    """The node of each pod of the queue that gets one."""
    return {name.rpartition("/")[2]: at for name, at in Scheduler(nodes, pods, seed).place(queue).nodes.items()}


def test_epc_is_given_out_until_none_is_left() -> None:
    assert len(placed([node("a", 64), node("b", 64)], [], [pod(f"p{each}", 32) for each in range(5)])) == 4


def test_what_runs_already_holds_its_part_and_what_has_ended_does_not() -> None:
    ended = pod("done", 64, at="a")
    ended["status"] = {"phase": "Succeeded"}
    assert placed([node("a", 64)], [ended], [pod("p", 64)]) == {"p": "a"}
    assert placed([node("a", 64)], [pod("q", 1, at="a")], [pod("p", 64)]) == {}


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        ({"nodeSelector": {"tier": "b"}}, {"b"}),
        ({"nodeSelector": {"tier": "c"}}, set()),
        ({"tolerations": [{"operator": "Exists"}]}, {"a", "b"}),
        ({"affinity": {"nodeAffinity": {}}}, {"a", "b"}),
    ],
)
def test_a_pods_own_words_are_kept(spec: Any, at: set[str]) -> None:
    nodes = [node("a", 64, tier="a"), node("b", 64, tier="b")]
    assert set(placed(nodes, [], [pod("p", 1, **spec)]).values()) <= at
    assert bool(placed(nodes, [], [pod("p", 1, **spec)])) == bool(at)


def test_a_taint_keeps_away_who_does_not_tolerate_it() -> None:
    tainted = node("a", 64, taints=[{"key": "sgx.intel.com/epc", "value": "true", "effect": "NoSchedule"}])
    assert placed([tainted], [], [pod("p", 1)]) == {}
    assert placed([tainted], [], [pod("p", 1, tolerations=[{"key": "sgx.intel.com/epc", "operator": "Exists"}])]) == {"p": "a"}


def test_a_cordoned_node_takes_nobody() -> None:
    closed = node("a", 64)
    closed["spec"] = {"unschedulable": True}
    assert placed([closed], [], [pod("p", 1)]) == {}


def test_a_port_of_the_host_is_given_once() -> None:
    ports: Any = {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}
    assert len(placed([node("a"), node("b")], [], [pod(f"p{each}", **ports) for each in range(3)])) == 2


def test_pods_that_want_none_of_their_kind_beside_them_get_a_node_each() -> None:
    apart = required("podAntiAffinity", {"topologyKey": HOST, "labelSelector": OF_WEB})
    pods = [pod(f"p{each}", 1, labels=WEB, affinity=apart) for each in range(3)]
    assert sorted(placed([node("a", 64), node("b", 64)], [], pods).values()) == ["a", "b"]


def test_a_pod_there_that_wants_nobody_of_a_kind_keeps_the_kind_away() -> None:
    alone = pod("alone", 1, at="a", affinity=required("podAntiAffinity", {"topologyKey": HOST, "labelSelector": OF_WEB}))
    nodes = [node("a", 64), node("b", 64)]
    assert placed(nodes, [alone], [pod("p", 1, labels=WEB)]) == {"p": "b"}
    assert len(placed(nodes, [alone], [pod("p", 1, labels={"app": "other"})])) == 1


def test_pods_that_want_each_other_are_together_and_the_first_of_them_goes_anywhere() -> None:
    together = required("podAffinity", {"topologyKey": ZONE, "labelSelector": OF_WEB})
    nodes = [node("a", 64, zone="z1"), node("b", 64, zone="z2")]
    at = placed(nodes, [], [pod(f"p{each}", 1, labels=WEB, affinity=together) for each in range(4)])
    assert len(set(at.values())) == 1
    assert placed(nodes, [], [pod("p", 1, affinity=together)]) == {}


def test_one_who_waits_for_a_friend_is_tried_again_when_the_friend_is_there() -> None:
    nodes, friend = [node("a", 64, zone="z1")], pod("q", 1, labels=WEB)
    waits = pod("p", 1, affinity=required("podAffinity", {"topologyKey": ZONE, "labelSelector": OF_WEB}))
    for seed in (0, 1):
        assert placed(nodes, [], [waits, friend], seed) == {"p": "a", "q": "a"}


@pytest.mark.parametrize(("skew", "most"), [(1, 2), (2, 3)])
def test_pods_are_spread_no_more_unevenly_than_they_say(skew: int, most: int) -> None:
    spread: list[JsonObject] = [
        {"maxSkew": skew, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": OF_WEB}
    ]
    nodes = [node("a", 1024, zone="z1"), node("b", 1, zone="z2"), node("plain")]
    pods = [pod(f"p{each}", 1, labels=WEB, topologySpreadConstraints=[*spread]) for each in range(6)]
    assert sorted(placed(nodes, [], pods).values()).count("a") == most


def test_the_most_important_go_first() -> None:
    queue = [pod("low", 64), pod("high", 64, priority=1000)]
    assert placed([node("a", 64)], [], queue) == {"high": "a"}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "volumes that are claimed"),
        ({"schedulerName": "mine"}, "another scheduler"),
        ({"resourceClaims": [{"name": "r"}]}, "resourceClaims"),
        ({"schedulingGates": [{"name": "g"}]}, "schedulingGates"),
    ],
)
def test_what_decides_and_is_not_looked_at_makes_it_unknown(spec: Any, why: str) -> None:
    (each,) = outlook([node("a", 64)], [], [pod("p", 1, **spec)]).pods
    assert each.prospect is Prospect.UNKNOWN
    assert why in each.unread


def test_where_the_scheduler_has_a_choice_only_what_always_fits_is_said_to() -> None:
    """Two small pods may take a node each, or one together; what then comes has room in the second case alone."""
    nodes = [node("a", 64), node("b", 64)]
    prospects = {
        each.name.rpartition("/")[2]: each.prospect for each in outlook(nodes, [], [pod("s", 1), pod("t", 1), pod("l", 64)]).pods
    }
    assert (prospects["s"], prospects["t"]) == (Prospect.FITS, Prospect.FITS)
    assert prospects["l"] in {Prospect.MAY_FIT, Prospect.PENDING}


def test_who_waits_who_moves_and_what_templates_make() -> None:
    pods = [pod("w"), pod("r", at="a"), pod("d", at="a")]
    metadata = pods[2]["metadata"]
    assert isinstance(metadata, dict)
    metadata["ownerReferences"] = [{"kind": "DaemonSet", "name": "d"}]
    assert [each["metadata"] for each in waiting(pods)] == [pods[0]["metadata"]]
    (free,) = moving(pods, [node("a")])
    assert free["spec"] == pod("r")["spec"]
    assert [each["metadata"] for each in copies(pod("t"), "job/t", "ns", 2)] == [
        {"namespace": "ns", "labels": {}, "name": "job/t/0"},
        {"namespace": "ns", "labels": {}, "name": "job/t/1"},
    ]
    of_each = list(copies(pod("t"), "daemonset/t", "ns", 1, [node("a"), node("b")]))
    assert placed([node("a"), node("b")], [], of_each) == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    "label",
    [
        "alibabacloud.com/nodepool-id",
        "ibm-cloud.kubernetes.io/worker-pool-name",
        "eks.amazonaws.com/nodegroup",
        "beta.kubernetes.io/instance-type",
    ],
)
def test_nodes_are_retired_by_what_each_cloud_calls_their_pool(label: str) -> None:
    labels: Any = {label: "np1"}
    nodes = [node("a", **labels), node("b")]
    assert [each["metadata"] for each in retire(nodes, ["np1"])] == [nodes[0]["metadata"]]


@pytest.mark.parametrize("word", ["None", ""])
def test_a_node_without_a_pool_has_none_of_any_name(word: str) -> None:
    assert retire([node("a")], [word]) == ()


def test_nodes_are_retired_by_name_pool_size_or_series() -> None:
    labels: Any = {"node.kubernetes.io/instance-type": "Standard_DC4s_v2", "agentpool": "old"}
    nodes = [node("a", **labels), node("b")]
    for word in ("a", "old", "Standard_DC4s_v2"):
        assert [each["metadata"] for each in retire(nodes, [word])] == [nodes[0]["metadata"]]
    assert len(retire(nodes, ["DCsv2"], ["Standard_DC4s_v2"])) == 1
    assert retire(nodes, ["c"]) == ()


@pytest.mark.parametrize(
    "spec", [{"tolerations": 7}, {"affinity": []}, {"topologySpreadConstraints": [None, 7, {}]}, {"nodeSelector": []}]
)
def test_nonsense_ends_nothing(spec: Any) -> None:
    Scheduler([node("a", 64), {"metadata": {"name": "empty"}}], []).place([pod("p", 1, **spec)])
