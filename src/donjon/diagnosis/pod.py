"""Why a pod does not run, or runs without its device: from what the cluster says to a verdict, its reasons and the next step."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from donjon.admission.codes import UNLABELLED
from donjon.diagnosis.claims import missing_claims
from donjon.diagnosis.commands import MAX_NAMES, describe, node_of, remake, subject_of
from donjon.diagnosis.distance import out_of_order
from donjon.diagnosis.enclave import closed_device, perhaps_closed_device, silent_aesm, small_epc
from donjon.diagnosis.endings import endings, never_ran, of_container, refusals, stuck
from donjon.diagnosis.epc import in_use, over_use, report_of
from donjon.diagnosis.events import start_words, while_running, while_starting
from donjon.diagnosis.explanation import ClusterState, Explanation, conclude, unseen
from donjon.diagnosis.misnomers import host_devices, misnomer_findings, misnomers
from donjon.diagnosis.pending import in_the_way, of_placement
from donjon.diagnosis.running import (
    before_start,
    node_under,
    not_accounted,
    out_of_touch,
    over_capacity,
    under,
    without_device,
)
from donjon.diagnosis.scheduler_words import read_sentence
from donjon.findings import Finding, Severity, is_refusal
from donjon.findings.codes import UNREADY_NODE
from donjon.fleet.placement import NodeView, Obstacle, amount_text, look
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite
from donjon.kube.names import DEVICES, EPC, FOREIGN_EPC
from donjon.kube.objects import condition_of, node_name_of, phase_of
from donjon.kube.reserved import epc_total, pod_requests

MAX_FINDINGS = 50
"""That an answer has: whoever made the pod could make as many as an object has room for."""
BY_KUBELET = ("Evicted", "UnexpectedAdmissionError", "OutOf", "NodeAffinity", "Preempting", "NodeShutdown", "Terminated")
"""How the kubelet's own reasons begin for a pod that it ended or did not take."""
_NO_DEVICE = "no healthy devices present"
"""k8s.io/kubernetes pkg/kubelet/cm/devicemanager: its plugin had not come back yet."""


def explain(pod: JsonObject, around: ClusterState) -> Explanation:
    """The verdict on one pod, with the first `MAX_FINDINGS` of what is to be said of it."""
    whole = _with_epc(pod, around, _whole(pod, around))
    count = len(whole.findings)
    if count <= MAX_FINDINGS:
        return whole
    verdict = f"{whole.verdict} (the first {MAX_FINDINGS} of {count} findings follow)"
    return replace(whole, verdict=verdict, findings=whole.findings[:MAX_FINDINGS])


def _whole(pod: JsonObject, around: ClusterState) -> Explanation:
    if at(pod, "metadata", "deletionTimestamp") is not None:
        return _leaving(pod, around)
    if not concerns_sgx(pod):
        return _ordinary(pod, around)
    phase = phase_of(pod)
    return _BY_PHASE.get(phase, _unknown)(pod, around)


def _with_epc(pod: JsonObject, around: ClusterState, whole: Explanation) -> Explanation:
    """The same with what its enclaves hold, which makes no verdict another."""
    report = report_of(pod, around.reports)
    if report is None:
        return whole
    epc, warnings = in_use(pod, report), over_use(pod, report)
    return replace(whole, findings=(*whole.findings, *warnings), epc=epc, epc_source=report.source)


def _leaving(pod: JsonObject, around: ClusterState) -> Explanation:
    if not node_name_of(pod) or not out_of_touch(pod, around.nodes):
        return conclude(pod, "is being deleted", otherwise="wait, and look at the pod that comes after it")
    node = node_of(pod)
    findings = tuple(
        replace(
            finding,
            why="a pod is gone once its kubelet says that it has ended, and until then a StatefulSet makes no other",
            do=f"have an administrator bring {node} back, or take it out of the cluster where it is off for good (kubectl delete "
            f"node {node})",
        )
        for finding in under(pod, around.nodes)
    )
    return conclude(pod, f"is being deleted, and stays: {findings[0].subject}: {findings[0].observation}", findings)


