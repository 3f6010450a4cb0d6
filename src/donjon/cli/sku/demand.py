"""The pods that manifests make, as what a fleet is asked to hold: counted and summed as Kubernetes does."""

from collections.abc import Iterable, Mapping

from donjon.admission.manifests.check import ManifestDocument, PodReport
from donjon.admission.manifests.scaling import ScaleTarget, is_autoscaler
from donjon.cli.manifests import NAMESPACE, count_of, pods_of
from donjon.fleet.machines.packing import PodGroup
from donjon.formats.json import at
from donjon.kube.names import EPC
from donjon.kube.replicas import DAEMON_SET, most_replicas
from donjon.kube.reserved import pod_requests

RESOURCES = (EPC, "memory", "cpu")
"""What a catalogue knows of machines; whatever else a pod asks for is not looked at."""


def pod_groups(documents: tuple[ManifestDocument, ...]) -> tuple[PodGroup, ...]:
    """Each object with pods; where an autoscaler among the manifests may make more of them, as many as that.

    Raises `Malformed` as `pods_of` does.
    """
    most = dict(_scale_limits(documents))
    return tuple(_workload(each, most) for each in pods_of(documents))


def _workload(report: PodReport, most: Mapping[ScaleTarget, int]) -> PodGroup:
    thing = report.pod_template.thing
    requests = pod_requests(report.verdict.admitted)
    target = ScaleTarget(thing.kind, thing.namespace or NAMESPACE, thing.name)
    return PodGroup(
        name=f"{thing.kind} {thing.name}",
        replicas=max(count_of(report.pod_template), most.get(target, 0)),
        requests={name: requests[name] for name in RESOURCES if name in requests},
        on_each_node=thing.kind == DAEMON_SET,
    )


def _scale_limits(documents: tuple[ManifestDocument, ...]) -> Iterable[tuple[ScaleTarget, int]]:
    for document in documents:
        for thing in document.things:
            if is_autoscaler(thing):
                reference = at(thing.content, "spec", "scaleTargetRef")
                kind, name = (str(at(reference, field) or "") for field in ("kind", "name"))
                yield ScaleTarget(kind, thing.namespace or NAMESPACE, name), most_replicas(thing.content)
