"""What admission would say of manifests: every object in them, the pods that they make, and the findings about each."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from donjon.admission.codes import TWICE
from donjon.admission.manifests.api_server import Complaint, complaints, complete
from donjon.admission.manifests.astray import astray, names_sgx
from donjon.admission.manifests.documents import Node, read
from donjon.admission.manifests.fragments import is_json_patch
from donjon.admission.manifests.plugins import rivals
from donjon.admission.manifests.sandboxes import host_sockets
from donjon.admission.manifests.scaling import ScaleTarget, idle_scaling, is_autoscaler
from donjon.admission.manifests.workloads import PodTemplate, Thing, namespaces, pods, things, why_none
from donjon.admission.reasons import Reason
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import AdmissionVerdict, decide
from donjon.errors import Malformed
from donjon.findings import Finding, Severity, is_refusal
from donjon.findings.codes import MISNAMED, NOT_WIRED
from donjon.formats.json import Json, at
from donjon.formats.words import excerpt
from donjon.kube.patch import Add, Operation, Remove, apply


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestDocument:
    """One YAML document of a manifest file, and the Kubernetes objects in it."""

    file: str
    node: Node
    content: Json
    things: tuple[Thing, ...]

    def findings(self, thing: Thing) -> list[tuple[int, Finding]]:
        """The findings about the whole document, with their lines: they stand beside its first object."""
        return [(line, _stands_twice(key)) for line, key in self.node.twice] if thing is self.things[0] else []


def _stands_twice(key: str) -> Finding:
    return Finding(
        code=TWICE,
        severity=Severity.WARNING,
        subject=excerpt(key),
        observation="is there twice",
        why="Kubernetes takes the last of the two and warns, or refuses both",
        do="leave one of them out",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceLabels:
    """The labels of namespaces, as manifests and the command line state them."""

    by_manifest: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of Namespaces in the manifests, by name
    by_option: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # on the command line; under "" those of all others

    def of(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace: what is given for it by name goes before what its manifest says."""
        own = self.by_manifest.get(namespace)
        return {**(self.by_option.get("", {}) if own is None else own), **self.by_option.get(namespace, {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReport:
    """One pod, or what makes pods of that form: the verdict of admission, and everything else that was found."""

    document: ManifestDocument
    pod_template: PodTemplate
    verdict: AdmissionVerdict
    complaints: tuple[Complaint, ...]
    astray: tuple[Reason, ...]
    first: bool  # of its object: the findings about the whole document stand here

    @property
    def is_refused(self) -> bool:
        """Whether the pod, or each pod of that form, will not be made."""
        return self.verdict.is_refused or bool(self.complaints) or is_refusal(tuple(each.finding for each in self.astray))

    @property
    def line(self) -> int:
        """Where the object begins."""
        return self.document.node.line_of(self.pod_template.thing.path)

    def findings(self) -> list[tuple[int, Finding]]:
        """Every finding with its line; what Kubernetes refuses goes first, as it does there."""
        template, line_of = self.pod_template.template, self.document.node.line_of
        return [
            *(self.document.findings(self.pod_template.thing) if self.first else ()),
            *((line_of(template + each.place), each.finding) for each in self.complaints),
            *((line_of(each.place), each.finding) for each in self.astray),
            *((line_of(template + each.place), each.finding) for each in self._of_ours()),
        ]

    def _of_ours(self) -> tuple[Reason, ...]:
        """What our rules say, but not that nothing wired a pod where Kubernetes refuses it: nothing did, since that is so."""
        reasons = self.verdict.reasons
        return tuple(each for each in reasons if each.finding.code not in NOT_WIRED) if self.complaints else reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedObject:
    """An object in which no pod was found."""

    document: ManifestDocument
    thing: Thing
    astray: tuple[Reason, ...]  # never a refusal

    @property
    def why(self) -> str:
        """Why there is no pod in it, where one might be looked for."""
        return why_none(self.thing)

    @property
    def line(self) -> int:
        """Where the object begins."""
        return self.document.node.line_of(self.thing.path)

    def findings(self) -> list[tuple[int, Finding]]:
        """Every finding with its line."""
        return [
            *self.document.findings(self.thing),
            *((self.document.node.line_of(each.place), each.finding) for each in self.astray),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestReport:
    """What came of all manifests: a report of each pod, and the objects without one."""

    documents: tuple[ManifestDocument, ...]
    pods: tuple[PodReport, ...]
    skipped: tuple[SkippedObject, ...]

    @property
    def refusals(self) -> int:
        """How many pods, or what makes pods, will not be made."""
        return sum(each.is_refused for each in self.pods)

    @property
    def warns(self) -> bool:
        """Whether there is more than a remark on any object."""
        lists = (*(each.findings() for each in self.pods), *(each.findings() for each in self.skipped))
        return any(finding.severity is not Severity.INFO for findings in lists for _, finding in findings)


def parse_documents(file: str, text: str) -> tuple[ManifestDocument, ...]:
    """The documents of that file with their objects; raises `Malformed` DJ930 for no text, or no Kubernetes object."""
    if not text.strip():
        raise Malformed("DJ930", "it is empty: no object is in it; where a command was to write it, see why that wrote nothing")
    return tuple(_parse_document(file, node) for node in read(text))


def _parse_document(file: str, node: Node) -> ManifestDocument:
    content = node.json()
    if not (isinstance(content, dict) or is_json_patch(content)):
        raise Malformed("DJ930", f"line {node.line}: expected an object with apiVersion and kind, found {type(content).__name__}")
    return ManifestDocument(file=file, node=node, content=content, things=tuple(things(content)))


def check_manifests(
    documents: tuple[ManifestDocument, ...],
    labels_by_option: Mapping[str, Mapping[str, str]],
    around: AdmissionContext,
    settings: Settings,
) -> ManifestReport:
    """A report of every pod in the documents; `around.namespace` is that of what names none."""
    labels = NamespaceLabels(
        by_manifest=namespaces(thing for document in documents for thing in document.things), by_option=labels_by_option
    )
    reports: list[PodReport] = []
    skipped: list[SkippedObject] = []
    for document in documents:
        for thing in document.things:
            namespace = thing.namespace or around.namespace
            here = replace(around, namespace=namespace, labels=labels.of(namespace), made_by=thing.kind)
            templates = pods(thing)
            reasons = astray(thing, templates)
            reports += [
                _check_pod(document, pod_template, reasons, here, settings, first=pod_template is templates[0])
                for pod_template in templates
            ]
            skipped += [] if templates else [SkippedObject(document=document, thing=thing, astray=reasons)]
    pods_by_target = {_target(each, around.namespace): each.verdict.admitted for each in reports}
    return ManifestReport(
        documents=documents,
        pods=tuple(reports),
        skipped=tuple(_with_scaling(each, around.namespace, pods_by_target) for each in skipped),
    )


def _target(report: PodReport, namespace: str) -> ScaleTarget:
    thing = report.pod_template.thing
    return ScaleTarget(thing.kind, thing.namespace or namespace, thing.name)


def _with_scaling(each: SkippedObject, namespace: str, pods_by_target: Mapping[ScaleTarget, Json]) -> SkippedObject:
    if not is_autoscaler(each.thing):
        return each
    reasons = idle_scaling(each.thing, each.thing.namespace or namespace, pods_by_target)
    return replace(each, astray=(*each.astray, *reasons))


def _check_pod(
    document: ManifestDocument,
    pod_template: PodTemplate,
    reasons: tuple[Reason, ...],
    around: AdmissionContext,
    settings: Settings,
    *,
    first: bool,
) -> PodReport:
    pod = complete(pod_template.pod)
    verdict = decide(pod, around, settings)
    # Of misspelt names `astray` knows more than the API server's policies can.
    others = (each for each in verdict.reasons if each.finding.code != MISNAMED)
    verdict = replace(verdict, reasons=(*others, *host_sockets(verdict.admitted), *rivals(verdict.admitted)))
    wrong = complaints(pod_template.pod) if pod_template.thing.is_builtin or names_sgx(pod_template) else ()
    of_object = reasons if first else ()
    return PodReport(
        document=document, pod_template=pod_template, verdict=verdict, complaints=wrong, astray=of_object, first=first
    )


def as_admitted(report: ManifestReport) -> Iterator[Json]:
    """Every document with its pods as those would be admitted."""
    of_document: dict[int, list[PodReport]] = {}
    for each in report.pods:
        of_document.setdefault(id(each.document), []).append(each)
    for document in report.documents:
        changed = [each for each in of_document.get(id(document), ()) if each.verdict.admitted != each.pod_template.pod]
        pod_alone = next((each.verdict.admitted for each in changed if not each.pod_template.template), None)
        yield pod_alone or _changed(document.content, changed)


def _changed(whole: Json, changed: Iterable[PodReport]) -> Json:
    return apply(whole, [step for each in changed for step in _steps(whole, each)]) if isinstance(whole, dict) else whole


def _steps(whole: Json, each: PodReport) -> Iterator[Operation]:
    """How the pod takes the place of what stood there."""
    if _in_list(whole, each.pod_template.template):  # To add into a list is to push the rest along.
        yield Remove(path=each.pod_template.template)
    yield Add(path=each.pod_template.template, value=each.verdict.admitted)


def _in_list(whole: Json, pointer: str) -> bool:
    """Whether what the pointer names is an entry of a list."""
    for step in (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:-1]):
        whole = whole[int(step)] if isinstance(whole, list) else at(whole, step)
    return isinstance(whole, list)