def concerns_sgx(pod: JsonObject) -> bool:
    """Whether a pod asks for EPC under any name, or for a device."""
    return epc_total(pod) > 0 or any(device in pod_requests(pod) for device in DEVICES)


def _ordinary(pod: JsonObject, around: ClusterState) -> Explanation:
    """One that asks for nothing of SGX, or only by names that are none of it."""
    phase = phase_of(pod)
    trouble = next(iter((*stuck(pod, around.moment), *_ends(pod, around))), None)
    names = misnomer_findings(pod, around.nodes)
    if names:
        words = f"{_place(pod, phase)}: {names[0].subject} {names[0].observation}{_also(trouble)}"
        return conclude(pod, words, names, scheduler=recite(_scheduler(pod)))
    well = phase in {"Running", "Succeeded"} and trouble is None
    devices = tuple(host_devices(pod))
    if devices:
        words = f"{_place(pod, phase)}: it {devices[0].observation}, and asks for nothing of SGX{_also(trouble)}"
        return conclude(pod, words, devices, well=well, scheduler=recite(_scheduler(pod)))
    return Explanation(
        subject=subject_of("pod", pod),
        verdict=f"asks for nothing of SGX, so nothing of it is in its way (phase {recite(phase)}{_also(trouble)})",
        well=well,
        otherwise="" if well else trouble.do if trouble else describe(pod),
    )


def _place(pod: JsonObject, phase: str) -> str:
    """How far a pod came that has nothing of SGX."""
    return "is Pending" if phase == "Pending" else f"has nothing of SGX on {node_of(pod)} (phase {recite(phase)})"


def _also(trouble: Finding | None) -> str:
    return f"; {trouble.observation}" if trouble else ""


def _succeeded(pod: JsonObject, _around: ClusterState) -> Explanation:
    return conclude(pod, f"ended well on {node_of(pod)}", well=True)


def _failed(pod: JsonObject, around: ClusterState) -> Explanation:
    reason, message = (str(at(pod, "status", field) or "") for field in ("reason", "message"))
    if reason.startswith(BY_KUBELET):
        again = remake(pod)
        finding = Finding(
            code="DJ137",
            severity=Severity.ERROR,
            subject=f"node {node_of(pod)}",
            observation=f"the kubelet ended it: {recite(reason)}: {recite(message) or 'no message'}",
            why=f"{_meaning(message)}a pod that the kubelet ended never starts again; only whoever made it can make another",
            do=f"put right what the message says, then {again}",
        )
        return conclude(pod, f"failed: {finding.observation}", (finding,))
    unknown = of_container("", f"failed: {recite(reason)} {recite(message)}".rstrip(), "no container says why", describe(pod))
    unstarted = tuple(stuck(pod, around.moment))
    findings = tuple(_ends(pod, around)) or (() if unstarted else (unknown,))
    return conclude(
        pod,
        f"failed on {node_of(pod)}: {(*unstarted, *findings)[0].observation}",
        (
            *unstarted,
            *_closed(pod, around),
            *findings,
            *misnomer_findings(pod, around.nodes),
            *_of_its_enclave(pod, around),
            *unseen(around.no_nodes),
        ),
    )


def _ends(pod: JsonObject, around: ClusterState) -> Iterator[Finding]:
    return endings(pod, around.moment, around.events)


def _meaning(message: str) -> str:
    """What is behind the kubelet's words, where they do not say it."""
    if _NO_DEVICE not in message:
        return ""
    return "its node's agent or kubelet had just started, and had no device to give at that moment; "


