"""Why a workload has not the pods that it should: refused before they were made, or made and in trouble."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from donjon.diagnosis.commands import place_of, subject_of
from donjon.diagnosis.explanation import ClusterState, Explanation
from donjon.diagnosis.jobs import is_at_its_beginning, is_older, job_again, of_failure, of_older_job, of_older_pod, past_deadline
from donjon.diagnosis.moments import LONG_AGO, ago, creation, moment_of
from donjon.diagnosis.pod import explain
from donjon.diagnosis.refusal import next_step
from donjon.findings import Finding, Severity, is_refusal
from donjon.formats.json import JsonObject, at
from donjon.formats.numbers import whole_number
from donjon.formats.words import recite
from donjon.kube.objects import condition_of, count, is_here, is_over, name_of, namespace_of, owners_of, phase_of

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


def latest(jobs: Iterable[JsonObject]) -> list[JsonObject]:
    """The Jobs of a CronJob, the one that it made last first."""
    return sorted(jobs, key=_birth, reverse=True)


def explain_cron_job(cron_job: JsonObject, jobs: Sequence[tuple[JsonObject, Explanation]]) -> Explanation:
    """The verdict on a CronJob: that of the Job that it made last, or of the one before as long as the last has not come far.

    `jobs` are its Jobs with their verdicts, the last first, as far as they are needed: two are enough.
    """
    subject = subject_of("CronJob", cron_job)
    if jobs:
        (job, of_job), *before = jobs
        which = "its last Job"
        if before and is_at_its_beginning(job, of_job) and _says_more(cron_job, *before[0]):
            (job, of_job), which = before[0], f"the Job before its last ({name_of(job)}, which has not come far)"
        answer = replace(of_job, subject=f"{subject}, {which}: {of_job.subject}")
        return answer if of_job.well else of_older_job(cron_job, job, answer)
    suspended = at(cron_job, "spec", "suspend") is True
    verdict = (
        "has no Job: it is suspended"
        if suspended
        else f"has no Job now; its schedule is {recite(at(cron_job, 'spec', 'schedule'))}"
    )
    where = f"-n {namespace_of(cron_job)}"
    otherwise = f"to try it at once: kubectl create job {where} --from=cronjob/{name_of(cron_job)} NAME"
    return Explanation(subject=subject, verdict=verdict, well=True, otherwise=otherwise)


def _says_more(cron_job: JsonObject, job: JsonObject, of_job: Explanation) -> bool:
    """Whether the Job before is in trouble, and made as the CronJob is now."""
    return is_refusal(of_job.findings) and not is_older(cron_job, job)


def explain_workload(workload: Workload, around: ClusterState) -> Explanation:
    """The verdict on a workload: its refusal where pods are missing, otherwise that of the pod that is worst off."""
    subject = subject_of(workload.kind, workload.thing)
    refusal = _refusal(workload, around.events, around.moment)
    if refusal is not None:
        verdict = f"has {workload.alive} of {desired_count(workload)} pods: the others are refused before they are made"
        return Explanation(subject=subject, verdict=verdict, well=False, findings=(refusal,))
    over = _terminal_condition(workload)
    pairs = _explanations(workload, around)
    if over is not None and (at(over, "type") in _WELL or past_deadline(over) or not pairs or pairs[0][1].well):
        return _over(over, workload, subject, no_pods=not pairs)
    if not pairs:
        return _nothing_made(workload, subject)
    pod, worst = pairs[0]
    of_all = f" ({len(pairs)} pods, {sum(each.well for _, each in pairs)} of them well)" if len(pairs) > 1 else ""
    answer = replace(worst, subject=f"{subject}{of_all}: {worst.subject}")
    if over is not None:
        return of_failure(workload.thing, over, answer)
    return of_older_pod(workload.thing, pod, answer) if workload.kind == "StatefulSet" and not answer.well else answer


def _explanations(workload: Workload, around: ClusterState) -> list[tuple[JsonObject, Explanation]]:
    """Of its pods, the one that is worst off first: what is amiss now before what failed and was made again.

    What failed says nothing any more of a workload that has its pods, save of a Job, which counts it.
    """
    counts = workload.kind == "Job" or workload.alive < desired_count(workload)
    present = [pod for pod in workload.pods if counts or not is_over(pod)]
    pairs = [(pod, explain(pod, around)) for pod in present]
    pairs.sort(key=lambda each: (each[1].well, phase_of(each[0]) == "Failed", not is_refusal(each[1].findings)))
    return pairs


def _over(condition: JsonObject, workload: Workload, subject: str, *, no_pods: bool) -> Explanation:
    """A Job that has ended; of pods that it lost and made again nothing more is to be said."""
    well = at(condition, "type") in _WELL
    message = f": {recite(at(condition, 'message'))}" if at(condition, "message") else ""
    pods = "; its pods are gone" if no_pods else ""
    verdict = f"{'ended well' if well else 'failed'}{pods}{message}"
    return Explanation(
        subject=subject, verdict=verdict, well=well, otherwise="" if well else job_again(workload.thing, condition)
    )


def _refusal(workload: Workload, events: Iterable[JsonObject], now: datetime) -> Finding | None:
    uids = {at(each, "metadata", "uid") for each in (workload.thing, workload.maker)}
    refusals = [event for event in events if at(event, "reason") == FAILED_CREATE and at(event, "involvedObject", "uid") in uids]
    if not refusals or workload.alive >= desired_count(workload) or _terminal_condition(workload):
        return None
    refusal = max(refusals, key=_last_seen)
    if _last_seen(refusal) < max(map(_birth, workload.pods), default=LONG_AGO):
        return None  # It has made one since.
    message = _CONTROLLER.sub("", str(at(refusal, "message") or ""), count=1)
    codes = tuple(dict.fromkeys(_CODE.findall(message)))
    words = _FRAME.sub("", message) if codes else message  # Another's policy is to be named.
    when = ago(moment_of(refusal), now)  # What is mended is tried again only after the controller's back-off.
    return Finding(
        code="DJ131",
        severity=Severity.ERROR,
        subject=subject_of(str(at(workload.maker, "kind")), workload.maker),
        observation=f"its pods are refused{f' (last{when})' if when else ''}: {recite(words)}",
        why="the controller tries again and again with the same template, and says so only in its events",
        do=next_step(workload.kind, workload.thing, message, codes),
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
