"""What `donjon check` finds out: the files read, every object in them, and what is to be said of each pod."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from donjon.admission.manifests.api_server import Complaint, complaints, completed
from donjon.admission.manifests.astray import astray, names_sgx
from donjon.admission.manifests.documents import MAX_SIZE, Node, read
from donjon.admission.manifests.fragments import is_json_patch
from donjon.admission.manifests.plugins import rivals
from donjon.admission.manifests.sandboxes import host_sockets
from donjon.admission.manifests.workloads import Made, Thing, namespaces, pods, things, why_none
from donjon.admission.reasons import Reason
from donjon.admission.rules import TWICE
from donjon.admission.settings import Settings, Surroundings
from donjon.admission.verdict import Verdict, decide
from donjon.cli.files import text
from donjon.errors import Malformed
from donjon.findings import Finding, Severity, is_refusal
from donjon.formats.json import Json, at
from donjon.formats.words import excerpt
from donjon.kube.patch import Add, Operation, Remove, applied


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file."""

    file: str
    node: Node
    content: Json
    things: tuple[Thing, ...]

    def said(self, thing: Thing) -> list[tuple[int, Finding]]:
        """What is to be said of the whole document, with its lines: beside its first object."""
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
class Labels:
    """What is known of the labels of namespaces."""

    streamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of Namespaces in the manifests, by name
    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # on the command line; under "" those of all others

    def of(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace: what is given for it by name goes before what its manifest says."""
        stated = self.streamed.get(namespace)
        return {**(self.given.get("", {}) if stated is None else stated), **self.given.get(namespace, {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One pod, or what makes pods of that form, with everything that is to be said of it."""

    document: Document
    made: Made
    verdict: Verdict
    complaints: tuple[Complaint, ...]
    astray: tuple[Reason, ...]
    first: bool  # of its object, and so told with what is to be said of the whole

    @property
    def refused(self) -> bool:
        """Whether the pod, or each pod of that form, will not be made."""
        return self.verdict.refused or bool(self.complaints) or is_refusal(tuple(each.finding for each in self.astray))

    @property
    def line(self) -> int:
        """Where the object begins."""
        return self.document.node.line_of(self.made.thing.path)

    def said(self) -> list[tuple[int, Finding]]:
        """Every finding with its line; what Kubernetes refuses goes first, as it does there."""
        template, line_of = self.made.template, self.document.node.line_of
        return [
            *(self.document.said(self.made.thing) if self.first else ()),
            *((line_of(template + each.place), each.finding) for each in self.complaints),
            *((line_of(each.place), each.finding) for each in self.astray),
            *((line_of(template + each.place), each.finding) for each in self.verdict.reasons),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An object in which no pod was found."""

    document: Document
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

    def said(self) -> list[tuple[int, Finding]]:
        """Every finding with its line."""
        return [
            *self.document.said(self.thing),
            *((self.document.node.line_of(each.place), each.finding) for each in self.astray),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Everything that was looked at, and what was not."""

    documents: tuple[Document, ...]
    checked: tuple[Checked, ...]
    skipped: tuple[Skipped, ...]

    @property
    def refused(self) -> int:
        """How many pods, or what makes pods, will not be made."""
        return sum(each.refused for each in self.checked)


def read_all(files: Iterable[str]) -> tuple[tuple[Document, ...], dict[str, Malformed]]:
    """The documents of all files, and what is wrong with those that cannot be read."""
    documents: list[Document] = []
    unreadable: dict[str, Malformed] = {}
    for file in files:
        try:
            documents += [_document(file, node) for node in read(text(file, MAX_SIZE))]
        except Malformed as error:
            unreadable[file] = error
    return tuple(documents), unreadable


def _document(file: str, node: Node) -> Document:
    content = node.json()
    if not (isinstance(content, dict) or is_json_patch(content)):
        raise Malformed("DJ930", f"line {node.line}: expected an object with apiVersion and kind, found {type(content).__name__}")
    return Document(file=file, node=node, content=content, things=tuple(things(content)))


def look(
    documents: tuple[Document, ...], given: Mapping[str, Mapping[str, str]], around: Surroundings, settings: Settings
) -> Looked:
    """What is to be said of every pod in the documents; `around.namespace` is that of what names none."""
    labels = Labels(streamed=namespaces(thing for document in documents for thing in document.things), given=given)
    checked: list[Checked] = []
    skipped: list[Skipped] = []
    for document in documents:
        for thing in document.things:
            namespace = thing.namespace or around.namespace
            here = replace(around, namespace=namespace, labels=labels.of(namespace), made_by=thing.kind)
            found = pods(thing)
            lost = astray(thing, found)
            checked += [_checked(document, made, lost, here, settings, first=made is found[0]) for made in found]
            skipped += [] if found else [Skipped(document=document, thing=thing, astray=lost)]
    return Looked(documents=documents, checked=tuple(checked), skipped=tuple(skipped))


def _checked(
    document: Document, made: Made, lost: tuple[Reason, ...], around: Surroundings, settings: Settings, *, first: bool
) -> Checked:
    pod = completed(made.pod)
    verdict = decide(pod, around, settings)
    verdict = replace(verdict, reasons=(*verdict.reasons, *host_sockets(verdict.admitted), *rivals(verdict.admitted)))
    wrong = complaints(made.pod) if made.thing.known or names_sgx(made) else ()
    of_object = lost if first else ()
    return Checked(document=document, made=made, verdict=verdict, complaints=wrong, astray=of_object, first=first)


def as_admitted(looked: Looked) -> Iterator[Json]:
    """Every document with its pods as those would be admitted."""
    of_document: dict[int, list[Checked]] = {}
    for each in looked.checked:
        of_document.setdefault(id(each.document), []).append(each)
    for document in looked.documents:
        changed = [each for each in of_document.get(id(document), ()) if each.verdict.admitted != each.made.pod]
        pod_alone = next((each.verdict.admitted for each in changed if not each.made.template), None)
        yield pod_alone or _changed(document.content, changed)


def _changed(whole: Json, changed: Iterable[Checked]) -> Json:
    return applied(whole, [step for each in changed for step in _steps(whole, each)]) if isinstance(whole, dict) else whole


def _steps(whole: Json, each: Checked) -> Iterator[Operation]:
    """How the pod takes the place of what stood there."""
    if _in_list(whole, each.made.template):  # To add into a list is to push the rest along.
        yield Remove(path=each.made.template)
    yield Add(path=each.made.template, value=each.verdict.admitted)


def _in_list(whole: Json, pointer: str) -> bool:
    """Whether what the pointer names is an entry of a list."""
    for step in (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:-1]):
        whole = whole[int(step)] if isinstance(whole, list) else at(whole, step)
    return isinstance(whole, list)
