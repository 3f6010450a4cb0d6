"""The webhook, the attestation service, and whether all is of one version that the API server can bear."""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime

from donjon.admission.policies.all import DEFAULT_PREFIX
from donjon.admission.policies.gaps import bring_back
from donjon.admission.policies.guard import GuardExtent
from donjon.diagnosis.agents import is_rolled_out
from donjon.diagnosis.guard import extent
from donjon.diagnosis.installation import (
    ADMISSION,
    ATTESTATION,
    NODE,
    DonjonState,
    Row,
    RowState,
    StatusPart,
    unseen,
)
from donjon.diagnosis.own_pods import breakdown, go_back, is_here, pod_trouble
from donjon.errors import Malformed
from donjon.findings import Finding, codes
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import LABEL_COMPONENT, LABEL_NAME, LABEL_VERSION, OURS
from donjon.pki.serving import parse_authorities

LEAST = (1, 30)
"""Of the API server: the first with ValidatingAdmissionPolicy v1."""
LEAST_TO_WIRE = (1, 36)
"""The first with MutatingAdmissionPolicy v1."""

_REPLICAS = {ADMISSION: 2, ATTESTATION: 1}
"""How many the chart makes, unless its values say otherwise."""

_YES = "ok"
"""How the text of `/readyz` begins where a program is ready; what it has to say all the same follows."""

_MINOR = re.compile(r"v?(?P<major>[0-9]{1,4})\.(?P<minor>[0-9]{1,4})")


def webhook(here: DonjonState) -> StatusPart | None:
    """The webhook's replicas and whom the API server trusts for it; nothing in a cluster where the API server itself wires."""
    if extent(here) is not GuardExtent.WEBHOOK:
        return None
    if hidden := unseen("webhook", here.deployments, here.webhooks):
        return hidden
    ready, desired = _replicas(here, ADMISSION)
    trusts, words = _trust(here)
    rows = (
        _replica_row("donjon-webhook", ready, desired),
        Row(name="certificate", state=RowState.WELL if trusts else RowState.WRONG, words=words),
    )
    few = _few(here, "DJ175", ADMISSION, "webhook", "pods that ask for SGX are refused while none is ready")
    findings = (*few, *_caveats(here, "DJ175", ADMISSION, "webhook"))
    if not trusts and here.webhooks.thing(DEFAULT_PREFIX):  # Where the registration is gone, the guard tells it.
        untrusted = Finding.error(
            "DJ175",
            "webhook",
            words,
            "the API server cannot call it, and refuses pods that ask",
            f"see the webhook's log: kubectl -n {here.home} logs -l {_selector(ADMISSION)}",
        )
        findings = (*findings, untrusted)
    return StatusPart(name="webhook", rows=rows, findings=findings, summary=f"{ready} of {desired} replicas of the webhook ready")


def attestation(here: DonjonState) -> StatusPart | None:
    """The attestation service and the one cause why it is not ready; nothing where it is not installed."""
    if hidden := unseen("attestation service", here.deployments):
        return hidden
    if not here.deployments.of(ATTESTATION):
        return None
    ready, desired = _replicas(here, ATTESTATION)
    few = _few(here, "DJ176", ATTESTATION, "attestation", "no quote is judged, and no token given, while none is ready")
    findings = (*few, *_caveats(here, "DJ176", ATTESTATION, "attestation"))
    row = _replica_row("donjon-attestation", ready, desired)
    return StatusPart(name="attestation", rows=(row,), findings=findings, summary=f"{ready} of {desired} of attestation ready")


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


def _replicas(here: DonjonState, component: str) -> tuple[int, int]:
    """How many are ready, and how many there should be."""
    deployment = here.deployments.first(component)
    ready, desired = at(deployment, "status", "readyReplicas"), at(deployment, "spec", "replicas")
    return ready if isinstance(ready, int) else 0, desired if isinstance(desired, int) else 0


def _trouble(pod: JsonObject, here: DonjonState) -> str:
    name = str(at(pod, "metadata", "name"))
    words = pod_trouble(pod, here.moment, here.nodes)
    no = here.readiness.get(name, _YES)
    return f"{name}: {words if no.startswith(_YES) else recite(no)}" if words else ""


