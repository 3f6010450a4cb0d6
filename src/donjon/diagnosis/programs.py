"""The webhooks, the attestation service, the metrics server: how many replicas are ready, why others are not, and what else."""

import base64
import binascii
from collections.abc import Iterator
from datetime import datetime

from donjon.admission.policies.all import DEFAULT_PREFIX
from donjon.admission.policies.gaps import bring_back
from donjon.admission.policies.guard import GuardExtent
from donjon.diagnosis.guard import extent
from donjon.diagnosis.installation import (
    ADMISSION,
    ATTESTATION,
    ENCLAVES,
    METRICS,
    DonjonState,
    Row,
    RowState,
    StatusPart,
    unseen,
)
from donjon.diagnosis.meters import meterless
from donjon.diagnosis.own_pods import YES, own_trouble
from donjon.diagnosis.remains import idle_webhook
from donjon.diagnosis.rollout import failure, first_breakdown, go_back, is_of_one_version
from donjon.errors import Malformed
from donjon.findings import Finding, codes
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import LABEL_COMPONENT, LABEL_NAME, OURS
from donjon.kube.objects import count, is_here, name_of
from donjon.pki.serving import parse_authorities

_WHY = {codes.METRICS_SERVER_SILENT: "kubectl top and autoscalers of CPU, memory and EPC get an error: they hold what they have"}
_REPLICAS = {ADMISSION: 2, ENCLAVES: 2, ATTESTATION: 1, METRICS: 2}
"""How many the chart makes, unless its values say otherwise."""
_ENCLAVES, _SUBJECT, _UNJUDGED = f"{DEFAULT_PREFIX}-enclaves", "enclave admission", "DJ386"
_WITHOUT_ENCLAVES = (
    "no pod that asks for SGX is made in namespaces held to their enclaves' identity (DJ375); "
    "in others no policy on enclaves is asked"
)


def webhook(here: DonjonState) -> StatusPart | None:
    """The webhook's replicas and whom the API server trusts for it; where the API server itself wires, what is left of one."""
    if extent(here) is not GuardExtent.WEBHOOK:
        return idle_webhook(here)
    if hidden := unseen("webhook", here.deployments, here.webhooks):
        return hidden
    ready, desired = _replicas(here, ADMISSION)
    trusts, words = _trust(here, DEFAULT_PREFIX)
    rows = (_replica_row("donjon-webhook", ready, desired), _certificate_row(trusts=trusts, words=words))
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


def enclave_admission(here: DonjonState) -> StatusPart | None:
    """What admits by an enclave's identity, and whom the API server trusts for it; nothing where neither is there, or seen."""
    is_registered = here.webhooks.thing(_ENCLAVES) is not None
    if here.deployments.problem or not (here.deployments.of(ENCLAVES) or is_registered):
        return None
    ready, desired = _replicas(here, ENCLAVES)
    trusts, words = (None, "its registration may not be seen") if here.webhooks.problem else _trust(here, _ENCLAVES)
    rows = (_replica_row(_ENCLAVES, ready, desired), _certificate_row(trusts=trusts, words=words))
    findings = (*_few(here, _UNJUDGED, ENCLAVES, _SUBJECT, _WITHOUT_ENCLAVES), *_caveats(here, _UNJUDGED, ENCLAVES, _SUBJECT))
    if trusts is False:
        look = f"see its log: kubectl -n {here.home} logs -l {_selector(ENCLAVES)}"
        do = look if is_registered else bring_back(here.home)
        findings = (
            *findings,
            Finding.error(_UNJUDGED, _SUBJECT, words, f"the API server cannot call it: {_WITHOUT_ENCLAVES}", do),
        )
    summary = f"{ready} of {desired} of {_ENCLAVES} ready"
    return StatusPart(name=_SUBJECT, rows=rows, findings=findings, summary=summary)


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


