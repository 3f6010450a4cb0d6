"""The pods that manifests make, as what a fleet is asked to hold: counted and summed as Kubernetes does."""

from collections.abc import Iterable, Mapping

from donjon.admission.codes import CORE_RULE, TOO_MUCH
from donjon.admission.manifests.check import ManifestDocument, PodReport, check_manifests
from donjon.admission.manifests.scaling import ScaleTarget, is_autoscaler
from donjon.admission.settings import AdmissionContext, Settings
from donjon.cli.files import display_name
from donjon.errors import Malformed
from donjon.findings import Severity
from donjon.fleet.machines.packing import PodGroup
from donjon.formats.json import at
from donjon.formats.words import excerpt
from donjon.kube.names import EPC
from donjon.kube.replicas import DAEMON_SET, impossible_count, most_replicas, replicas_of
from donjon.kube.reserved import pod_requests

RESOURCES = (EPC, "memory", "cpu")
"""What a catalogue knows of machines; whatever else a pod asks for is not looked at."""
_NAMESPACE = "default"


def pod_groups(documents: tuple[ManifestDocument, ...]) -> tuple[PodGroup, ...]:
    """Each object with pods; where an autoscaler among the manifests may make more of them, as many as that.

    Raises `Malformed` where a number is impossible, with the file and line: to count it as nothing would be a wrong answer.
    """
    _require_counts(documents)
    most = dict(_scale_limits(documents))
    report = check_manifests(documents, {}, AdmissionContext(namespace=_NAMESPACE), Settings())
    _require_amounts(report.pods)
    return tuple(_workload(each, most) for each in report.pods)


def _require_counts(documents: tuple[ManifestDocument, ...]) -> None:
    for document in documents:
        for thing in document.things:
            if wrong := impossible_count(thing.content):
                where = f"{display_name(document.file)}:{document.node.line_of(thing.path)}"
                raise Malformed("DJ930", f"{where}: {thing.kind} {excerpt(thing.name)}: {wrong}")


def _require_amounts(pods: Iterable[PodReport]) -> None:
    """What Kubernetes refuses of a pod, and more EPC than any machine has; whatever else forbids it does not change its size."""
    for report in pods:
        for line, finding in report.findings():
            if finding.code in {CORE_RULE, TOO_MUCH} and finding.severity is Severity.ERROR:
                raise Malformed(finding.code, f"{display_name(report.document.file)}:{line}: {finding.words()}")


def _workload(report: PodReport, most: Mapping[ScaleTarget, int]) -> PodGroup:
    thing = report.pod_template.thing
    requests = pod_requests(report.verdict.admitted)
    target = ScaleTarget(thing.kind, thing.namespace or _NAMESPACE, thing.name)
    return PodGroup(
        name=f"{thing.kind} {thing.name}",
        replicas=max(replicas_of(thing.content), most.get(target, 0)),
        requests={name: requests[name] for name in RESOURCES if name in requests},
        on_each_node=thing.kind == DAEMON_SET,
    )


def _scale_limits(documents: tuple[ManifestDocument, ...]) -> Iterable[tuple[ScaleTarget, int]]:
    for document in documents:
        for thing in document.things:
            if is_autoscaler(thing):
                reference = at(thing.content, "spec", "scaleTargetRef")
                kind, name = (str(at(reference, field) or "") for field in ("kind", "name"))
                yield ScaleTarget(kind, thing.namespace or _NAMESPACE, name), most_replicas(thing.content)