def _replica_row(name: str, ready: int, desired: int) -> Row:
    state = RowState.WRONG if not ready else RowState.DOUBTFUL if ready < desired else RowState.WELL
    return Row(name=name, state=state, words=f"{ready} of {desired} ready")


def _few(here: DonjonState, code: str, component: str, subject: str, why: str) -> Iterator[Finding]:
    ready, desired = _replicas(here, component)
    if ready and ready >= desired:
        yield from _standstill(here, code, component, subject)
        return
    report = Finding.warning if ready else Finding.error
    place = f"kubectl -n {here.home}"
    deployment = here.deployments.first(component)
    if deployment is None:
        observation, do = "its Deployment is gone", bring_back(here.home)
    elif not desired:
        observation = "its Deployment is scaled to 0"
        do = f"{place} scale deployment {at(deployment, 'metadata', 'name')} --replicas={_REPLICAS[component]}"
    else:
        troubles = (_trouble(pod, here) for pod in here.pods.of(component) if is_here(pod))
        first = next(filter(None, (*troubles, _failure(deployment))), "")
        observation = f"{ready} of {desired} are ready{f'; {first}' if first else ''}"
        look = f"{place} logs -l {_selector(component)}, and {place} get pods,events"
        stands = not _is_of_one_version(deployment) and _broken(here, component)
        do = f"the upgrade stands still: {go_back(here.home)}; to see more: {look}" if stands else look
        if codes.NO_COLLATERAL in codes.codes_in(first):
            do = _bring_collateral(place, str(at(deployment, "metadata", "name")))
    yield report(code, subject, observation, why, do)


def _bring_collateral(place: str, name: str) -> str:
    return (
        "bring what donjon collateral export wrote where there is a way to Intel: "
        f"{place} exec -i deployment/{name} -- donjon collateral import /dev/stdin < collateral.json, then "
        f"{place} rollout restart deployment/{name}"
    )


def _caveats(here: DonjonState, code: str, component: str, subject: str) -> Iterator[Finding]:
    """What pods that are ready have to say all the same, each text once."""
    words = {str(at(pod, "metadata", "name")): "" for pod in here.pods.of(component) if is_here(pod)}
    texts = {here.readiness[name]: name for name in words if here.readiness.get(name, "").startswith(_YES)}
    for text, name in texts.items():
        for mark in sorted(codes.codes_in(text))[:1]:
            caveat = recite(text.removeprefix(f"{_YES}: "))
            do = bring_back(here.home) if mark == codes.NO_CERTIFICATE_KEPT else f"donjon explain {mark}"
            yield Finding.warning(code, subject, f"{name} is ready, and says: {caveat}", "it serves on, but not for ever", do)


def _standstill(here: DonjonState, code: str, component: str, subject: str) -> Iterator[Finding]:
    """An upgrade whose new pods do not become ready, while as many as there should be are: those of before."""
    deployment = here.deployments.first(component)
    words = _broken(here, component) or _failure(deployment)
    if words:
        yield Finding.warning(
            code,
            subject,
            f"an upgrade of it stands still: {words}",
            "pods of the version before serve on, and what was changed is not in force",
            f"{go_back(here.home)}, or mend what it lacks: kubectl -n {here.home} get pods,events",
        )


def _broken(here: DonjonState, component: str) -> str:
    """The first pod of a program that waiting does not mend, and why; empty where there is none."""
    broken = ((pod, breakdown(pod, here.moment)) for pod in here.pods.of(component) if is_here(pod))
    return next((f"{at(pod, 'metadata', 'name')}: {words}" for pod, words in broken if words), "")


def _failure(deployment: JsonObject | None) -> str:
    """What the Deployment itself says that it cannot do: make a pod, or come to its newest version in time."""
    wrong = {"ReplicaFailure": "True", "Progressing": "False"}
    conditions = objects(at(deployment, "status", "conditions"))
    return next(
        (recite(at(each, "message")) for each in conditions if wrong.get(str(at(each, "type"))) == at(each, "status")), ""
    )


