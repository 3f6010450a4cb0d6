"""Why a workload has not the pods that it should: refused before they were made, or made and in trouble."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from donjon.findings import Finding, Severity
from donjon.fleet.why import Around, Explanation, explain, subject_of
from donjon.kube.json import JsonObject, at, objects

FAILED_CREATE = "FailedCreate"  # what every controller calls it
REVISION = "deployment.kubernetes.io/revision"  # counts the ReplicaSets of a Deployment

_CODE = re.compile(r"\bDJ\d{3}\b")
_FRAME = re.compile(r"^Error creating: |ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What was asked about, what makes its pods now (a Deployment's newest ReplicaSet, otherwise itself), and those pods."""

    kind: str
    thing: JsonObject
    maker: JsonObject
    pods: tuple[JsonObject, ...]


def owned(things: Iterable[JsonObject], owner: JsonObject) -> tuple[JsonObject, ...]:
    """The things that belong to an owner."""
    uid = at(owner, "metadata", "uid")
    return tuple(
        thing for thing in things if any(at(each, "uid") == uid for each in objects(at(thing, "metadata", "ownerReferences")))
    )


def newest(replica_sets: Sequence[JsonObject]) -> JsonObject | None:
    """The ReplicaSet that a Deployment rolls out now: the one of the highest revision."""
    return max(replica_sets, key=_revision, default=None)


def explain_workload(workload: Workload, around: Around) -> Explanation:
    """The verdict on a workload: its refusal where pods are missing, otherwise that of the pod that is worst off."""
    subject = subject_of(workload.kind, workload.thing)
    refusal = _refusal(workload, around.events)
    if refusal is not None:
        return Explanation(subject=subject, verdict=_refused(workload), well=False, findings=(refusal,))
    told = sorted((explain(pod, around) for pod in workload.pods), key=lambda each: each.well)
    if not told:
        return _nothing_made(workload, subject)
    of_all = f" ({len(told)} pods, {sum(each.well for each in told)} of them well)" if len(told) > 1 else ""
    return replace(told[0], subject=f"{subject}{of_all}: {told[0].subject}")


def _refusal(workload: Workload, events: Iterable[JsonObject]) -> Finding | None:
    uids = {at(each, "metadata", "uid") for each in (workload.thing, workload.maker)}
    refused = [event for event in events if at(event, "reason") == FAILED_CREATE and at(event, "involvedObject", "uid") in uids]
    if not refused or len(workload.pods) >= wanted(workload) or _ended(workload):
        return None
    message = str(at(max(refused, key=_moment), "message") or "")
    codes = " ".join(dict.fromkeys(_CODE.findall(message)))
    explain_it = f"; donjon explain {codes.split()[0]} says more" if codes else ""
    return Finding(
        code="DJ131",
        severity=Severity.ERROR,
        subject=subject_of(str(at(workload.maker, "kind") or workload.kind), workload.maker),
        found=f"its pods are refused: {_FRAME.sub('', message)}",
        why="the controller tries again and again with the same template, and says so only in its events",
        do=f"change {subject_of(workload.kind, workload.thing)} as the refusal says, and apply it again{explain_it}",
    )


def wanted(workload: Workload) -> int:
    """How many pods there should be now."""
    match workload.kind:
        case "DaemonSet":
            count = at(workload.thing, "status", "desiredNumberScheduled")
        case "Job":
            count = 0 if at(workload.thing, "spec", "suspend") is True else at(workload.thing, "spec", "parallelism")
        case _:
            count = at(workload.maker, "spec", "replicas")
    return count if isinstance(count, int) else 1


def _refused(workload: Workload) -> str:
    return f"has {len(workload.pods)} of {wanted(workload)} pods: the others are refused before they are made"


def _nothing_made(workload: Workload, subject: str) -> Explanation:
    ended = _ended(workload)
    if ended is not None:
        well = at(ended, "type") in {"Complete", "SuccessCriteriaMet"}
        message = f": {at(ended, 'message')}" if at(ended, "message") else ""
        return Explanation(
            subject=subject, verdict=f"{'ended well' if well else 'failed'}; its pods are gone{message}", well=well
        )
    if not wanted(workload):
        suspended = " (it is suspended)" if at(workload.thing, "spec", "suspend") is True else ""
        return Explanation(subject=subject, verdict=f"wants no pods now{suspended}, and has none", well=True)
    plain = workload.kind.lower()
    where = f"-n {at(workload.thing, 'metadata', 'namespace')} {at(workload.thing, 'metadata', 'name')}"
    return Explanation(
        subject=subject,
        verdict="has no pods, and no event says why: events are kept for an hour, and its controller may not have come to it yet",
        well=False,
        otherwise=f"kubectl describe {plain} {where}; what its pods would be refused for: kubectl get {plain} {where} -o yaml | "
        "donjon check -",
    )


def _ended(workload: Workload) -> JsonObject | None:
    """The condition with which a Job is over."""
    conditions = objects(at(workload.thing, "status", "conditions")) if workload.kind == "Job" else ()
    over = {"Complete", "Failed"}
    return next((each for each in conditions if at(each, "type") in over and at(each, "status") == "True"), None)


def _revision(replica_set: JsonObject) -> int:
    said = at(replica_set, "metadata", "annotations", REVISION)
    return int(said) if isinstance(said, str) and said.isdecimal() else 0


def _moment(event: JsonObject) -> str:
    moments = (at(event, "series", "lastObservedTime"), at(event, "lastTimestamp"), at(event, "eventTime"))
    return next((str(moment) for moment in moments if moment), "")
