"""`donjon check`: what admission would say of manifests, on a laptop and without a cluster."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

import click

from donjon.admission.images import images_of
from donjon.admission.manifests import nodes
from donjon.admission.manifests.check import (
    ManifestDocument,
    ManifestReport,
    PodReport,
    SkippedObject,
    as_admitted,
    check_manifests,
    parse_documents,
)
from donjon.admission.manifests.documents import MAX_SIZE
from donjon.admission.nodes import LargestNode
from donjon.admission.policies.printing import manifest
from donjon.admission.settings import AdmissionContext, Settings
from donjon.cli.admission.choices import choices
from donjon.cli.files import STDIN, display_name, text, within
from donjon.cli.options import work
from donjon.cli.registries import RegistryOptions, access, with_registries
from donjon.cli.terminal import say, say_finding, say_json, write
from donjon.errors import EXIT_COULD_NOT_LOOK, EXIT_MALFORMED, EXIT_NO, EXIT_YES, Malformed
from donjon.findings import Finding
from donjon.formats.json import JsonObject
from donjon.formats.words import recite
from donjon.images.access import RegistryAccess
from donjon.images.references import ImageReference, parse_reference

KINDS_SHOWN = 10  # of those without pods, in the last line


def _labels(_context: click.Context, _option: click.Parameter, texts: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
    """The labels by namespace; those of no namespace by name under the empty one."""
    by_namespace: dict[str, dict[str, str]] = {}
    for label in texts:
        key, equals, value = label.partition("=")
        namespace, colon, bare = key.rpartition(":")
        if not (equals and bare) or (colon and not namespace):
            raise click.BadParameter(
                f"{label!r}: expected KEY=VALUE or NAMESPACE:KEY=VALUE, such as donjon.dev/provision=allowed"
            )
        by_namespace.setdefault(namespace, {})[bare] = value
    return by_namespace


MAX_TOLD = 4  # images


def _places(_context: click.Context, _option: click.Parameter, texts: Iterable[str]) -> Mapping[str, ImageReference]:
    """Where images are, by their names in the manifests."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [image for image, equals, place in pairs if not (image and equals and place)]:
        raise click.BadParameter(f"{wrong[0]!r}: expected IMAGE=PLACE, such as registry.example/app:1=oci:app")
    return {image: parse_reference(place) for image, _, place in pairs}


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
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE",
    help="Judge the enclaves in the pods' images by the policies on enclaves in this manifest; may be repeated.",
)
@click.option(
    "--image-from",
    "places",
    multiple=True,
    metavar="IMAGE=PLACE",
    callback=_places,
    help="Where this image is, instead of its registry: oci:PATH[:TAG], docker-archive:PATH, or another name; may be repeated.",
)
@click.option("--strict", is_flag=True, help="Warnings count, too: exit code 1 where there is one, as for a pipeline.")
@click.option("--images", is_flag=True, help="Look into the images: warn where an enclave takes more EPC than is asked for.")
@with_registries
@choices
def check(
    files: tuple[str, ...],
    *,
    form: str,
    namespace: str,
    labels: Mapping[str, Mapping[str, str]],
    of_nodes: str | None,
    policies: tuple[str, ...],
    places: Mapping[str, ImageReference],
    strict: bool,
    images: bool,
    settings: Settings,
    **registries: object,
) -> None:
    """Check what admission would do to the pods in manifests, without a cluster; - reads standard input.

    Looks at Pods, at pod templates of any kind, and into Lists. A Namespace among the manifests tells its labels. Exit code 0
    admitted (warnings too, but for --strict), 1 refused or its pods would be, 2 unreadable, 3 an image could not be looked into.
    """
    documents, unreadable = _read_all(files)
    largest = None if of_nodes is None else _largest(of_nodes, files)
    report = check_manifests(documents, labels, AdmissionContext(namespace=namespace, largest_node=largest), settings)
    _tell_unnamed(places, report)
    reaching = access(cast("RegistryOptions", registries)) if images or policies else RegistryAccess()
    if images:
        report = work("donjon.cli.check_images", "enclave").with_images(report, reaching, places)
    could_look = True
    if policies:
        trust = work("donjon.cli.image_trust", "enclave")
        reach = trust.ImageReach(access=reaching, places=places)
        report = trust.judge(report, trust.read_policies(policies, namespace), labels, namespace, reach)
        could_look = reach.could_look
    _print(report, unreadable, form)
    is_no = report.refusals > 0 or (strict and report.warns)
    sys.exit(
        max(EXIT_MALFORMED if unreadable else EXIT_NO if is_no else EXIT_YES, EXIT_YES if could_look else EXIT_COULD_NOT_LOOK)
    )


