"""Whether a pool could do with a node less, whichever that is: its cloud chooses. Disruption budgets are not looked at."""

from collections.abc import Iterable, Mapping, Sequence

from donjon.fleet.scaling.record import ScalePool
from donjon.fleet.scaling.world import ScalingWorld
from donjon.fleet.scheduling.outlook import Outlook, Prospect, outlook
from donjon.fleet.scheduling.queue import moving, of_each_node
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import EPC
from donjon.kube.objects import is_here, name_of, namespace_of, node_name_of, owners_of
from donjon.kube.reserved import Amounts

TRIES = 8
MOST_NODES = 50
"""Of a pool, the fullest first, that are looked at before it shrinks."""

SAFE, DO_NOT_DISRUPT = "cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt"
"""By which pods say to the cluster autoscaler and to Karpenter whether they may be moved."""


def is_spare(world: ScalingWorld, pool: ScalePool, now: Outlook, most_nodes: int = MOST_NODES) -> bool:
    """Whether each of the fullest nodes could go, and its pods, and those that wait and fit, would have room elsewhere."""
    fit = {each.name for each in now.pods if each.prospect is Prospect.FITS}
    fullest = sorted(pool.nodes, key=lambda node: -_epc(now.before, node))[:most_nodes]
    return bool(fullest) and all(_can_go(world, node, fit) for node in fullest)


def _epc(holding: Mapping[str, Amounts], node: JsonObject) -> float:
    return float(holding.get(name_of(node), {}).get(EPC, 0))


def _can_go(world: ScalingWorld, node: JsonObject, fit: Iterable[str]) -> bool:
    name = name_of(node)
    leaving = moving(world.pods, (node,))
    rest = [each for each in world.pods if node_name_of(each) != name]
    nodes, queue = [each for each in world.nodes if name_of(each) != name], (*leaving, *world.queue)
    after = outlook(nodes, rest, queue, most_tries=TRIES, shapes=world.shapes)
    lucky = {each.name for each in after.pods if each.prospect is Prospect.FITS}
    return lucky.issuperset((*fit, *(f"{namespace_of(each)}/{name_of(each)}" for each in leaving)))


def stubborn(pods: Iterable[JsonObject], nodes: Sequence[JsonObject]) -> str:
    """The first pod on these nodes that nobody is to move, and why; empty where there is none."""
    names = {name_of(each) for each in nodes}
    own = (each for each in pods if node_name_of(each) in names and is_here(each) and not of_each_node(each))
    return next((f"{namespace_of(each)}/{name_of(each)} {why}" for each in own if (why := _why_not(each))), "")


def _why_not(pod: JsonObject) -> str:
    """As the cluster autoscaler has it."""
    if _annotation(pod, DO_NOT_DISRUPT) == "true":
        return f"has {DO_NOT_DISRUPT}"
    if safe := _annotation(pod, SAFE):
        return "" if safe == "true" else f"has {SAFE}=false"
    if not owners_of(pod):
        return "belongs to nobody who would make it anew"
    disks = (at(each, "emptyDir") for each in objects(at(pod, "spec", "volumes")) if "emptyDir" in each)
    return "has an emptyDir on its node's disk" if any(at(each, "medium") != "Memory" for each in disks) else ""


def _annotation(pod: JsonObject, name: str) -> Json:
    annotations = at(pod, "metadata", "annotations")
    return annotations.get(name) if isinstance(annotations, dict) else None