def _running(pod: JsonObject, around: ClusterState) -> Explanation:
    unstarted, ends = tuple(stuck(pod, around.moment)), tuple(_ends(pod, around))
    of_node = tuple(under(pod, around.nodes))
    causes = refusals(pod, around.moment, around.events)
    others = [event for event in around.events if event not in causes]
    of_events = while_running(pod, others, around.moment, is_explained=bool(unstarted or ends))
    findings = (
        *without_device(pod, around.events),
        *not_accounted(pod, around.events),
        *of_node,
        *unstarted,
        *_closed(pod, around),
        *ends,
        *(each for each in of_events if not (of_node and each.code == of_node[0].code)),
        *misnomer_findings(pod, around.nodes),
        *_of_its_enclave(pod, around),
        *over_capacity(pod, around.nodes, around.pods),
    )
    hidden = tuple(unseen(around.no_nodes))
    if is_refusal(findings):
        how = "was given to {}" if never_ran(pod, around.moment) else "runs on {}, but not as it should"
        return conclude(pod, f"{how.format(node_of(pod))}: {_worst(findings)}", (*findings, *hidden))
    requested = epc_total(pod)
    holding = (
        f"{amount_text(EPC, pod_requests(pod)[EPC])} of EPC" if requested and EPC in pod_requests(pod) else "no EPC of its own"
    )
    worse = next((each for each in findings if each.severity is not Severity.INFO), None)
    but = f"; but {worse.subject}: {worse.observation}" if worse else "; no event says otherwise"
    blind = "; its node could not be looked at" if hidden else ""
    verdict = f"runs on {node_of(pod)} with its device and {holding}{but}{blind}"
    return conclude(pod, verdict, (*findings, *hidden), well=True)


def _worst(findings: Iterable[Finding]) -> str:
    """What the first says that is no mere warning."""
    first = next(each for each in findings if each.severity is Severity.ERROR)
    return f"{first.subject}: {first.observation}" if first.code == UNREADY_NODE else first.observation


def _pending(pod: JsonObject, around: ClusterState) -> Explanation:
    if node_name_of(pod):
        return _starting(pod, around)
    if around.no_nodes:
        return _unplaced(pod, around)
    views = look(pod, around.nodes, around.pods)
    names = misnomers(pod, around.nodes)
    nobodys = tuple(each.finding for each in names if each.bars)
    claims = tuple(missing_claims(pod, _scheduler(pod)))
    others = in_the_way(pod, views, around.pods) or (() if nobodys or claims else _scheduler_alone(pod, views, around))
    reasons = (*claims, *nobodys, *others)
    besides = tuple(each.finding for each in names if not each.bars)
    # A label that nobody writes is what is to be changed, where the pod's own words leave out every node.
    unwritten = tuple(each for each in besides if each.code == UNLABELLED and _selects_none(views))
    findings = (*unwritten, *reasons, *(each for each in besides if each not in unwritten))
    return Explanation(
        subject=subject_of("pod", pod),
        verdict=f"is Pending: {reasons[0].observation}",
        well=False,
        findings=(*findings, *unseen(around.no_nodes, around.own_pods_only)),
        nodes=views,
        scheduler=recite(_scheduler(pod)),
    )


def _selects_none(views: Sequence[NodeView]) -> bool:
    """Whether the pod's own selector or affinity leaves out every node."""
    return bool(views) and all(Obstacle.SELECTION in view.obstacles for view in views)


def _unplaced(pod: JsonObject, around: ClusterState) -> Explanation:
    """Where the nodes cannot be seen the scheduler's sentence is all that is known of them."""
    sentence, asks = _scheduler(pod), _asks(pod)
    reading = read_sentence(pod, sentence, around.pods)
    says = reading.summary if reading else f"the scheduler says: {recite(sentence) or 'nothing yet'}"
    findings = (*missing_claims(pod, _scheduler(pod)), *misnomer_findings(pod, ()), *(reading.findings if reading else ()))
    verdict = f"is Pending: asks for {asks}; {says}" if asks else f"is Pending; {says}"
    hidden = unseen(around.no_nodes, around.own_pods_only)
    return conclude(pod, verdict, (*findings, *hidden), scheduler=recite(sentence))


