"""Whether all is of one version that the API server can bear."""

import re
from collections.abc import Iterator

from donjon.admission.policies.guard import GuardExtent
from donjon.diagnosis.guard import extent
from donjon.diagnosis.installation import NODE, DonjonState, Row, RowState, StatusPart
from donjon.diagnosis.rollout import first_breakdown, go_back, is_of_one_version
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import LABEL_COMPONENT, LABEL_VERSION
from donjon.kube.objects import is_here, labels_of, name_of

LEAST = (1, 30)
"""Of the API server: the first with ValidatingAdmissionPolicy v1."""
LEAST_TO_WIRE = (1, 36)
"""The first with MutatingAdmissionPolicy v1."""

_MINOR = re.compile(r"v?(?P<major>[0-9]{1,4})\.(?P<minor>[0-9]{1,4})")


def versions(here: DonjonState) -> StatusPart:
    """The API server's, this program's, and what runs in the cluster."""
    workloads = (*here.daemon_sets, *here.deployments)
    rows = [
        Row(name="API server", state=RowState.WELL if _bears(here) else RowState.WRONG, words=here.server_version),
        Row(name="donjon", state=RowState.WELL, words=f"{here.client_version}, this program"),
        *(_version_row(each, here) for each in workloads),
    ]
    mixtures = tuple(finding for each in workloads for finding in _mixture(each, here))
    return StatusPart(name="versions", rows=tuple(rows), findings=(*_too_old(here), *mixtures))


def _bears(here: DonjonState) -> bool:
    minor = _minor(here.server_version)
    return minor is None or minor >= (LEAST_TO_WIRE if extent(here) is GuardExtent.POLICIES else LEAST)


def _too_old(here: DonjonState) -> Iterator[Finding]:
    if not _bears(here):
        least = LEAST_TO_WIRE if extent(here) is GuardExtent.POLICIES else LEAST
        yield Finding.error(
            "DJ177",
            "versions",
            f"the API server is {here.server_version}, and Donjon as it is installed needs {least[0]}.{least[1]}",
            "an older one has not the policies that it counts on",
            "set admission.mode=webhook, which needs 1.30" if least == LEAST_TO_WIRE else "use a newer Kubernetes",
        )


def _version_row(workload: JsonObject, here: DonjonState) -> Row:
    """A workload's version and image, and how many of its pods are of another."""
    version, image = labels_of(workload).get(LABEL_VERSION), _image(at(workload, "spec", "template", "spec"))
    others = _others(workload, here)
    strange = ""
    if others:
        strange = f"; {len(others)} of its pods run another: {_image(at(others[0], 'spec'))}"
    elif _is_foreign(workload, here):
        strange = f"; this program is {here.client_version}"
    state = RowState.DOUBTFUL if strange else RowState.WELL
    return Row(name=name_of(workload), state=state, words=f"{recite(version)}, image {image}{strange}")


def _mixture(workload: JsonObject, here: DonjonState) -> Iterator[Finding]:
    row, others = _version_row(workload, here), _others(workload, here)
    if row.state is RowState.DOUBTFUL:
        yield Finding.warning(
            "DJ177",
            "versions",
            f"{row.name} is of several versions: {row.words}",
            "versions that differ are not tested together",
            _to_one_version(workload, others, here) if others else "run the donjon of the cluster's version",
        )


def _others(workload: JsonObject, here: DonjonState) -> list[JsonObject]:
    """The pods of a workload whose image is not that of its template."""
    component, image = str(labels_of(workload).get(LABEL_COMPONENT)), _image(at(workload, "spec", "template", "spec"))
    return [pod for pod in here.pods.of(component) if is_here(pod) and _image(at(pod, "spec")) != image]


def _is_foreign(workload: JsonObject, here: DonjonState) -> bool:
    """Whether the agents are of another version than this program, which compares policies with them."""
    labels = labels_of(workload)
    return labels.get(LABEL_COMPONENT) == NODE and labels.get(LABEL_VERSION) != here.client_version


def _to_one_version(workload: JsonObject, others: list[JsonObject], here: DonjonState) -> str:
    """What brings pods of another image to that of the template: as it goes on, stands still, or waits for somebody."""
    place, pod = f"kubectl -n {here.home}", name_of(others[0])
    if is_of_one_version(workload):
        return (
            f"no upgrade is on its way, so somebody changed the pod, or a webhook of others changes each: {place} delete pod "
            f"{pod} has it made anew"
        )
    if words := first_breakdown(here, str(labels_of(workload).get(LABEL_COMPONENT))):
        return f"the upgrade stands still ({words}): {go_back(here.home)}, or mend what it lacks: donjon explain DJ174"
    if at(workload, "spec", "updateStrategy", "type") == "OnDelete":
        return f"pods stay until somebody deletes them (node.updateStrategy is OnDelete): {place} delete pod {pod}"
    kind = str(at(workload, "kind")).lower()
    return f"let the upgrade come to its end: {place} rollout status {kind}/{name_of(workload)}"


def _minor(version: str) -> tuple[int, int] | None:
    match = _MINOR.match(version)
    return None if match is None else (int(match["major"]), int(match["minor"]))


def _image(spec: Json) -> str:
    containers = objects(at(spec, "containers"))
    return recite(at(containers[0], "image")) if containers else "none"