def _print(report: ManifestReport, unreadable: Mapping[str, Malformed], form: str) -> None:
    match form:
        case "json":
            say_json(_report(report, unreadable))
        case "yaml":
            write(manifest(as_admitted(report)))
            _print_findings(report, err=True)
        case _:
            _print_findings(report)
            _print_skipped(report)
    for file, error in unreadable.items():
        say(f"{display_name(file)}: {error} (donjon explain {error.code})", err=True)


def _tell_unnamed(places: Mapping[str, ImageReference], report: ManifestReport) -> None:
    """Tells a place of an image that no pod names: it may be mistyped, and then its registry is asked."""
    images = {each.image for pod in report.pods for each in images_of(pod.verdict.admitted)}
    for image in sorted(places.keys() - images):
        theirs = ", ".join(recite(each) for each in sorted(images)[:MAX_TOLD]) or "none"
        say(f"warning: --image-from {image}: no pod has an image of that very name; they have {theirs}", err=True)


def _read_all(files: Iterable[str]) -> tuple[tuple[ManifestDocument, ...], dict[str, Malformed]]:
    """The documents of all files, and what is wrong with those that cannot be read."""
    documents: list[ManifestDocument] = []
    unreadable: dict[str, Malformed] = {}
    for file in files:
        try:
            documents += parse_documents(file, text(file, MAX_SIZE))
        except Malformed as error:
            unreadable[file] = error
    return tuple(documents), unreadable


def _largest(file: str, files: Iterable[str]) -> LargestNode:
    if file == STDIN and STDIN in files:
        raise click.BadParameter("standard input cannot hold both the nodes and a manifest", param_hint="--nodes")
    with within(file):
        return nodes.parse(text(file, nodes.MAX_SIZE))


def _print_findings(report: ManifestReport, *, err: bool = False) -> None:
    for each in report.pods:
        file = display_name(each.document.file)
        for line, finding in each.findings():
            say_finding(finding, before=f"{file}:{line}: ", err=err)
        say(f"{file}:{each.line}: {each.pod_template.thing.kind} {each.pod_template.thing.name}: {_verdict(each)}", err=err)


def _verdict(report: PodReport) -> str:
    word = "refused" if report.is_refused else "admitted"
    change_note = f", changed in {len(report.verdict.patch)} places" if report.verdict.patch and not report.is_refused else ""
    as_pod = (
        ""
        if report.pod_template.thing.is_builtin
        else f" (as a pod of that form would be: {report.pod_template.where or 'the object itself'})"
    )
    return f"{word}{change_note}{as_pod}"


def _print_skipped(report: ManifestReport) -> None:
    """What was not looked at: what should perhaps have been by line, and all by kind."""
    for each in report.skipped:
        for line, finding in each.findings():
            say_finding(finding, before=f"{display_name(each.document.file)}:{line}: ")
        if not each.thing.kind:
            say(f"{_place(each)}: not a Kubernetes object (no kind): skipped")
        elif each.why:
            say(f"{_place(each)}: {each.thing.kind} {each.thing.name}: not looked at, {each.why}")
    admitted = len(report.pods) - report.refusals
    say(f"{len(report.pods)} with pods looked at: {admitted} admitted, {report.refusals} refused{_by_kind(report)}")


def _place(each: SkippedObject) -> str:
    return f"{display_name(each.document.file)}:{each.line}"


def _by_kind(report: ManifestReport) -> str:
    counts = Counter(each.thing.kind or "without a kind" for each in report.skipped).most_common()
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts[:KINDS_SHOWN])
    more = f" and {len(counts) - KINDS_SHOWN} more kinds" if len(counts) > KINDS_SHOWN else ""
    return f"; {len(report.skipped)} without pods not looked at: {kinds}{more}" if counts else ""


def _report(report: ManifestReport, unreadable: Mapping[str, Malformed]) -> JsonObject:
    return {
        "checked": [_pod_as_json(each) for each in report.pods],
        "notLookedAt": [_skipped_as_json(each) for each in report.skipped],
        "unreadable": [
            {"file": display_name(file), "code": error.code, "found": error.message} for file, error in unreadable.items()
        ],
    }


def _pod_as_json(each: PodReport) -> JsonObject:
    return {
        "file": display_name(each.document.file),
        "line": each.line,
        "kind": each.pod_template.thing.kind,
        "name": each.pod_template.thing.name,
        "template": each.pod_template.where,
        "refused": each.is_refused,
        "findings": [_finding(line, finding) for line, finding in each.findings()],
        "patch": [operation.as_dict() for operation in each.verdict.patch],
    }


def _skipped_as_json(each: SkippedObject) -> JsonObject:
    return {
        "file": display_name(each.document.file),
        "line": each.line,
        "kind": each.thing.kind,
        "name": each.thing.name,
        "why": each.why,
        "findings": [_finding(line, finding) for line, finding in each.findings()],
    }


def _finding(line: int, finding: Finding) -> JsonObject:
    return {"line": line, **finding.as_dict()}