def _asks(pod: JsonObject) -> str:
    """What of SGX a pod asks for."""
    requests = pod_requests(pod)
    epc = [f"{amount_text(EPC, requests[EPC])} of EPC"] if requests.get(EPC) else []
    foreign = [f"{amount_text(name, requests[name])} of {name}" for name in FOREIGN_EPC if requests.get(name)]
    devices = [name.rpartition("/")[2] for name in DEVICES if requests.get(name)]
    return ", ".join((*epc, *foreign, *(f"the {device} device" for device in devices)))


def _starting(pod: JsonObject, around: ClusterState) -> Explanation:
    of_node = tuple(before_start(pod, around.nodes))
    unstarted, ends = tuple(stuck(pod, around.moment)), tuple(_ends(pod, around))
    of_events = while_starting(pod, around.events, around.moment, is_explained=bool(of_node or unstarted or ends))
    findings = (*of_node, *unstarted, *_closed(pod, around), *ends, *of_events, *_of_its_enclave(pod, around))
    message = _worst(findings) if is_refusal(findings) else start_words(pod, around.moment)
    verdict = f"was given to {node_of(pod)}: {message}"
    return conclude(pod, verdict, (*findings, *unseen(around.no_nodes)), otherwise=describe(pod))


def _closed(pod: JsonObject, around: ClusterState) -> Iterator[Finding]:
    """Whether its programs, once they ran, found their device closed."""
    if not never_ran(pod, around.moment):
        yield from closed_device(pod, node_under(pod, around.nodes))


def _of_its_enclave(pod: JsonObject, around: ClusterState) -> Iterator[Finding]:
    """What pod and node say of why it may make no enclave; nothing where no program of it has run."""
    if never_ran(pod, around.moment):
        return
    node = node_under(pod, around.nodes)
    yield from perhaps_closed_device(pod, node)
    yield from silent_aesm(pod, node)
    yield from small_epc(pod)


def _unknown(pod: JsonObject, _around: ClusterState) -> Explanation:
    return conclude(
        pod,
        f"is in phase {recite(phase_of(pod))} on {node_of(pod)}: its node does not answer",
        otherwise=f"kubectl describe node {node_of(pod)}",
    )


_BY_PHASE: Mapping[str, Callable[[JsonObject, ClusterState], Explanation]] = {
    "Pending": _pending,
    "Running": _running,
    "Succeeded": _succeeded,
    "Failed": _failed,
}


def _scheduler(pod: JsonObject) -> str:
    """The message of the pod's condition PodScheduled; empty where the scheduler has said nothing."""
    verdict = condition_of(pod, "PodScheduled")
    return str(verdict.get("message") or verdict.get("reason") or "")


def _scheduler_alone(pod: JsonObject, views: Sequence[NodeView], around: ClusterState) -> tuple[Finding, ...]:
    """Some node looks right from here: then the reason is one that only the scheduler knows, such as a volume's node.

    It may keep the pod to a node that is not in order: what is the matter there is told, too.
    """
    words, free = _scheduler(pod), next(view.name for view in views if not view.against)
    others = in_the_way(pod, out_of_order(views), around.pods) if words and out_of_order(views) else ()
    names = " or ".join(view.name for view in out_of_order(views)[:MAX_NAMES])
    return (
        of_placement(
            "DJ138",
            f"the scheduler says: {recite(words)}" if words else "no scheduler has said anything yet",
            f"SGX is not in the way: {free} has the EPC, the devices and the right for it; what keeps it from there is not "
            "looked at here: the node of its volume, affinity between pods, spreading, priority",
            f"{describe(pod)}{f'; where that keeps it to {names}, {others[0].do}' if others else ''}",
        ),
        *others,
    )
