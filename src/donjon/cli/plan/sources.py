"""Nodes and pods for a plan: of the user's cluster, or of what kubectl printed of one."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from donjon.cli import options
from donjon.cli.files import text, within
from donjon.cli.manifests import NAMESPACE, documents_of, pods_of
from donjon.errors import Malformed, Unavailable
from donjon.fleet.scheduling.queue import copies
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.objects import name_of, namespace_of
from donjon.kube.replicas import DAEMON_SET, replicas_of

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
    return ClusterPicture(nodes=_items(nodes), pods=() if pods is None else _items(pods))


def _items(file: str) -> tuple[JsonObject, ...]:
    with within(file):
        try:
            whole = cast("Json", json.loads(text(file, MAX_LIST)))
        except (ValueError, RecursionError) as error:
            raise Malformed("DJ930", f"no JSON: {error}") from error
        items = objects(at(whole, "items"))
        if not items:
            raise Malformed("DJ930", "no list of Kubernetes in it, expected what kubectl get … -o json prints")
        return _unique(items)


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
    for report in pods_of(documents_of(names)):
        thing = report.pod_template.thing
        of_each_node = nodes if thing.kind == DAEMON_SET else ()
        name, namespace = f"{thing.kind.lower()}/{thing.name}", thing.namespace or NAMESPACE
        ours = copies(report.verdict.admitted, name, namespace, replicas_of(thing.content), of_each_node)
        pods += islice(ours, MAX_PODS + 1)
        if len(pods) > MAX_PODS:
            raise Malformed("DJ931", f"the manifests make more than {MAX_PODS} pods")
    return _unique(tuple(pods))
