"""Reports of nodes, added up as people ask: by node, namespace, pod or container."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import add

from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.sgx.epc import NOTHING, EpcUse


class TallyGroup(StrEnum):
    """What one row is about."""

    NODE = "node"
    NAMESPACE = "namespace"
    POD = "pod"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyRow:
    """What all containers of a group hold together, in bytes."""

    name: tuple[str, ...]  # (node,), (namespace,), (namespace, pod) or (namespace, pod, container)
    nodes: tuple[str, ...]
    request: int
    use: EpcUse
    guests: int
    peak: int | None  # `None` for pods of several nodes, or several pods, whose peaks need not have been at one moment
    containers: int
    at_least: bool  # not all was counted of one of them

    @property
    def resident(self) -> int:
        """In EPC now, with what virtual machines hold."""
        return self.use.resident + self.guests


_NAMES: Mapping[TallyGroup, Callable[[str, ContainerEpc], tuple[str, ...]]] = {
    TallyGroup.NODE: lambda node, _: (node,),
    TallyGroup.NAMESPACE: lambda _, each: (each.name.namespace,),
    TallyGroup.POD: lambda _, each: (each.name.namespace, each.name.pod),
    TallyGroup.CONTAINER: lambda _, each: (each.name.namespace, each.name.pod, each.name.container),
}


def tally(reports: Iterable[EpcReport], group: TallyGroup, namespace: str = "") -> tuple[TallyRow, ...]:
    """The rows, who holds most first; of one namespace where it is named. A node without containers has its row all the same."""
    members: dict[tuple[str, ...], list[tuple[str, ContainerEpc]]] = {}
    idle: dict[tuple[str, ...], EpcUse] = {}
    peaks: dict[tuple[str, ...], int] = {}
    for report in reports:
        if group is TallyGroup.NODE:
            members.setdefault((report.node,), [])
            idle[(report.node,)], peaks[(report.node,)] = NOTHING[report.source], report.peak
        for each in report.containers:
            if not namespace or each.name.namespace == namespace:
                members.setdefault(_NAMES[group](report.node, each), []).append((report.node, each))
    rows = (_row(name, pairs, idle.get(name, EpcUse()), peaks.get(name)) for name, pairs in members.items())
    return tuple(sorted(rows, key=lambda row: (-row.resident, -row.request, row.name)))


def _row(name: tuple[str, ...], pairs: list[tuple[str, ContainerEpc]], nothing: EpcUse, peak: int | None) -> TallyRow:
    containers = [each for _, each in pairs]
    return TallyRow(
        name=name,
        nodes=tuple(sorted({node for node, _ in pairs})) or name,
        request=sum(each.request for each in containers),
        use=reduce(add, (each.use for each in containers), nothing),
        guests=sum(each.guests for each in containers),
        peak=_peak(containers) if peak is None else peak,
        containers=len(containers),
        at_least=any(each.at_least for each in containers),
    )


def _peak(containers: Sequence[ContainerEpc]) -> int | None:
    if len(containers) == 1:
        return containers[0].peak
    return containers[0].pod_peak if len({each.name.pod_uid for each in containers}) == 1 else None