def metrics_server(here: DonjonState) -> StatusPart | None:
    """The metrics server; nothing where it is not installed, or where Deployments cannot be seen."""
    if here.deployments.problem or not here.deployments.of(METRICS):
        return None
    ready, desired = _replicas(here, METRICS)
    why = "autoscalers on EPC hold what they have; where metrics-server's API leads there, those on CPU and memory do, too"
    few = _few(here, "DJ789", METRICS, "metrics server", why)
    findings = (*few, *_caveats(here, "DJ789", METRICS, "metrics server"), *meterless(here))
    row = _replica_row("donjon-metrics", ready, desired)
    return StatusPart(
        name="metrics server", rows=(row,), findings=findings, summary=f"{ready} of {desired} of donjon-metrics ready"
    )


def _replicas(here: DonjonState, component: str) -> tuple[int, int]:
    """How many are ready, and how many there should be."""
    deployment = here.deployments.first(component)
    return count(deployment, "status", "readyReplicas"), count(deployment, "spec", "replicas")


def _trouble(pod: JsonObject, here: DonjonState) -> str:
    words = own_trouble(pod, here)
    return f"{name_of(pod)}: {words}" if words else ""


def _replica_row(name: str, ready: int, desired: int) -> Row:
    state = RowState.WRONG if not ready else RowState.DOUBTFUL if ready < desired else RowState.WELL
    return Row(name=name, state=state, words=f"{ready} of {desired} ready")


def _certificate_row(*, trusts: bool | None, words: str) -> Row:
    state = {True: RowState.WELL, False: RowState.WRONG, None: RowState.UNKNOWN}[trusts]
    return Row(name="certificate", state=state, words=words)


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
        do = f"{place} scale deployment {name_of(deployment)} --replicas={_REPLICAS[component]}"
    else:
        troubles = (_trouble(pod, here) for pod in here.pods.of(component) if is_here(pod))
        first = next(filter(None, (*troubles, failure(deployment))), "")
        observation = f"{ready} of {desired} are ready{f'; {first}' if first else ''}"
        look = f"{place} logs -l {_selector(component)}, and {place} get pods,events"
        stands = not is_of_one_version(deployment) and first_breakdown(here, component)
        do = f"the upgrade stands still: {go_back(here.home)}; to see more: {look}" if stands else look
        if codes.NO_COLLATERAL in codes.codes_in(first):
            do = _bring_collateral(place, name_of(deployment))
        elif codes.NO_CERTIFICATE_KEPT in codes.codes_in(first):
            do = bring_back(here.home)
    yield report(code, subject, observation, why, do)


def _bring_collateral(place: str, name: str) -> str:
    return (
        "bring what donjon collateral export wrote where there is a way to Intel: "
        f"{place} exec -i deployment/{name} -- donjon collateral import /dev/stdin < collateral.json, then "
        f"{place} rollout restart deployment/{name}"
    )


def _caveats(here: DonjonState, code: str, component: str, subject: str) -> Iterator[Finding]:
    """What pods that are ready have to say all the same, each text once."""
    words = {name_of(pod): "" for pod in here.pods.of(component) if is_here(pod)}
    texts = {here.readiness[name]: name for name in words if here.readiness.get(name, "").startswith(YES)}
    for text, name in texts.items():
        for mark in sorted(codes.codes_in(text))[:1]:
            caveat = recite(text.removeprefix(f"{YES}: "))
            do = bring_back(here.home) if mark == codes.NO_CERTIFICATE_KEPT else f"donjon explain {mark}"
            why = _WHY.get(mark, "it serves on, but not for ever")
            yield Finding.warning(code, subject, f"{name} is ready, and says: {caveat}", why, do)


def _standstill(here: DonjonState, code: str, component: str, subject: str) -> Iterator[Finding]:
    """An upgrade whose new pods do not become ready, while as many as there should be are: those of before."""
    deployment = here.deployments.first(component)
    words = first_breakdown(here, component) or failure(deployment)
    if words:
        yield Finding.warning(
            code,
            subject,
            f"an upgrade of it stands still: {words}",
            "pods of the version before serve on, and what was changed is not in force",
            f"{go_back(here.home)}, or mend what it lacks: kubectl -n {here.home} get pods,events",
        )


def _trust(here: DonjonState, name: str) -> tuple[bool, str]:
    """Whether the API server has what it needs to trust the webhook of that registration, and in words."""
    registration = here.webhooks.thing(name)
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


def _selector(component: str) -> str:
    return f"{LABEL_NAME}={OURS},{LABEL_COMPONENT}={component}"
