"""A node as a pool would make it: after one that is there, else after what the catalogue says of its size.

Its zone is unknown where the pool has several; a pod that depends on zones is then not said to fit.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from donjon.fleet.machines.catalogue import Sku
from donjon.fleet.machines.packing import room
from donjon.fleet.placement import node_trouble
from donjon.fleet.pools.forms.template import node_resources, taints
from donjon.fleet.pools.plan import Pool
from donjon.fleet.scheduling.queue import OF_EACH_NODE, of_each_node
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import LABEL_CAPABLE, LABEL_EDMM, LABEL_SGX
from donjon.kube.objects import is_over, labels_of, name_of, namespace_of, node_name_of, owners_of
from donjon.kube.reserved import epc_offered
from donjon.kube.selection import CORDONED, STATE_TAINTS, UNKNOWN_VALUE, not_tolerated

HOSTNAME, SIZE = "kubernetes.io/hostname", "node.kubernetes.io/instance-type"
ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
PLACES = (*ZONES, "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
NEW = "+"  # No name of Kubernetes has a plus sign.
LINUX: JsonObject = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
SPOT = "kubernetes.azure.com/scalesetpriority"  # AKS' label of spot nodes, and their taint


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTemplate:
    """A node that is not there, and the pods that each such node has from its beginning."""

    node: JsonObject
    pods: tuple[JsonObject, ...] = ()
    zones: tuple[str, ...] = ()  # those that its pool has, where a new node may come to any of them

    @property
    def epc(self) -> int:
        """Bytes."""
        return int(epc_offered(self.node))

    def nodes(self, prefix: str, number: int, turn: int | None = None) -> Iterator[JsonObject]:
        """So many of them; with `turn`, each in one of the zones that it may come to, at another turn in another."""
        for index in range(1, number + 1):
            zone = self.zones[(index + turn) % len(self.zones)] if turn is not None and self.zones else ""
            yield self.as_node(f"{prefix}{NEW}{index}", dict.fromkeys(ZONES, zone) if zone else None)

    def as_node(self, name: str, labels: JsonObject | None = None) -> JsonObject:
        """One of that name, with more labels."""
        own: JsonObject = {**labels_of(self.node), **(labels or {}), HOSTNAME: f"{UNKNOWN_VALUE}{name}" if NEW in name else name}
        return {**self.node, "metadata": {"name": name, "labels": own}}

    def pods_of(self, names: Iterable[str]) -> Iterator[JsonObject]:
        """What runs from the beginning on the nodes of these names."""
        for name in names:
            for pod in self.pods:
                spec = at(pod, "spec")
                fields: JsonObject = spec if isinstance(spec, dict) else {}
                metadata: JsonObject = {"name": f"{name_of(pod)}+{name}", "namespace": at(pod, "metadata", "namespace")}
                yield {"metadata": metadata | {"labels": {**labels_of(pod)}}, "spec": {**fields, "nodeName": name}}


def is_whole(node: JsonObject, template: NodeTemplate | None) -> bool:
    """Whether a node is ready, and offers EPC where its like does: an agent may still have to start there."""
    return not node_trouble(node) and (template is None or not template.epc or bool(epc_offered(node)))


def after_node(nodes: Sequence[JsonObject], pods: Iterable[JsonObject]) -> NodeTemplate | None:
    """A template after the one of these nodes with the least EPC; `None` where none of them is ready and has some."""
    models = [each for each in nodes if epc_offered(each) and not node_trouble(each)]
    models = [each for each in models if at(each, "spec", "unschedulable") is not True] or models
    if not models:
        return None
    model = min(models, key=epc_offered)
    several = {str(labels_of(each).get(ZONES[0])) for each in nodes}
    hidden = ZONES if len(several) > 1 else ()
    labels: JsonObject = {key: UNKNOWN_VALUE if key in hidden else value for key, value in labels_of(model).items()}
    own = tuple(each for each in pods if node_name_of(each) == name_of(model) and of_each_node(each) and not is_over(each))
    zones = tuple(sorted(several - {"None"})) if hidden else ()
    return NodeTemplate(node=_node(labels, _kept_taints(model), at(model, "status", "allocatable")), pods=own, zones=zones)


def of_size(pool: Pool, sku: Sku, pods: Iterable[JsonObject]) -> NodeTemplate | None:
    """A template after the catalogue; `None` where that does not say what the size has."""
    try:
        amounts = {**room(sku), **node_resources(sku), "pods": pool.max_pods}
    except KeyError:
        return None
    node = _node(_labels(pool, sku), _taints(pool), {name: f"{float(each):.15g}" for name, each in amounts.items()})
    daemons = {owner: each for each in pods if (owner := _daemon_set(each)) and not is_over(each) and _may_be_on(each, node)}
    return NodeTemplate(node=node, pods=tuple(daemons.values()))


def _node(labels: JsonObject, guard: list[Json], allocatable: Json) -> JsonObject:
    return {"metadata": {"name": "", "labels": labels}, "spec": {"taints": guard}, "status": {"allocatable": allocatable}}


def _kept_taints(node: JsonObject) -> list[Json]:
    """Without those that tell the node's state."""
    pairs = ((each, str(at(each, "key"))) for each in objects(at(node, "spec", "taints")))
    return [each for each, key in pairs if key != CORDONED and not key.startswith(STATE_TAINTS)]


def _labels(pool: Pool, sku: Sku) -> JsonObject:
    labels: JsonObject = {**LINUX, SIZE: pool.size, **dict.fromkeys(PLACES, UNKNOWN_VALUE), LABEL_CAPABLE: "true", **pool.labels}
    labels |= dict.fromkeys(("agentpool", "kubernetes.azure.com/agentpool"), pool.name)
    if sku.value("sgx").isdigit():
        labels[LABEL_SGX] = sku.value("sgx")
    if sku.has("edmm"):
        labels[LABEL_EDMM] = "true"
    return labels | ({SPOT: "spot"} if pool.spot else {})


def _taints(pool: Pool) -> list[Json]:
    texts = (*taints(pool), *((f"{SPOT}=spot:NoSchedule",) if pool.spot else ()))
    return [_taint(each) for each in texts]


def _taint(text: str) -> JsonObject:
    pair, _, effect = text.partition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect}


def _daemon_set(pod: JsonObject) -> str:
    names = (str(at(each, "name")) for each in owners_of(pod) if at(each, "kind") == OF_EACH_NODE)
    return next((f"{namespace_of(pod)}/{name}" for name in names), "")


def _may_be_on(pod: JsonObject, node: JsonObject) -> bool:
    """By its selector and tolerations; its affinity names the node that it has."""
    selector, labels = at(pod, "spec", "nodeSelector"), labels_of(node)
    wishes = selector if isinstance(selector, dict) else {}
    return all(labels.get(key) == value for key, value in wishes.items()) and not not_tolerated(pod, node)
