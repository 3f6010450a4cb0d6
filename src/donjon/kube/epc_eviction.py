"""Which pod a node short of EPC ends first, where its administrator wants that: the least important that holds too much."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from donjon.findings import Finding
from donjon.formats.json import JsonObject, at
from donjon.kube.epc_findings import SLACK, amount
from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.kube.names import ANNOTATION_MIRROR, EPC
from donjon.kube.objects import is_here, node_name_of
from donjon.kube.quantities import readable
from donjon.kube.reserved import epc_total
from donjon.sgx.epc import EpcSource

SYSTEM = 2_000_000_000
"""Pods of this priority and more are the system's, and are left alone, as the kubelet does (system-cluster-critical)."""
EVICTED = "DJ787"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionCandidate:
    """A pod whose enclaves are larger than it asked for, by so many bytes."""

    namespace: str
    pod: str
    uid: str
    need: int  # bytes of all its enclaves
    excess: int  # of that, beyond what it asked for, as the meter knows it
    priority: int = 0

    def finding(self, node: str) -> Finding:
        """Why it was ended."""
        return Finding.warning(
            EVICTED,
            f"pod {self.pod}",
            f"was evicted: {node} is short of EPC, and the pod's enclaves were {readable(self.excess)} larger than it asked for",
            "its administrator wants that (node.meter.evict), rather than that all enclaves of the node get slow",
            f"ask for what it needs, by {EPC}: the pod that comes in its place would be evicted again",
        )


def candidates(report: EpcReport) -> tuple[EvictionCandidate, ...]:
    """The pods that hold more than they asked for, by the kernel's own count; those with most beyond it first."""
    if report.source is not EpcSource.BPF:
        return ()
    members: dict[tuple[str, str, str], list[ContainerEpc]] = defaultdict(list)
    for each in report.containers:
        members[each.name.namespace, each.name.pod, each.name.pod_uid].append(each)
    everybody = (_candidate(*names, containers) for names, containers in members.items())
    pods = (each for each in everybody if each.excess > SLACK)
    return tuple(sorted(pods, key=lambda each: (-each.excess, each.namespace, each.pod)))


def _candidate(namespace: str, pod: str, uid: str, containers: list[ContainerEpc]) -> EvictionCandidate:
    need = sum(map(amount, containers))
    excess = need - sum(each.request for each in containers)
    return EvictionCandidate(namespace=namespace, pod=pod, uid=uid, need=need, excess=excess)


def priority_of(candidate: EvictionCandidate, pod: JsonObject, node: str) -> int | None:
    """The pod's priority; `None` where it is not to be evicted: another by now, on its way out, static, or of the system.

    Nor where it asked for enough, as the API server says now: the meter may not have heard of its containers yet.
    """
    same = at(pod, "metadata", "uid") == candidate.uid and node_name_of(pod) == node and is_here(pod)
    priority = at(pod, "spec", "priority")
    number = priority if isinstance(priority, int) else 0
    is_mirror = at(pod, "metadata", "annotations", ANNOTATION_MIRROR) is not None
    holds_too_much = candidate.need > epc_total(pod) + SLACK
    return number if same and holds_too_much and not is_mirror and number < SYSTEM else None


def order(pods: Iterable[EvictionCandidate]) -> tuple[EvictionCandidate, ...]:
    """The least important first; of those as important, the one with most beyond what it asked for."""
    return tuple(sorted(pods, key=lambda each: (each.priority, -each.excess, each.namespace, each.pod)))
