"""Jobs that failed for good, and pods and Jobs that are older than what their makers say now."""

from dataclasses import replace

from donjon.diagnosis.commands import change_job, cron_job_of, delete_job, place_of, remake, subject_of
from donjon.diagnosis.explanation import Explanation
from donjon.findings import is_refusal
from donjon.formats.json import Json, JsonObject, at
from donjon.formats.words import recite
from donjon.kube.objects import condition_of, count, labels_of, name_of, namespace_of

_DEADLINE = "DeadlineExceeded"  # batchv1.JobReasonDeadlineExceeded
_REVISION = "controller-revision-hash"  # which StatefulSets write on their pods


def past_deadline(condition: JsonObject) -> bool:
    """Whether a Job's end is that of its time: then its pods were ended, whatever they did."""
    return at(condition, "reason") == _DEADLINE


def job_again(job: JsonObject, condition: JsonObject) -> str:
    """What to do about a Job that failed and has no pod that says why: a Job never begins anew."""
    if past_deadline(condition):
        seconds = count(job, "spec", "activeDeadlineSeconds")
        how = f" to more activeDeadlineSeconds{f' ({seconds} now)' if seconds else ''}"
        return (
            "its pods were ended with it and took their logs along, so see what one does while it runs: kubectl logs -n "
            f"{namespace_of(job)} -f job/{name_of(job)}; if it only needs more time, {_change(job, how)}"
        )
    keeps = at(job, "spec", "template", "spec", "restartPolicy") == "Never"
    how = " so" if keeps else " to restartPolicy: Never, which keeps pods that failed"
    return (
        f"kubectl describe job {place_of(job)} has its events of the last hour; its pods are gone with their logs, so "
        f"{_change(job, how)}"
    )


def _change(job: JsonObject, how: str) -> str:
    return change_job(namespace_of(job), name_of(job), cron_job_of(job), how)


def of_failure(job: JsonObject, condition: JsonObject, answer: Explanation) -> Explanation:
    """The verdict on a pod of a Job that has given up: nothing that is mended brings it back."""
    message = f": {recite(at(condition, 'message'))}" if at(condition, "message") else ""
    if maker := cron_job_of(job):
        after = f"this Job is not tried again; cronjob {namespace_of(job)}/{maker} makes the next by its schedule, as it is then"
    elif delete_job(namespace_of(job), name_of(job)) in answer.next_step:
        after = ""
    else:
        after = f"this Job is not tried again, and {_change(job, ' so')}"
    verdict = f"{answer.verdict}; its Job has given up{message}"
    return _with_step(replace(answer, verdict=verdict), "; ".join(filter(None, (answer.next_step, after))))


def is_at_its_beginning(job: JsonObject, answer: Explanation) -> bool:
    """Whether a Job has not come far enough to say anything: none of its pods runs yet, and nothing speaks against it."""
    is_over = any(condition_of(job, kind).get("status") == "True" for kind in ("Complete", "Failed"))
    return not is_over and not answer.well and not is_refusal(answer.findings)


def is_older(cron_job: JsonObject, job: JsonObject) -> bool:
    """Whether a CronJob makes other pods now than this Job of it does."""
    pods: Json = at(cron_job, "spec", "jobTemplate", "spec", "template", "spec")
    return pods is not None and pods != at(job, "spec", "template", "spec")


def of_older_job(cron_job: JsonObject, job: JsonObject, answer: Explanation) -> Explanation:
    """The verdict on a Job, with what brings the next where its CronJob was changed since."""
    if not is_older(cron_job, job):
        return answer
    return _with_step(
        answer,
        f"{subject_of('CronJob', cron_job)} was changed since, and this Job is older: "
        f"{delete_job(namespace_of(job), name_of(job))}; the next is made by what it says now",
    )


def of_older_pod(stateful_set: JsonObject, pod: JsonObject, answer: Explanation) -> Explanation:
    """The verdict on a pod that is not well, with what brings another where its StatefulSet was changed since.

    A StatefulSet replaces no pod that is not ready (k8s.io/kubernetes issue 67250).
    """
    revision, update = labels_of(pod).get(_REVISION), at(stateful_set, "status", "updateRevision")
    is_known = at(stateful_set, "status", "observedGeneration") == at(stateful_set, "metadata", "generation")
    is_whole = not count(stateful_set, "spec", "updateStrategy", "rollingUpdate", "partition")
    if revision is None or update is None or revision == update or not (is_known and is_whole):
        return answer
    return _with_step(
        answer,
        f"{subject_of('StatefulSet', stateful_set)} was changed since, and this pod is older: {remake(pod)}, by what it says now",
    )


def _with_step(answer: Explanation, step: str) -> Explanation:
    """The same with another next step."""
    index = next((index for index, finding in enumerate(answer.findings) if finding.do), None)
    if index is None:
        return replace(answer, otherwise=step)
    first = replace(answer.findings[index], do=step)
    return replace(answer, findings=(*answer.findings[:index], first, *answer.findings[index + 1 :]))
