"""`donjon check`: what admission would say of manifests, on a laptop and without a cluster."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping

import click

from donjon.admission import nodes
from donjon.admission.nodes import LargestNode
from donjon.admission.policies.printing import manifest
from donjon.admission.settings import Settings, Surroundings
from donjon.cli.admission.choices import choices
from donjon.cli.checking import Checked, Looked, Skipped, as_admitted, look, read_all
from donjon.cli.files import STDIN, shown, text
from donjon.cli.terminal import say, say_json, write
from donjon.errors import EXIT_MALFORMED, EXIT_NO, EXIT_YES, Malformed
from donjon.findings import Finding
from donjon.formats.json import JsonObject

KINDS_SHOWN = 10  # of those without pods, in the last line


def _labels(_context: click.Context, _option: click.Parameter, given: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """The labels by namespace; those of no namespace by name under the empty one."""
    found: dict[str, dict[str, str]] = {}
    for label in given:
        key, equals, value = label.partition("=")
        namespace, colon, bare = key.rpartition(":")
        if not (equals and bare) or (colon and not namespace):
            raise click.BadParameter(
                f"{label!r}: expected KEY=VALUE or NAMESPACE:KEY=VALUE, such as donjon.dev/provision=allowed"
            )
        found.setdefault(namespace, {})[bare] = value
    return found


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
    metavar="[NAMESPACE:]KEY=VALUE",
    callback=_labels,
    help="A label of that namespace, or else of every one whose Namespace is not among the manifests; may be repeated.",
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
    labels: Mapping[str, Mapping[str, str]],
    of_nodes: str | None,
    settings: Settings,
) -> None:
    """Tell what admission would do to the pods of manifests, without a cluster; - reads standard input.

    Looks at Pods, at pod templates of any kind, and into Lists. A Namespace among the manifests tells its labels. Exit code 0
    admitted (warnings too), 1 refused or its pods would be, 2 unreadable.
    """
    documents, unreadable = read_all(files)
    largest = None if of_nodes is None else _largest(of_nodes, files)
    looked = look(documents, labels, Surroundings(namespace=namespace, largest_node=largest), settings)
    match form:
        case "json":
            say_json(_report(looked, unreadable))
        case "yaml":
            write(manifest(as_admitted(looked)))
            _print_findings(looked, err=True)
        case _:
            _print_findings(looked)
            _print_skipped(looked)
    for file, error in unreadable.items():
        say(f"{shown(file)}: {error} (donjon explain {error.code})", err=True)
    sys.exit(EXIT_MALFORMED if unreadable else EXIT_NO if looked.refused else EXIT_YES)


def _largest(file: str, files: Iterable[str]) -> LargestNode:
    if file == STDIN and STDIN in files:
        raise click.BadParameter("standard input cannot hold both the nodes and a manifest", param_hint="--nodes")
    try:
        return nodes.parse(text(file, nodes.MAX_SIZE))
    except Malformed as error:
        raise Malformed(error.code, f"{shown(file)}: {error.message}") from error


def _print_findings(looked: Looked, *, err: bool = False) -> None:
    for each in looked.checked:
        file = shown(each.document.file)
        for line, said in each.said():
            say(f"{file}:{line}: {said.severity}: {said.sentence()}", err=err)
        say(f"{file}:{each.line}: {each.made.thing.kind} {each.made.thing.name}: {_verdict(each)}", err=err)


def _verdict(each: Checked) -> str:
    word = "refused" if each.refused else "admitted"
    wired = f", changed in {len(each.verdict.patch)} places" if each.verdict.patch and not each.refused else ""
    as_pod = "" if each.made.thing.known else f" (as a pod of that form would be: {each.made.where or 'the object itself'})"
    return f"{word}{wired}{as_pod}"


def _print_skipped(looked: Looked) -> None:
    """What was not looked at: what should perhaps have been by line, and all by kind."""
    for each in looked.skipped:
        for line, said in each.said():
            say(f"{shown(each.document.file)}:{line}: {said.severity}: {said.sentence()}")
        if not each.thing.kind:
            say(f"{_place(each)}: not a Kubernetes object (no kind): skipped")
        elif each.why:
            say(f"{_place(each)}: {each.thing.kind} {each.thing.name}: not looked at, {each.why}")
    admitted = len(looked.checked) - looked.refused
    say(f"{len(looked.checked)} with pods looked at: {admitted} admitted, {looked.refused} refused{_by_kind(looked)}")


def _place(each: Skipped) -> str:
    return f"{shown(each.document.file)}:{each.line}"


def _by_kind(looked: Looked) -> str:
    counted = Counter(each.thing.kind or "without a kind" for each in looked.skipped).most_common()
    listed = ", ".join(f"{number} {kind}" for kind, number in counted[:KINDS_SHOWN])
    more = f" and {len(counted) - KINDS_SHOWN} more kinds" if len(counted) > KINDS_SHOWN else ""
    return f"; {len(looked.skipped)} without pods not looked at: {listed}{more}" if counted else ""


def _report(looked: Looked, unreadable: Mapping[str, Malformed]) -> JsonObject:
    return {
        "checked": [_told(each) for each in looked.checked],
        "notLookedAt": [_passed_over(each) for each in looked.skipped],
        "unreadable": [{"file": shown(file), "code": error.code, "found": error.message} for file, error in unreadable.items()],
    }


def _told(each: Checked) -> JsonObject:
    return {
        "file": shown(each.document.file),
        "line": each.line,
        "kind": each.made.thing.kind,
        "name": each.made.thing.name,
        "template": each.made.where,
        "refused": each.refused,
        "findings": [_finding(line, said) for line, said in each.said()],
        "patch": [operation.as_dict() for operation in each.verdict.patch],
    }


def _passed_over(each: Skipped) -> JsonObject:
    return {
        "file": shown(each.document.file),
        "line": each.line,
        "kind": each.thing.kind,
        "name": each.thing.name,
        "why": each.why,
        "findings": [_finding(line, said) for line, said in each.said()],
    }


def _finding(line: int, said: Finding) -> JsonObject:
    return {"line": line, **said.as_dict()}
