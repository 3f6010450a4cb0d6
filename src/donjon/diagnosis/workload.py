"""Why a workload has not the pods that it should: refused before they were made, or made and in trouble."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from donjon.diagnosis.commands import place_of, subject_of
from donjon.diagnosis.explanation import ClusterState, Explanation
from donjon.diagnosis.moments import LONG_AGO, creation, moment_of
from donjon.diagnosis.pod import explain
from donjon.findings import Finding, Severity, is_refusal
from donjon.findings.codes import NOT_WIRED
from donjon.formats.json import JsonObject, at
from donjon.formats.numbers import whole_number
from donjon.formats.words import recite
from donjon.kube.objects import condition_of, count, is_here, is_over, name_of, namespace_of, owners_of, phase_of
from donjon.kube.quantities import amount

FAILED_CREATE = "FailedCreate"  # what every controller calls it
REVISION = "deployment.kubernetes.io/revision"  # counts the ReplicaSets of a Deployment

_CODE = re.compile(r"\bDJ\d{3}\b")
_CONTROLLER = re.compile(
    r"(?:\(combined from similar events\): )?(?:Error creating: |[Cc]reate Pod \S+ in StatefulSet \S+ failed error: )"
)
_FRAME = re.compile(
    r"""(?:pods "[^"]*" is forbidden: )?"""
    r"""(?:ValidatingAdmissionPolicy '[^']*'(?: with binding '[^']*')? denied request"""
    r"""|admission webhook "[^"]*" denied the request): """
)
"""What the controllers and the API server write before the words of whoever refused.

Sources: k8s.io/kubernetes pkg/controller, k8s.io/apiserver pkg/admission/plugin.
"""

_QUOTA = re.compile(r"exceeded quota: (?P<name>[-a-z0-9.]+),")
_AMOUNTS = re.compile(r"requested: (?P<asks>[^ ]{1,1000}), ?used: [^ ]{1,1000}, ?limited: (?P<limits>[^ ]{1,1000})$")
"""k8s.io/apiserver pkg/admission/plugin/resourcequota."""

