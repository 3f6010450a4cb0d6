"""What a new node of a pool would be: after those that it has, else after the catalogue; and whose each node is."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fleet.scaling import made
from tests.fleet.scheduling import ZONE, node, pod
from tests.fleet.tables import FACTS, PRICES, SOURCES

from donjon.fleet.machines.catalogue import parse
from donjon.fleet.pools.plan import NodeTaint, Pool, PoolScale
from donjon.fleet.scaling.look import decide
from donjon.fleet.scaling.membership import scale_pool
from donjon.fleet.scaling.record import ScalingRules
from donjon.fleet.scaling.world import ScalingScene
from donjon.formats.json import JsonObject

SKU = parse(FACTS, PRICES, SOURCES).machines["Standard_DC4s_v3"]
POOL = Pool(name="sgx1", size="Standard_DC4s_v3", count=0, scale=PoolScale(least=0, most=9), labels={"team": "vault"})
GIB = 1024  # MiB


def steps(pool: Pool, nodes: list[JsonObject], pods: list[JsonObject]) -> list[tuple[str, int, int]]:
    watched = scale_pool(pool, SKU, nodes, pods, region="westeurope")
    scene = ScalingScene(pools=(watched,), nodes=tuple(nodes), pods=tuple(pods))
    decision = decide(scene, {}, datetime(2026, 11, 30, 10, tzinfo=UTC), ScalingRules())
    return [(str(each.verb), each.before, each.after) for each in decision.steps]


def daemon(name: str, at: str, kind: str = "DaemonSet", **more: Any) -> JsonObject:
    thing: Any = pod(name, at=at, **more)
    thing["metadata"]["ownerReferences"] = [{"kind": kind, "name": "agent"}]
    return {**thing}


@pytest.mark.parametrize(
    ("asks", "grows"),
    [
        (pod("p", 15 * GIB), True),
        (pod("p", 17 * GIB), False),
        (pod("p", GIB, cpu="3"), True),
        (pod("p", GIB, cpu="4"), False),
        (pod("p", GIB, nodeSelector={"team": "vault", "agentpool": "sgx1", "sgx.intel.com/capable": "true"}), True),
        (pod("p", GIB, nodeSelector={"donjon.dev/sgx": "2", "donjon.dev/edmm": "true", "kubernetes.io/os": "linux"}), True),
        (pod("p", GIB, nodeSelector={"team": "other"}), False),
        (pod("p", GIB, nodeSelector={ZONE: "1"}), False),
    ],
    ids=lambda each: "" if isinstance(each, dict) else str(each),
)
def test_an_empty_pool_grows_for_whom_the_catalogues_machine_has_room(asks: JsonObject, grows: bool) -> None:  # noqa: FBT001 - data.
    assert steps(POOL, [], [made(asks)]) == ([("grow", 0, 1)] if grows else [("hold", 0, 0)])


def test_a_machine_that_the_catalogue_does_not_know_whole_makes_no_pool_grow() -> None:
    unknown = replace(SKU, facts={name: each for name, each in SKU.facts.items() if name != "epc"})
    watched = scale_pool(POOL, unknown, [], [])
    assert watched.template is None


def test_taints_of_the_plan_keep_those_away_who_do_not_tolerate_them() -> None:
    toleration: Any = [{"key": "sgx.intel.com/epc", "operator": "Exists"}]
    pool = replace(POOL, taint=NodeTaint.SGX_ONLY)
    assert steps(pool, [], [made(pod("p", GIB))]) == [("hold", 0, 0)]
    assert steps(pool, [], [made(pod("p", GIB, tolerations=toleration))]) == [("grow", 0, 1)]
    spot = replace(POOL, spot=True)
    assert steps(spot, [], [made(pod("p", GIB, tolerations=toleration))]) == [("hold", 0, 0)]


def test_what_daemons_take_of_a_new_node_is_not_given_away() -> None:
    elsewhere = [node("other")]
    asks = made(pod("p", GIB, cpu="3"))
    there = [daemon("agent-1", "other", cpu="1"), daemon("agent-2", "other", cpu="1")]
    assert steps(POOL, elsewhere, [asks, *there]) == [("hold", 0, 0)]
    away = [daemon("agent-1", "other", cpu="1", nodeSelector={"team": "other"})]
    assert steps(POOL, elsewhere, [asks, *away]) == [("grow", 0, 1)]
    static = [daemon("etcd-other", "other", "Node", cpu="3")]
    assert steps(POOL, elsewhere, [asks, *static]) == [("grow", 0, 1)]


def test_a_new_node_is_like_the_ready_one_with_the_least_epc_and_has_its_daemons() -> None:
    nodes = [node("n1", 100, agentpool="sgx1", own="yes"), node("n2", 200, agentpool="sgx1")]
    full = [made(pod("a", 100, at="n1")), made(pod("b", 200, at="n2")), daemon("agent", "n1", cpu="2")]
    assert steps(POOL, nodes, [*full, made(pod("p", 100, nodeSelector={"own": "yes"}))]) == [("grow", 2, 3)]
    assert steps(POOL, nodes, [*full, made(pod("p", 150))]) == [("hold", 0, 0)]
    assert steps(POOL, nodes, [*full, made(pod("p", 100, cpu="3"))]) == [("hold", 0, 0)]
    assert steps(POOL, nodes, [*full, made(pod("p", 100, nodeSelector={"kubernetes.io/hostname": "n1"}))]) == [("hold", 0, 0)]


def test_a_new_nodes_zone_is_known_where_the_pool_has_one() -> None:
    full = [made(pod("a", 100, at="n1")), made(pod("b", 100, at="n2"))]
    asks = made(pod("p", 100, nodeSelector={ZONE: "z1"}))
    one = [node("n1", 100, zone="z1", agentpool="sgx1"), node("n2", 100, zone="z1", agentpool="sgx1")]
    two = [node("n1", 100, zone="z1", agentpool="sgx1"), node("n2", 100, zone="z2", agentpool="sgx1")]
    assert steps(POOL, one, [*full, asks]) == [("grow", 2, 3)]
    assert steps(POOL, two, [*full, asks]) == [("hold", 0, 0)]


def test_a_node_is_of_the_pool_that_aks_says_else_of_that_whose_labels_it_has() -> None:
    label: Any = {"kubernetes.azure.com/agentpool": "sgx1"}
    nodes = [
        node("aks", agentpool="sgx1"),
        node("aks2", **label),
        node("others", agentpool="sgx2", team="vault"),
        node("metal", team="vault"),
        node("nobody"),
    ]
    assert [each["metadata"]["name"] for each in scale_pool(POOL, SKU, nodes, []).nodes] == ["aks", "aks2", "metal"]  # type: ignore[call-overload,index] # It is one.
    assert len(scale_pool(replace(POOL, labels={}), SKU, nodes, []).nodes) == 2
