"""Nodes and pods for a plan: of the user's cluster, or of what kubectl printed of one."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from donjon.admission.manifests.check import PodReport
from donjon.admission.manifests.workloads import PodTemplate
from donjon.cli import options
from donjon.cli.files import text, within
from donjon.cli.manifests import NAMESPACE, count_of, documents_of, pods_of
from donjon.errors import Malformed, Unavailable
from donjon.fleet.scheduling.queue import copies
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.objects import name_of, namespace_of
from donjon.kube.replicas import DAEMON_SET

if TYPE_CHECKING:
    from donjon.adapters.cluster.client import UserCluster
    from donjon.adapters.cluster.meters import MeterAnswer

MAX_LIST = 512 << 20  # bytes of what kubectl printed: 100,000 pods
MAX_PODS = 100_000  # that are placed at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPicture:
    """All nodes and pods at one moment."""

    nodes: tuple[JsonObject, ...]
    pods: tuple[JsonObject, ...]
    use: Mapping[str, int] = field(default_factory=dict)  # bytes that enclaves take, by node, where its meter answered
    silence: str = ""  # why no meter did


def of_cluster(kubeconfig: Path | None, context: str | None) -> ClusterPicture:
    """The user's own; raises `Unavailable`, `Misconfigured`."""
    client = options.work("donjon.adapters.cluster.client", extra="cluster")
    cluster = client.open_cluster(os.environ, kubeconfig=kubeconfig, context=context)
    use, silence = _use(cluster)
    return ClusterPicture(nodes=cluster.list(client.NODE), pods=cluster.list(client.POD), use=use, silence=silence)


def _use(cluster: "UserCluster") -> tuple[Mapping[str, int], str]:
    """What the meters count; a plan does without where there are none, or where the user may not ask them."""
    meters = options.work("donjon.adapters.cluster.meters", extra="cluster")
    try:
        answers: tuple[MeterAnswer, ...] = meters.read_meters(cluster)
    except Unavailable as error:
        return {}, str(error)
    reports = (each.report for each in answers if each.report is not None)
    return {each.node: each.use.need + each.guests for each in reports}, ""


class ClusterReader:
    """Reads the user's own cluster again and again; raises `Unavailable`, `Misconfigured`."""

    def __init__(self, kubeconfig: Path | None, context: str | None) -> None:
        self._client = options.work("donjon.adapters.cluster.client", extra="cluster")
        self._cluster: UserCluster = self._client.open_cluster(os.environ, kubeconfig=kubeconfig, context=context)

    def read(self) -> ClusterPicture:
        """Nodes and pods as they are now: nodes first, so that no pod of a node of the picture is missed."""
        return ClusterPicture(nodes=self._cluster.list(self._client.NODE), pods=self._cluster.list(self._client.POD))


def of_files(nodes: str, pods: str | None) -> ClusterPicture:
    """What `kubectl get nodes -o json` and `kubectl get pods -A -o json` printed; raises `Malformed` DJ930."""
    return ClusterPicture(nodes=_items(nodes, "Node"), pods=() if pods is None else _items(pods, "Pod"))


def _items(file: str, kind: str) -> tuple[JsonObject, ...]:
    with within(file):
        try:
            whole = cast("Json", json.loads(text(file, MAX_LIST)))
        except (ValueError, RecursionError) as error:
            raise Malformed("DJ930", f"no JSON, expected what kubectl get … -o json prints: {error}") from error
        return _unique(_of_kind(whole, kind))


def _of_kind(whole: Json, kind: str) -> tuple[JsonObject, ...]:
    """What the list has, or the one thing that kubectl printed; an API server's own lists do not say what each thing is."""
    items = [whole] if at(whole, "kind") == kind else at(whole, "items")
    if not isinstance(items, list) or len(objects(items)) < len(items):
        raise Malformed("DJ930", "no list of Kubernetes in it, expected what kubectl get … -o json prints")
    of_list = str(at(whole, "kind") or "").removesuffix("List")
    strange = next((other for each in items if (other := str(at(each, "kind") or of_list or kind)) != kind), "")
    if strange:
        raise Malformed("DJ930", f"a {recite(strange)} is in it, expected {kind}s alone: one kubectl get for each of both files")
    return objects(items)


def _unique(things: tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
    """The same things; raises `Malformed` DJ930 where two of them have one name."""
    names = Counter((namespace_of(each), name_of(each)) for each in things)
    for (namespace, name), count in names.items():
        if count > 1 or not name:
            raise Malformed(
                "DJ930", f"{namespace}/{recite(name)} is in it {count} times" if name else "something in it has no name"
            )
    return things


def of_manifests(names: Iterable[str], nodes: tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
    """The pods that manifests would make, as admission would let them in; raises `Malformed`."""
    pods: list[JsonObject] = []
    reports = pods_of(documents_of(names))
    templates = Counter(id(each.pod_template.thing) for each in reports)
    for index, report in enumerate(reports):
        thing = report.pod_template.thing
        several = templates[id(thing)] > 1
        pods += islice(_copies(report, _name(report.pod_template, index, several=several), nodes), MAX_PODS + 1)
        if len(pods) > MAX_PODS:
            raise Malformed("DJ931", f"the manifests make more than {MAX_PODS} pods")
    return _unique(tuple(pods))


def _copies(report: PodReport, name: str, nodes: tuple[JsonObject, ...]) -> Iterable[JsonObject]:
    thing = report.pod_template.thing
    namespace, of_each_node = thing.namespace or NAMESPACE, nodes if thing.kind == DAEMON_SET else ()
    return copies(report.verdict.admitted, name, namespace, count_of(report.pod_template), of_each_node)


def _name(template: PodTemplate, index: int, *, several: bool) -> str:
    """Kind and name; where it has none yet (`generateName`) a number, where it has several templates the place of this one."""
    thing = template.thing
    number = "" if at(thing.content, "metadata", "name") else index
    return f"{thing.kind.lower()}/{thing.name}{number}{f'/{template.where}' if several else ''}"
