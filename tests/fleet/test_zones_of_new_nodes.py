"""New nodes come to zones of their cloud's choice: pods that zones let in take room there, too."""

from datetime import UTC, datetime
from typing import Any

from tests.fleet.scheduling import ZONE, node, pod

from donjon.fleet.pools.plan import PoolScale
from donjon.fleet.scaling.look import decide
from donjon.fleet.scaling.record import ScalePool, ScalingRules, ScalingStep, ScalingVerb
from donjon.fleet.scaling.templates import after_node
from donjon.fleet.scaling.world import ScalingScene
from donjon.formats.json import JsonObject
from donjon.kube.objects import name_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def growth(nodes: list[JsonObject], queue: list[JsonObject]) -> ScalingStep:
    pool = ScalePool(name="sgx1", scale=PoolScale(least=0, most=9), nodes=nodes, template=after_node(nodes, ()))
    running = [pod(f"r{name_of(each)}", 64, at=name_of(each)) for each in nodes]
    scene = ScalingScene(pools=(pool,), nodes=tuple(nodes), pods=(*running, *queue))
    (step,) = (each for each in decide(scene, {}, NOW, ScalingRules()).steps if each.verb is ScalingVerb.GROW)
    return step


def test_those_that_a_zone_lets_in_take_room_beside_those_for_whom_a_pool_grows() -> None:
    """Which zone comes nobody knows: the two of zones are promised nothing, and take nodes that the third needs."""
    nodes = [node("a", 64, zone="z1"), node("b", 64, zone="z2")]
    of_zones: list[JsonObject] = [_in_zone(f"z{each}", 64, each) for each in ("1", "2")]
    step = growth(nodes, [*of_zones, pod("plain", 64)])
    assert step.pods == ("default/plain",)
    assert step.after - step.before == 3


def _in_zone(name: str, epc: int, number: str) -> JsonObject:
    selector: Any = {ZONE: f"z{number}"}
    return pod(name, epc, nodeSelector=selector)


def test_without_zones_no_node_is_added_for_others() -> None:
    step = growth([node("a", 64)], [pod("p", 64), pod("q", 64)])
    assert (step.before, step.after) == (1, 3)