def _trust(here: DonjonState) -> tuple[bool, str]:
    """Whether the API server has what it needs to trust the webhook, and in words."""
    registration = here.webhooks.thing(DEFAULT_PREFIX)
    bundles = [at(hook, "clientConfig", "caBundle") for hook in objects(at(registration, "webhooks"))]
    if not bundles:
        return False, "the API server has no registration of the webhook"
    if not all(bundles):
        return False, "the API server knows no authority for the webhook (caBundle is empty)"
    ends = [_ends(bundle) for bundle in bundles]
    if None in ends:
        return False, "the webhook's caBundle is no certificate"
    end = min(each for each in ends if each is not None)
    if end <= here.moment:
        return False, f"the authority of the webhook's certificate ended at {end:%Y-%m-%d %H:%M} UTC"
    return True, f"the API server trusts its authority, which ends at {end:%Y-%m-%d %H:%M} UTC"


def _ends(bundle: Json) -> datetime | None:
    """When the last of its authorities ends: while certificates change over there are several."""
    try:
        authorities = parse_authorities(base64.b64decode(str(bundle), validate=True))
    except (Malformed, binascii.Error):
        return None
    return max((each.ends for each in authorities), default=None)


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
    version, image = at(workload, "metadata", "labels", LABEL_VERSION), _image(at(workload, "spec", "template", "spec"))
    others = _others(workload, here)
    strange = ""
    if others:
        strange = f"; {len(others)} of its pods run another: {_image(at(others[0], 'spec'))}"
    elif _is_foreign(workload, here):
        strange = f"; this program is {here.client_version}"
    state = RowState.DOUBTFUL if strange else RowState.WELL
    return Row(name=str(at(workload, "metadata", "name")), state=state, words=f"{recite(version)}, image {image}{strange}")


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
    component, image = str(at(workload, "metadata", "labels", LABEL_COMPONENT)), _image(at(workload, "spec", "template", "spec"))
    return [pod for pod in here.pods.of(component) if is_here(pod) and _image(at(pod, "spec")) != image]


def _is_foreign(workload: JsonObject, here: DonjonState) -> bool:
    """Whether the agents are of another version than this program, which compares policies with them."""
    labels = at(workload, "metadata", "labels")
    return at(labels, LABEL_COMPONENT) == NODE and at(labels, LABEL_VERSION) != here.client_version


def _to_one_version(workload: JsonObject, others: list[JsonObject], here: DonjonState) -> str:
    """What brings pods of another image to that of the template: as it goes on, stands still, or waits for somebody."""
    place, pod = f"kubectl -n {here.home}", at(others[0], "metadata", "name")
    if _is_of_one_version(workload):
        return (
            f"no upgrade is on its way, so somebody changed the pod, or a webhook of others changes each: {place} delete pod "
            f"{pod} has it made anew"
        )
    if words := _broken(here, str(at(workload, "metadata", "labels", LABEL_COMPONENT))):
        return f"the upgrade stands still ({words}): {go_back(here.home)}, or mend what it lacks: donjon explain DJ174"
    if at(workload, "spec", "updateStrategy", "type") == "OnDelete":
        return f"pods stay until somebody deletes them (node.updateStrategy is OnDelete): {place} delete pod {pod}"
    kind = str(at(workload, "kind")).lower()
    return f"let the upgrade come to its end: {place} rollout status {kind}/{at(workload, 'metadata', 'name')}"


def _is_of_one_version(workload: JsonObject | None) -> bool:
    """Whether its controller holds all its pods for its newest version."""
    if at(workload, "metadata", "labels", LABEL_COMPONENT) == NODE:
        return workload is not None and is_rolled_out(workload)
    status = at(workload, "status")
    whole = at(status, "updatedReplicas") == at(status, "replicas") and not _failure(workload)
    return at(status, "observedGeneration") == at(workload, "metadata", "generation") and whole


def _minor(version: str) -> tuple[int, int] | None:
    match = _MINOR.match(version)
    return None if match is None else (int(match["major"]), int(match["minor"]))


def _image(spec: Json) -> str:
    containers = objects(at(spec, "containers"))
    return recite(at(containers[0], "image")) if containers else "none"


def _selector(component: str) -> str:
    return f"{LABEL_NAME}={OURS},{LABEL_COMPONENT}={component}"
