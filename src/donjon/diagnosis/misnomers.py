"""Names by which a pod means SGX and gets nothing of it: what `donjon check` says of a manifest, of a pod that is there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from donjon.admission.codes import UNLABELLED
from donjon.admission.intent import read
from donjon.admission.manifests.mentions import mentions
from donjon.admission.manifests.workloads import PodTemplate, Thing
from donjon.admission.rules import HOST_DEVICES
from donjon.diagnosis.commands import change
from donjon.findings import Finding, Severity
from donjon.findings.codes import MISNAMED
from donjon.formats.json import JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import EPC
from donjon.kube.objects import CONTAINER_FIELDS, containers_of, node_name_of
from donjon.kube.reserved import allocatable
from donjon.kube.spelling import intended_resource, suggestion

MAX_MISNOMERS = 50
"""That are looked for: each is compared with all names that there are."""
_PLACES = ("labels", "annotations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Misnomer:
    """A name of a pod's that is nobody's, or means nothing where it stands."""

    finding: Finding
    bars: bool  # no node has what it names, so that it keeps a pod from all of them


def misnomers(pod: JsonObject, nodes: Sequence[JsonObject]) -> tuple[Misnomer, ...]:
    """What a pod asks for by nobody's names, and which of its names mean nothing where they stand; `nodes` are all, or none."""
    return tuple(islice(chain(_limits(pod, nodes), _elsewhere(pod)), MAX_MISNOMERS))


def misnomer_findings(pod: JsonObject, nodes: Sequence[JsonObject]) -> tuple[Finding, ...]:
    """What is to be told of them, whatever follows from it."""
    return tuple(each.finding for each in misnomers(pod, nodes))


def host_devices(pod: JsonObject) -> Iterator[Finding]:
    """The SGX devices that it mounts from the host without asking, as admission warned of them."""
    if devices := read(pod).devices:
        yield Finding.warning(
            HOST_DEVICES,
            "pod",
            f"mounts {recite(', '.join(devices))} from the host",
            "a mount alone opens no device to a container that is not privileged, and nobody counts its EPC",
            f"take the volume out and ask for {EPC}, which brings the device",
        )


def _limits(pod: JsonObject, nodes: Sequence[JsonObject]) -> Iterator[Misnomer]:
    """The names that no node offers, as far as it can be seen which was meant."""
    on_offer = {name for node in nodes for name, amount in allocatable(node).items() if amount}
    for container in containers_of(pod):
        limits = at(container, "resources", "limits")
        for name in limits if isinstance(limits, dict) else ():
            if name not in on_offer and (likely := intended_resource(name)):
                finding = _nobodys(pod, str(at(container, "name")), name, likely, are_seen=bool(nodes))
                yield Misnomer(finding=finding, bars=True)


def _nobodys(pod: JsonObject, container: str, name: str, likely: str, *, are_seen: bool) -> Finding:
    by_whom = "no node offers that" if are_seen else "no node of Donjon's offers that"
    is_placed = bool(node_name_of(pod))
    why = (
        f"{by_whom}, and a kubelet leaves out what its node has not: the container has nothing of SGX by it"
        if is_placed
        else f"{by_whom}, so the pod stays Pending unless another plugin does"
    )
    return Finding(
        code=MISNAMED,
        # On a node that cannot be seen another's plugin may well have given it.
        severity=Severity.ERROR if are_seen or not is_placed else Severity.WARNING,
        subject=f"container {container}",
        observation=f"asks for {name}, which is no name of SGX",
        why=why,
        do=f"{suggestion(name, likely)} {change(pod)}",
    )


def _elsewhere(pod: JsonObject) -> Iterator[Misnomer]:
    """Names that are nobody's or out of place in its annotations, labels, selectors and tolerations."""
    metadata = {name: at(pod, "metadata", name) for name in _PLACES}
    content: JsonObject = {"metadata": metadata, "spec": at(pod, "spec")}
    thing = Thing(kind="Pod", version="v1", path="", content=content)
    limits = (
        f"/spec/{field}/{index}/resources/{kind}"
        for field in CONTAINER_FIELDS
        for index, _ in enumerate(objects(at(pod, "spec", field)))
        for kind in ("limits", "requests")
    )
    for reason in mentions(thing, (PodTemplate(thing=thing, template="", pod=content),), limits):
        # What chose its node has done so, with whomever's labels.
        if not (reason.finding.code == UNLABELLED and node_name_of(pod)):
            # What stands among labels and annotations keeps no pod from its node.
            bars = reason.finding.code == MISNAMED and not reason.place.startswith("/metadata/")
            finding = replace(reason.finding, do=f"{reason.finding.do} {change(pod)}") if bars else reason.finding
            yield Misnomer(finding=finding, bars=bars)