_WELL = frozenset({"Complete", "SuccessCriteriaMet"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What was asked about, what makes its pods now (a Deployment's newest ReplicaSet, otherwise itself), and those pods."""

    kind: str
    thing: JsonObject
    maker: JsonObject
    pods: tuple[JsonObject, ...]

    @property
    def alive(self) -> int:
        """How many of its pods count: not those that ended, nor those on their way out."""
        return sum(is_here(pod) for pod in self.pods)


def owned(things: Iterable[JsonObject], owner: JsonObject) -> tuple[JsonObject, ...]:
    """The things that belong to an owner."""
    uid = at(owner, "metadata", "uid")
    return tuple(thing for thing in things if any(at(each, "uid") == uid for each in owners_of(thing)))


def newest(replica_sets: Sequence[JsonObject]) -> JsonObject | None:
    """The ReplicaSet that a Deployment rolls out now: the one of the highest revision."""
    return max(replica_sets, key=_revision, default=None)


def latest(jobs: Sequence[JsonObject]) -> JsonObject | None:
    """The Job that a CronJob made last."""
    return max(jobs, key=_birth, default=None)


def explain_cron_job(cron_job: JsonObject, job: JsonObject | None, of_job: Explanation | None) -> Explanation:
    """The verdict on a CronJob: that of the Job that it made last; both `None` where it has none."""
    subject = subject_of("CronJob", cron_job)
    if job is not None and of_job is not None:
        return replace(of_job, subject=f"{subject}, its last Job: {of_job.subject}")
    suspended = at(cron_job, "spec", "suspend") is True
    verdict = (
        "has no Job: it is suspended"
        if suspended
        else f"has no Job now; its schedule is {recite(at(cron_job, 'spec', 'schedule'))}"
    )
    where = f"-n {namespace_of(cron_job)}"
    otherwise = f"to try it at once: kubectl create job {where} --from=cronjob/{name_of(cron_job)} NAME"
    return Explanation(subject=subject, verdict=verdict, well=True, otherwise=otherwise)


def explain_workload(workload: Workload, around: ClusterState) -> Explanation:
    """The verdict on a workload: its refusal where pods are missing, otherwise that of the pod that is worst off."""
    subject = subject_of(workload.kind, workload.thing)
    refusal = _refusal(workload, around.events)
    if refusal is not None:
        verdict = f"has {workload.alive} of {desired_count(workload)} pods: the others are refused before they are made"
        return Explanation(subject=subject, verdict=verdict, well=False, findings=(refusal,))
    over = _terminal_condition(workload)
    explanations = _explanations(workload, around)
    if over is not None and (at(over, "type") in _WELL or not explanations or explanations[0].well):
        return _over(over, workload, subject, no_pods=not explanations)
    if not explanations:
        return _nothing_made(workload, subject)
    of_all = (
        f" ({len(explanations)} pods, {sum(each.well for each in explanations)} of them well)" if len(explanations) > 1 else ""
    )
    return replace(explanations[0], subject=f"{subject}{of_all}: {explanations[0].subject}")


def _explanations(workload: Workload, around: ClusterState) -> list[Explanation]:
    """Of its pods, the one that is worst off first: what is amiss now before what failed and was made again.

    What failed says nothing any more of a workload that has its pods, save of a Job, which counts it.
    """
    counts = workload.kind == "Job" or workload.alive < desired_count(workload)
    present = [pod for pod in workload.pods if counts or not is_over(pod)]
    pairs = [(pod, explain(pod, around)) for pod in present]
    pairs.sort(key=lambda each: (each[1].well, phase_of(each[0]) == "Failed", not is_refusal(each[1].findings)))
    return [explanation for _, explanation in pairs]


def _over(condition: JsonObject, workload: Workload, subject: str, *, no_pods: bool) -> Explanation:
    """A Job that has ended; of pods that it lost and made again nothing more is to be said."""
    well = at(condition, "type") in _WELL
    message = f": {recite(at(condition, 'message'))}" if at(condition, "message") else ""
    pods = "; its pods are gone" if no_pods else ""
    verdict = f"{'ended well' if well else 'failed'}{pods}{message}"
    return Explanation(subject=subject, verdict=verdict, well=well, otherwise="" if well else _job_again(workload.thing))


def _job_again(job: JsonObject) -> str:
    """What to do about a Job that failed and has no pod left that could say why: a Job never begins anew."""
    return (
        f"kubectl describe job {place_of(job)} has its events of the last hour; its pods took their logs along, so delete it and "
        "make it again with restartPolicy: Never, which keeps pods that failed"
    )


def _refusal(workload: Workload, events: Iterable[JsonObject]) -> Finding | None:
    uids = {at(each, "metadata", "uid") for each in (workload.thing, workload.maker)}
    refusals = [event for event in events if at(event, "reason") == FAILED_CREATE and at(event, "involvedObject", "uid") in uids]
    if not refusals or workload.alive >= desired_count(workload) or _terminal_condition(workload):
        return None
    refusal = max(refusals, key=_last_seen)
    if _last_seen(refusal) < max(map(_birth, workload.pods), default=LONG_AGO):
        return None  # It has made one since.
    message = _CONTROLLER.sub("", str(at(refusal, "message") or ""), count=1)
    codes = tuple(dict.fromkeys(_CODE.findall(message)))
    return Finding(
        code="DJ131",
        severity=Severity.ERROR,
        subject=subject_of(str(at(workload.maker, "kind")), workload.maker),
        # Another's policy is to be named.
        observation=f"its pods are refused: {recite(_FRAME.sub('', message) if codes else message)}",
        why="the controller tries again and again with the same template, and says so only in its events",
        do=_next_step(workload, message, codes),
    )


def _next_step(workload: Workload, message: str, codes: Sequence[str]) -> str:
    """What to do about a refusal, by whoever can."""
    own = subject_of(workload.kind, workload.thing)
    if (quota := _QUOTA.search(message)) is not None:
        ending = "" if _is_beyond(message) else "end other pods of the namespace, or "
        return (
            f"{own} is right: have an administrator raise the ResourceQuota {quota['name']}, or {ending}"
            f"ask for less; kubectl describe resourcequota -n {namespace_of(workload.thing)} {quota['name']}"
        )
    if NOT_WIRED.intersection(codes):
        return (
            f"where it says that the pod is not wired, {own} is right, and what wires pods is away: have an administrator "
            "run donjon status, which says what to bring back; else change it as the refusal says; "
            f"donjon explain {codes[0]} says more"
        )
    return f"{_change(workload)}{f'; donjon explain {codes[0]} says more' if codes else ''}"


def _change(workload: Workload) -> str:
    """What is to be changed where a workload is at fault: of a Job the template is fixed, and a CronJob makes its own."""
    own = subject_of(workload.kind, workload.thing)
    if workload.kind != "Job":
        return f"change {own} as the refusal says, and apply it again"
    makers = [each for each in owners_of(workload.thing) if at(each, "kind") == "CronJob"]
    if makers:
        cron_job = f"cronjob {namespace_of(workload.thing)}/{recite(at(makers[0], 'name'))}"
        return f"change {cron_job} as the refusal says, and apply it again: its next Job is made by that"
    where = place_of(workload.thing)
    return (
        f"a Job's template cannot be changed: kubectl delete job {where}, change what it was made from as the refusal says, and "
        "apply that again"
    )


def _is_beyond(message: str) -> bool:
    """Whether what was asked for is more than a quota's whole limit, so that nothing that ends makes room for it."""
    parts = _AMOUNTS.search(message)
    if parts is None:
        return False
    asks, limits = (dict(each.partition("=")[::2] for each in parts[name].split(",")) for name in ("asks", "limits"))
    return any(
        (of := amount(text)) is not None and (most := amount(limits.get(name))) is not None and of > most
        for name, text in asks.items()
    )


def desired_count(workload: Workload) -> int:
    """How many pods there should be now."""
    match workload.kind:
        case "DaemonSet":
            return count(workload.thing, "status", "desiredNumberScheduled", default=1)
        case "Job":
            return _at_once(workload.thing)
        case _:
            return count(workload.maker, "spec", "replicas", default=1)


def _at_once(job: JsonObject) -> int:
    """How many pods of a Job there may be at a time."""
    if at(job, "spec", "suspend") is True:
        return 0
    most, completions = count(job, "spec", "parallelism", default=1), at(job, "spec", "completions")
    left = completions - count(job, "status", "succeeded") if isinstance(completions, int) else most
    return max(min(most, left), 0)


def _nothing_made(workload: Workload, subject: str) -> Explanation:
    if not desired_count(workload):
        suspended = " (it is suspended)" if at(workload.thing, "spec", "suspend") is True else ""
        return Explanation(subject=subject, verdict=f"wants no pods now{suspended}, and has none", well=True)
    plain = workload.kind.lower()
    where = place_of(workload.thing)
    return Explanation(
        subject=subject,
        verdict="has no pods, and no event says why: events are kept for an hour, and its controller may not have come to it yet",
        well=False,
        otherwise=f"kubectl describe {plain} {where}; what its pods would be refused for: kubectl get {plain} {where} -o yaml | "
        "donjon check -",
    )


def _terminal_condition(workload: Workload) -> JsonObject | None:
    """The condition with which a Job is over."""
    if workload.kind != "Job":
        return None
    ends = (condition_of(workload.thing, kind) for kind in ("Complete", "Failed"))
    return next((each for each in ends if each.get("status") == "True"), None)


def _revision(replica_set: JsonObject) -> int:
    return whole_number(at(replica_set, "metadata", "annotations", REVISION)) or 0


def _birth(thing: JsonObject) -> datetime:
    return creation(thing) or LONG_AGO


def _last_seen(event: JsonObject) -> datetime:
    return moment_of(event) or LONG_AGO
