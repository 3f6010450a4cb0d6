"""Manifests that a person names, as the pods that they make: as admission would let them in, and with no impossible number."""

from collections.abc import Iterable

from donjon.admission.codes import CORE_RULE, TOO_MUCH
from donjon.admission.manifests.check import ManifestDocument, PodReport, check_manifests, parse_documents
from donjon.admission.manifests.documents import MAX_SIZE
from donjon.admission.manifests.workloads import PodTemplate
from donjon.admission.settings import AdmissionContext, Settings
from donjon.cli.files import display_name, text, within
from donjon.errors import Malformed
from donjon.findings import Severity
from donjon.formats.words import excerpt
from donjon.kube.replicas import impossible_count, impossible_number, numbers_above, replicas_of, replicas_towards

NAMESPACE = "default"
"""Of what names none."""


def documents_of(names: Iterable[str]) -> tuple[ManifestDocument, ...]:
    """What stands in the files; raises `Malformed` with the file's name."""
    documents: list[ManifestDocument] = []
    for name in names:
        with within(name):
            documents += parse_documents(name, text(name, MAX_SIZE))
    return tuple(documents)


def pods_of(documents: tuple[ManifestDocument, ...]) -> tuple[PodReport, ...]:
    """Their pods, and what makes pods.

    Raises `Malformed` where a number is impossible, with the file and line: to count it as nothing would be a wrong answer.
    """
    _require_counts(documents)
    pods = check_manifests(documents, {}, AdmissionContext(namespace=NAMESPACE), Settings()).pods
    _require_numbers(pods)
    _require_amounts(pods)
    return pods


def count_of(template: PodTemplate) -> int:
    """How many pods of that form its object makes at a time; of a DaemonSet, on a node."""
    thing = template.thing
    return replicas_of(thing.content) if thing.is_builtin else replicas_towards(thing.content, _place(template))


def _place(template: PodTemplate) -> str:
    return template.template.removeprefix(template.thing.path)


def _require_numbers(pods: Iterable[PodReport]) -> None:
    """Of kinds of others, which have their numbers beside each template."""
    for report in pods:
        template = report.pod_template
        if template.thing.is_builtin:
            continue
        for place, number in numbers_above(template.thing.content, _place(template)).items():
            if wrong := impossible_number(place.strip("/").replace("/", "."), number):
                where = f"{display_name(report.document.file)}:{report.document.node.line_of(template.thing.path + place)}"
                raise Malformed("DJ930", f"{where}: {template.thing.kind} {excerpt(template.thing.name)}: {wrong}")


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
