"""`donjon check`: what admission would say of manifests, on a laptop and without a cluster."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import click

from donjon.admission import nodes
from donjon.admission.kubernetes import Complaint, complaints, completed
from donjon.admission.manifests import MAX_SIZE, Node, read
from donjon.admission.nodes import LargestNode
from donjon.admission.printing import manifest
from donjon.admission.reasons import Reason
from donjon.admission.settings import Settings, Surroundings
from donjon.admission.verdict import Verdict, decide
from donjon.admission.workloads import Made, pods
from donjon.cli.choices import choices
from donjon.cli.files import STDIN, shown, text
from donjon.errors import EXIT_MALFORMED, EXIT_NO, EXIT_YES, Malformed
from donjon.kube.json import Json, JsonObject
from donjon.kube.patch import Add, Remove, applied


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file."""

    file: str
    node: Node
    content: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One pod, or what makes pods of that form, with everything that is to be said of it."""

    document: Document
    made: Made
    verdict: Verdict
    complaints: tuple[Complaint, ...]

    @property
    def refused(self) -> bool:
        """Whether the pod, or each pod of that form, will not be made."""
        return self.verdict.refused or bool(self.complaints)

    @property
    def line(self) -> int:
        """Where the object begins."""
        return self.document.node.line_of(self.made.path)

    def said(self) -> list[tuple[int, Complaint | Reason]]:
        """Every finding with its line; what Kubernetes refuses goes first, as it does there."""
        everything: tuple[Complaint | Reason, ...] = (*self.complaints, *self.verdict.reasons)
        return [(self.document.node.line_of(self.made.template + each.place), each) for each in everything]


def _labels(_context: click.Context, _option: click.Parameter, given: Iterable[str]) -> Mapping[str, str]:
    pairs = [label.partition("=") for label in given]
    wrong = next((key for key, equals, _ in pairs if not (key and equals)), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r}: expected KEY=VALUE, such as donjon.dev/provision=allowed")
    return {key: value for key, _, value in pairs}


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="For people, for programs, or the manifests with their pods as they would be admitted.",
)
@click.option("--namespace", "-n", default="default", show_default=True, help="Namespace of what names none.")
@click.option(
    "--namespace-label",
    "labels",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_labels,
    help="A label of the namespace, such as donjon.dev/provision=allowed; may be repeated.",
)
@click.option(
    "--nodes",
    "of_nodes",
    metavar="FILE",
    help="What kubectl get nodes -o json printed: warn about more EPC than any of them has; - reads standard input.",
)
@choices
def check(
    files: tuple[str, ...],
    *,
    form: str,
    namespace: str,
    labels: Mapping[str, str],
    of_nodes: str | None,
    settings: Settings,
) -> None:
    """Tell what admission would do to the pods of manifests, without a cluster; - reads standard input.

    Looks at Pods, at every kind with a pod template, and into Lists. Exit code 0 admitted (warnings too), 1 refused or its pods
    would be, 2 unreadable.
    """
    documents, unreadable = _read_all(files)
    largest = None if of_nodes is None else _largest(of_nodes, files)
    around = Surroundings(namespace=namespace, labels=labels, largest_node=largest)
    checked = [each for document in documents for each in _checked(document, around, settings)]
    match form:
        case "json":
            click.echo(json.dumps(_report(checked, unreadable), indent=2, ensure_ascii=False))
        case "yaml":
            click.echo(manifest(_as_admitted(documents, checked)), nl=False)
        case _:
            _print(checked, documents)
    for file, error in unreadable.items():
        click.echo(f"{shown(file)}: {error} (donjon explain {error.code})", err=True)
    if form == "yaml":
        _print_findings(checked, err=True)
    sys.exit(EXIT_MALFORMED if unreadable else EXIT_NO if any(each.refused for each in checked) else EXIT_YES)


def _largest(file: str, files: Iterable[str]) -> LargestNode:
    if file == STDIN and STDIN in files:
        raise click.BadParameter("standard input cannot hold both the nodes and a manifest", param_hint="--nodes")
    try:
        return nodes.parse(text(file, nodes.MAX_SIZE))
    except Malformed as error:
        raise Malformed(error.code, f"{shown(file)}: {error.message}") from error


def _read_all(files: Iterable[str]) -> tuple[list[Document], dict[str, Malformed]]:
    documents: list[Document] = []
    unreadable: dict[str, Malformed] = {}
    for file in files:
        try:
            documents += [Document(file=file, node=node, content=_object(node)) for node in read(text(file, MAX_SIZE))]
        except Malformed as error:
            unreadable[file] = error
    return documents, unreadable


def _object(node: Node) -> JsonObject:
    content = node.json()
    if not isinstance(content, dict):
        raise Malformed("DJ930", f"line {node.line}: expected an object with apiVersion and kind, found {type(content).__name__}")
    return content


def _checked(document: Document, given: Surroundings, settings: Settings) -> Iterator[Checked]:
    for made in pods(document.content):
        around = replace(given, namespace=made.namespace or given.namespace, made_by=made.kind)
        pod = completed(made.pod)
        yield Checked(document=document, made=made, verdict=decide(pod, around, settings), complaints=complaints(pod))


def _as_admitted(documents: Iterable[Document], checked: Iterable[Checked]) -> Iterator[JsonObject]:
    for document in documents:
        whole = document.content if isinstance(document.content, dict) else {}
        for each in checked:
            if each.document is document:
                whole = _with(whole, each.made, each.verdict.admitted)
        yield whole


def _with(whole: JsonObject, made: Made, pod: JsonObject) -> JsonObject:
    if not made.template:
        return pod
    # To add into a list is to push the rest along, so an entry of a List goes first.
    entry = [Remove(path=made.template)] if made.template == made.path else []
    return applied(whole, [*entry, Add(path=made.template, value=pod)])


def _print(checked: list[Checked], documents: list[Document]) -> None:
    _print_findings(checked)
    for document in documents:
        if isinstance(document.content, dict) and "kind" not in document.content:
            click.echo(f"{shown(document.file)}:{document.node.line}: not a Kubernetes object (no kind): skipped")
    refused = sum(each.refused for each in checked)
    click.echo(f"{len(checked)} with pods looked at: {len(checked) - refused} admitted, {refused} refused")


def _print_findings(checked: Iterable[Checked], *, err: bool = False) -> None:
    for each in checked:
        for line, said in each.said():
            click.echo(f"{shown(each.document.file)}:{line}: {said.finding.severity}: {said.finding.sentence()}", err=err)
        word = "refused" if each.refused else "admitted"
        wired = f", changed in {len(each.verdict.patch)} places" if each.verdict.patch and not each.refused else ""
        click.echo(f"{shown(each.document.file)}:{each.line}: {each.made.kind} {each.made.name}: {word}{wired}", err=err)


def _report(checked: Iterable[Checked], unreadable: Mapping[str, Malformed]) -> JsonObject:
    return {
        "checked": [_told(each) for each in checked],
        "unreadable": [{"file": shown(file), "code": error.code, "found": error.message} for file, error in unreadable.items()],
    }


def _told(each: Checked) -> JsonObject:
    return {
        "file": shown(each.document.file),
        "line": each.line,
        "kind": each.made.kind,
        "name": each.made.name,
        "refused": each.refused,
        "findings": [_finding(line, said) for line, said in each.said()],
        "patch": [operation.told() for operation in each.verdict.patch],
    }


def _finding(line: int, said: Complaint | Reason) -> JsonObject:
    return {"line": line, **said.finding.told()}
