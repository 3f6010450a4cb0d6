"""Which pod a node short of EPC ends first, where its administrator wants that: the least important that holds too much."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from donjon.findings import Finding
from donjon.formats.json import JsonObject, at
from donjon.kube.epc_findings import SLACK, amount
from donjon.kube.epc_report import EpcReport
from donjon.kube.names import ANNOTATION_MIRROR, EPC
from donjon.kube.objects import is_here, node_name_of
from donjon.kube.quantities import readable
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
    excess: int
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
    excess: dict[tuple[str, str, str], int] = defaultdict(int)
    for each in report.containers:
        excess[each.name.namespace, each.name.pod, each.name.pod_uid] += amount(each) - each.request
    pods = (
        EvictionCandidate(namespace=namespace, pod=pod, uid=uid, excess=size)
        for (namespace, pod, uid), size in excess.items()
        if size > SLACK
    )
    return tuple(sorted(pods, key=lambda each: (-each.excess, each.namespace, each.pod)))


def priority_of(candidate: EvictionCandidate, pod: JsonObject, node: str) -> int | None:
    """The pod's priority; `None` where it is not to be evicted: another by now, on its way out, static, or of the system."""
    same = at(pod, "metadata", "uid") == candidate.uid and node_name_of(pod) == node and is_here(pod)
    priority = at(pod, "spec", "priority")
    number = priority if isinstance(priority, int) else 0
    is_mirror = at(pod, "metadata", "annotations", ANNOTATION_MIRROR) is not None
    return number if same and not is_mirror and number < SYSTEM else None


def order(pods: Iterable[EvictionCandidate]) -> tuple[EvictionCandidate, ...]:
    """The least important first; of those as important, the one with most beyond what it asked for."""
    return tuple(sorted(pods, key=lambda each: (each.priority, -each.excess, each.namespace, each.pod)))
