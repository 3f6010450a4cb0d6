"""Pods that are to have a node: those that wait, those that a template would make, and those whose node is taken away."""

from collections.abc import Iterable, Iterator

from donjon.formats.json import JsonObject, at
from donjon.kube.names import ANNOTATION_STATIC
from donjon.kube.objects import is_here, labels_of, name_of, namespace_of, node_name_of, owners_of

POOL_LABELS = (
    "kubernetes.azure.com/agentpool",
    "agentpool",
    "karpenter.sh/nodepool",
    "alibabacloud.com/nodepool-id",
    "ibm-cloud.kubernetes.io/worker-pool-name",
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "doks.digitalocean.com/node-pool",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
)
"""Labels by whose value nodes may be named together, beside their own names."""

BOUND_LABELS = frozenset({"topology.kubernetes.io/zone", "topology.kubernetes.io/region"})
"""Labels that a pod is given with its node, of that node (admission plugin PodTopologyLabels): it does not move with them."""
OF_EACH_NODE = "DaemonSet"


def waiting(pods: Iterable[JsonObject]) -> tuple[JsonObject, ...]:
    """Those that have no node yet and still want one."""
    return tuple(each for each in pods if is_here(each) and not node_name_of(each))


def copies(pod: JsonObject, name: str, namespace: str, number: int, nodes: Iterable[JsonObject] = ()) -> Iterator[JsonObject]:
    """So many pods of a template; where `nodes` are given, one for each of them in place of that, as a DaemonSet makes them."""
    labels = labels_of(pod)
    metadata: JsonObject = {"namespace": namespace, "labels": {**labels}}
    spec = at(pod, "spec")
    own: JsonObject = {**spec} if isinstance(spec, dict) else {}
    names = [name_of(each) for each in nodes]
    if not names:
        for index in range(number):
            yield {"metadata": {**metadata, "name": f"{name}/{index}"}, "spec": own}
    for node in names:
        yield {"metadata": {**metadata, "name": f"{name}/{node}"}, "spec": {**own, "affinity": _bound_to(node)}}


def _bound_to(node: str) -> JsonObject:
    """As the DaemonSet controller binds a pod to its node; other affinity of the template is left out of account."""
    term: JsonObject = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def retire(nodes: Iterable[JsonObject], words: Iterable[str], series: Iterable[str] = ()) -> tuple[JsonObject, ...]:
    """The nodes that such a word names: their own name, their pool's or their size's; `series` are sizes, too."""
    names = {*words, *series} - {""}
    own_names = ((each, {name_of(each), *(str(labels_of(each).get(key, "")) for key in POOL_LABELS)}) for each in nodes)
    return tuple(each for each, own in own_names if own & names)


def moving(pods: Iterable[JsonObject], nodes: Iterable[JsonObject]) -> tuple[JsonObject, ...]:
    """The pods on those nodes that somebody would make anew elsewhere: not those of a DaemonSet, nor a node's own."""
    names = {name_of(each) for each in nodes}
    return tuple(_free(each) for each in pods if node_name_of(each) in names and is_here(each) and not of_each_node(each))


def of_each_node(pod: JsonObject) -> bool:
    """Whether it is a DaemonSet's, or a node's own: it comes and goes with its node."""
    annotations = at(pod, "metadata", "annotations")
    static = isinstance(annotations, dict) and ANNOTATION_STATIC in annotations
    return static or any(each.get("kind") == OF_EACH_NODE for each in owners_of(pod))


def _free(pod: JsonObject) -> JsonObject:
    spec = at(pod, "spec")
    fields = {name: each for name, each in spec.items() if name != "nodeName"} if isinstance(spec, dict) else {}
    labels = {name: value for name, value in labels_of(pod).items() if name not in BOUND_LABELS}
    metadata: JsonObject = {"name": name_of(pod), "namespace": namespace_of(pod), "labels": labels}
    return {"metadata": {**metadata, "ownerReferences": [*owners_of(pod)]}, "spec": fields}
