"""What a pod's enclaves hold, by its node's meter: figures, and what is to be said of them."""

from collections.abc import Iterable, Sequence

from donjon.diagnosis.commands import node_of
from donjon.findings import Finding
from donjon.formats.json import JsonObject, at
from donjon.kube.epc_findings import judge_containers
from donjon.kube.epc_report import ContainerEpc, EpcReport

MOST = 20  # containers of a workload of which is told what they hold


def report_of(pod: JsonObject, reports: Iterable[EpcReport]) -> EpcReport | None:
    """The report of the node that the pod is on; `None` where that meter was not heard."""
    return next((each for each in reports if each.node == node_of(pod)), None)


def in_use(pod: JsonObject, report: EpcReport) -> tuple[ContainerEpc, ...]:
    """What the pod's containers hold."""
    return tuple(each for each in report.containers if each.name.pod_uid == at(pod, "metadata", "uid"))


def in_use_together(pods: Iterable[JsonObject], reports: Sequence[EpcReport]) -> tuple[ContainerEpc, ...]:
    """What the containers of several pods hold, who holds most first; of those pods alone whose nodes' meters were heard."""
    containers = (each for pod in pods if (report := report_of(pod, reports)) is not None for each in in_use(pod, report))
    return tuple(sorted(containers, key=lambda each: (-each.use.resident - each.guests, each.name)))[:MOST]


def over_use(pod: JsonObject, report: EpcReport) -> tuple[Finding, ...]:
    """What is to be said of them; debug enclaves are for the agent's Events, since a namespace's labels are not read here."""
    uid = at(pod, "metadata", "uid")
    return tuple(each.finding for each in judge_containers(report, None) if each.name.pod_uid == uid)
