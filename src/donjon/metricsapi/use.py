"""How much EPC a pod holds, by the report of its node's meter; what the report cannot say is unknown.

A report counts for the pods alone that the API server says are on its node, by their uid. Guests' EPC counts as enclaves'.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from donjon.kube import label_selectors
from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.kube.label_selectors import Selector
from donjon.sgx.epc import EpcSource, EpcUse

MAX_AGE = timedelta(seconds=60)  # of a report that counts, and by which clocks may differ
MOST = 1 << 46
"""Bytes of a pod that are believed: autoscalers count thousandths in an int64, and what is too much for it becomes 0 or less."""
EARLY = timedelta(seconds=30)
"""As `--horizontal-pod-autoscaler-initial-readiness-delay`: who is unready since so soon after the start never was ready."""


_HASH = re.compile("[0-9a-f]{32}")
"""What the cgroup of a static pod is called in place of its uid: which pod's it is cannot be told by that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSite:
    """What the API server says of a pod: where it is, since when, its labels, and the EPC for which its containers ask."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str  # of the pod; empty before it has one
    labels: Mapping[str, str]
    requests: Mapping[str, int]  # bytes, of each container that asks
    start: datetime | None  # `None` before its node took it
    runs: bool  # it is in phase Running, not on its way out, and was ready once
    has_labels: bool = True  # else a selector cannot tell whether it is meant, and what it holds is unknown to all who select


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUse:
    """A node's report, by the uid of its pods and the names of their containers."""

    report: EpcReport
    moment: datetime
    pods: Mapping[str, Mapping[str, ContainerEpc]]
    strangers: frozenset[str]  # uids of pods that hold EPC, and that the meter does not know yet
    whole: bool  # whether who is not named in it, and is no stranger, holds nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class PodUse:
    """One pod, in bytes; `None` is unknown. `containers` are those that hold enclaves."""

    resident: int
    evicted: int | None
    existing: int | None
    request: int
    node_evicted: int | None
    containers: Mapping[str, int]
    whole: bool  # whether other containers of it hold nothing
    source: EpcSource
    moment: str


def by_pod(report: EpcReport, moment: datetime) -> NodeUse:
    """The report, ready to be asked; its moment was read already."""
    pods: dict[str, dict[str, ContainerEpc]] = {}
    for each in report.containers:
        pods.setdefault(each.name.pod_uid, {})[each.name.container] = each
    strangers = frozenset(report.strangers)
    whole = not (report.left_out or report.unreadable or any(map(_HASH.fullmatch, strangers)))
    return NodeUse(report=report, moment=moment, pods=pods, strangers=strangers, whole=whole)


def choose(selector: Selector, pods: Iterable[PodSite]) -> list[PodSite]:
    """Those that the selector means, and those of which nobody knows whether it does: a sum without them might be too low."""
    clear: list[PodSite] = []
    doubtful: list[PodSite] = []
    for each in pods:
        (clear if each.has_labels else doubtful).append(each)
    return label_selectors.choose(selector, clear) + doubtful


def use_of(pod: PodSite, node: NodeUse | None, now: datetime) -> PodUse | None:
    """What the pod holds; `None` where nobody knows: no fresh report of its node, or none made after it began."""
    if (
        node is None
        or node.report.node != pod.node
        or not (pod.runs and pod.has_labels)
        or not _counts(node.moment, pod.start, now)
    ):
        return None
    containers = node.pods.get(pod.uid)
    if pod.uid in node.strangers:
        return None  # It holds EPC, and the meter did not know whose it is: its watch of pods is behind, or away.
    if node.report.unreadable:
        return None  # What could not be read may be any pod's, also of one that is named with 0, since it asked.
    if not node.whole and (not containers or pod.requests.keys() - containers.keys()):
        return None
    ours = [each for each in (containers or {}).values() if (each.name.namespace, each.name.pod) == (pod.namespace, pod.name)]
    if len(ours) != len(containers or {}) or any(each.at_least for each in ours):
        return None
    use = _use(pod, node, ours)
    return use if max(use.resident, use.evicted or 0, use.existing or 0, use.node_evicted or 0) <= MOST else None


def _counts(moment: datetime, start: datetime | None, now: datetime) -> bool:
    return start is not None and abs(now - moment) <= MAX_AGE and moment >= start


def _use(pod: PodSite, node: NodeUse, containers: list[ContainerEpc]) -> PodUse:
    total = sum((each.use for each in containers), EpcUse())
    guests = sum(each.guests for each in containers)
    maps = node.report.source is EpcSource.MAPS
    return PodUse(
        resident=total.resident + guests,
        evicted=None if maps else total.evicted,
        existing=None if maps or total.existing is None else total.existing + guests,
        request=sum(pod.requests.values()),
        node_evicted=None if maps else node.report.use.evicted,
        containers={each.name.container: each.use.resident + each.guests for each in containers},
        whole=node.whole,
        source=node.report.source,
        moment=node.report.moment,
    )
