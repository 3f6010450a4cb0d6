"""`donjon why` of workloads: whose words a refusal has, which events count, and which pods."""

from datetime import timedelta

import pytest
from tests.diagnosis.worlds import NOW, around, belonging, event, labelled, node, pod, workload

from donjon.diagnosis.explanation import Explanation
from donjon.diagnosis.workload import Workload, desired_count, explain_cron_job, explain_workload, latest, newest
from donjon.formats.json import JsonObject

OURS = "container app: asks for sgx.intel.com/provision: not allowed [DJ104]; label it"
POLICY = "ValidatingAdmissionPolicy 'donjon-refuse' with binding 'donjon-refuse' denied request: "


def told(thing: JsonObject, *pods: JsonObject, events: tuple[JsonObject, ...] = ()) -> Explanation:
    made = Workload(kind=str(thing["kind"]), thing=thing, maker=thing, pods=pods)
    return explain_workload(made, around(node("a"), pods=pods, events=events))


POD = 'pods "train-x" is forbidden: '
QUOTA = f"{POD}exceeded quota: small, requested: requests.sgx.intel.com/epc=1Gi"
ANOTHERS_POLICY = f"{POD}ValidatingAdmissionPolicy 'theirs' with binding 'theirs' denied request: no"
ANOTHERS_WEBHOOK = 'admission webhook "theirs.example" denied the request: no'


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (f"Error creating: {POD}{POLICY}{OURS}", OURS),
        (f"create Pod train-0 in StatefulSet train failed error: {POD}{POLICY}{OURS}", OURS),
        (f"Error creating: {POD}ValidatingAdmissionPolicy 'donjon-refuse' denied request: {OURS}", OURS),
        (f'Error creating: admission webhook "pods.donjon.dev" denied the request: {OURS}', OURS),
        (f"(combined from similar events): Error creating: {POD}{POLICY}{OURS}", OURS),
        (OURS, OURS),
        # Somebody else's refusal names them.
        (f"Error creating: {QUOTA}", QUOTA),
        (f"Error creating: {ANOTHERS_POLICY}", ANOTHERS_POLICY),
        (f"Error creating: {ANOTHERS_WEBHOOK}", ANOTHERS_WEBHOOK),
    ],
)
def test_a_refusal_is_told_in_the_words_of_whoever_refused(message: str, words: str) -> None:
    thing = workload("ReplicaSet", replicas=1)
    (finding,) = told(thing, events=(event("FailedCreate", thing, message, moment=""),)).findings
    assert finding.observation == f"its pods are refused: {words}"


def test_a_refusal_says_how_long_ago_the_last_was_for_the_next_try_takes_its_time() -> None:
    thing = workload("ReplicaSet", replicas=1)
    refusal = event("FailedCreate", thing, OURS) | {"lastTimestamp": (NOW - timedelta(seconds=25)).isoformat()}
    (finding,) = told(thing, events=(refusal,)).findings
    assert finding.observation == f"its pods are refused (last 25 s ago): {OURS}"


ENCLAVES = 'admission webhook "pin.enclaves.donjon.dev" denied the request: '
UNSEEN = f"{ENCLAVES}r.example/app: could not be looked into: {{}}: which enclaves it has is not known; … refuses it [DJ373]; see"
UNHEARD = 'Internal error occurred: failed calling webhook "hold.enclaves.donjon.dev": failed to call webhook: Post "https://…"'
NOT_LOOKED_AT = (
    f"{POD}ValidatingAdmissionPolicy 'donjon-enclaves' with binding 'donjon-enclaves' denied request: pod: it asks for SGX in a "
    "namespace that admits enclaves by their identity, and nobody has looked at its images [DJ375]; see that it runs"
)


@pytest.mark.parametrize(
    ("message", "step"),
    [
        (f"Error creating: {QUOTA},used: x,limited: y", "have an administrator raise the ResourceQuota small"),
        (
            f"Error creating: {POD}{POLICY}container app: not wired [DJ101]; check that the webhook runs",
            "what wires pods is away",
        ),
        (f"Error creating: {NOT_LOOKED_AT}", "run donjon status, which says whether it is down; donjon explain DJ375"),
        (f"Error creating: {UNHEARD}", "run donjon status, which says whether it is down; donjon explain DJ375"),
        (
            f"Error creating: {UNSEEN.format('it is being looked into [DJ379]')}",
            "replicaset shop/train is right, and what admits by an enclave's identity did not look at it",
        ),
        (
            f"Error creating: {UNSEEN.format('r.example: timed out [DJ330]')}",
            "where an image's name is mistyped, change replicaset shop/train with the right one, and apply it again; else",
        ),
        (
            f"Error creating: {ENCLAVES}r.example/app: is signed with Intel SDK's sample key [DJ368]; sign it",
            "change replicaset shop/train as the refusal says, and apply it again; donjon explain DJ368",
        ),
        (f"Error creating: {POD}{POLICY}{OURS}", "change replicaset shop/train as the refusal says, and apply it again; donjon"),
        (f"Error creating: {ANOTHERS_WEBHOOK}", "change replicaset shop/train as the refusal says, and apply it again"),
        (
            f"Error creating: {POD}maximum sgx.intel.com/epc usage per Pod is 32Mi. No limit is specified",
            "replicaset shop/train is right where it is to make no enclave: a LimitRange of namespace shop refuses every pod",
        ),
        (
            f"Error creating: {POD}maximum sgx.intel.com/epc usage per Pod is 32Mi, but limit is 128Mi",
            "so that a pod of it asks for at most 32Mi, and apply it again; or have an administrator change the LimitRange",
        ),
        (
            f"Error creating: {POD}minimum sgx.intel.com/epc usage per Container is 1Mi, but request is 4Ki",
            "so that a container of it asks for at least 1Mi",
        ),
        (f"Error creating: {POD}minimum cpu usage per Pod is 1. No request is specified", "have a request of cpu"),
        (f"Error creating: {POD}cpu max limit to request ratio per Container is 2, but", "kubectl describe limitrange -n shop"),
        (
            f'Error creating: {POD}error looking up service account shop/robot: serviceaccount "robot" not found',
            "kubectl create serviceaccount -n shop robot, after which the pods come by themselves",
        ),
    ],
)
def test_the_next_step_is_for_the_one_at_fault(message: str, step: str) -> None:
    thing = workload("ReplicaSet", replicas=1)
    assert step in told(thing, events=(event("FailedCreate", thing, message),)).next_step


def test_a_cron_job_is_told_by_the_job_that_it_made_last() -> None:
    cron = workload("CronJob", "tick", schedule="* * * * *")
    jobs = (created(workload("Job", "old"), "2026-11-23T11:00:00Z"), created(workload("Job", "new"), "2026-11-23T12:00:00Z"))
    last, _ = latest(jobs)
    assert last is jobs[1]
    refused = told(last, events=(event("FailedCreate", last, OURS),))
    after = explain_cron_job(cron, ((last, refused),))
    assert (after.subject, after.well) == ("cronjob shop/tick, its last Job: job shop/new", False)
    none = explain_cron_job(cron, ())
    assert (none.verdict, none.well) == ("has no Job now; its schedule is * * * * *", True)
    assert "is suspended" in explain_cron_job(workload("CronJob", suspend=True), ()).verdict


def template(epc: str) -> JsonObject:
    return {"spec": pod(epc)["spec"]}


def ticking(epc: str) -> JsonObject:
    return workload("CronJob", "tick", jobTemplate={"spec": {"template": template(epc)}})


def tick(name: str, *pods: JsonObject, epc: str = "1Mi", status: JsonObject | None = None) -> tuple[JsonObject, Explanation]:
    """A Job of it with its verdict."""
    made = workload("Job", name, owner=ticking(epc), status=status, template=template(epc))
    return made, told(made, *pods)


WAITS: JsonObject = {"name": "app", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
PULLS = pod("1Mi", name="pulls", on="a", status={"containerStatuses": [WAITS]})
STARTS = pod("1Mi", name="starts", on="a")


def test_of_a_cron_job_whose_last_job_has_not_come_far_the_one_before_is_told() -> None:
    explanation = explain_cron_job(ticking("1Mi"), (tick("new", STARTS), tick("old", PULLS)))
    assert "the Job before its last (new, which has not come far): job shop/old" in explanation.subject
    assert "ErrImagePull" in explanation.verdict
    for jobs in (
        (tick("new", PULLS), tick("old", STARTS)),
        (tick("new", STARTS), tick("old", STARTS)),
        (tick("new", pod("1Mi", phase="Running", on="a")), tick("old", PULLS)),
        (tick("new", STARTS), tick("old", PULLS, epc="2Mi")),
        (tick("new", status={"conditions": [{"type": "Complete", "status": "True"}]}), tick("old", PULLS)),
    ):
        assert "its last Job: job shop/new" in explain_cron_job(ticking("1Mi"), jobs).subject


@pytest.mark.parametrize(("epc", "step"), [("16Gi", "ask for at most 8Gi"), ("1Mi", "cronjob shop/tick was changed since")])
def test_a_cron_job_that_was_changed_since_is_told_to_be_waiting_for_the_job_that_is_older(epc: str, step: str) -> None:
    stuck = tick("old", pod("16Gi", name="large"), epc="16Gi")
    next_step = explain_cron_job(ticking(epc), (stuck,)).next_step
    assert next_step.startswith(step)
    assert "kubectl delete job -n shop old" in next_step or epc == "16Gi"


@pytest.mark.parametrize(
    ("revision", "spec", "status", "changed"),
    [
        ("db-2", {}, {}, True),
        ("db-1", {}, {}, False),
        ("db-2", {"updateStrategy": {"rollingUpdate": {"partition": 1}}}, {}, False),
        ("db-2", {}, {"observedGeneration": 1}, False),
    ],
    ids=["changed", "as it was", "held back by its partition", "not seen yet by its controller"],
)
def test_a_stateful_set_that_was_changed_since_is_told_with_the_pod_that_is_older(
    revision: str, spec: JsonObject, status: JsonObject, *, changed: bool
) -> None:
    thing = workload("StatefulSet", "db", status={"updateRevision": revision, **status}) | {"spec": {"replicas": 1, **spec}}
    waits = labelled(belonging(pod("16Gi", name="db-0"), thing), {"controller-revision-hash": "db-1"})
    step = told(thing, waits).next_step
    older = "statefulset shop/db was changed since, and this pod is older: kubectl delete pod -n shop db-0; StatefulSet"
    assert step.startswith(
        older if changed else "ask for at most 8Gi (change statefulset shop/db so, apply it again, then kubectl"
    )
    well = labelled(belonging(pod("1Mi", name="db-0", phase="Running", on="a"), thing), {"controller-revision-hash": "db-1"})
    assert told(thing, well).next_step == ""


def created(made: JsonObject, moment: str, **metadata: str) -> JsonObject:
    own = made["metadata"]
    assert isinstance(own, dict)
    return made | {"metadata": own | {"creationTimestamp": moment, **metadata}}


@pytest.mark.parametrize(("moment", "code"), [("2026-11-23T12:00:01Z", "DJ132"), ("2026-11-23T11:59:59Z", "DJ131")])
def test_an_event_that_is_older_than_the_newest_pod_is_told_no_more(moment: str, code: str) -> None:
    thing = workload("StatefulSet", replicas=2)
    first = created(belonging(pod("16Gi"), thing), moment)
    refusal = event("FailedCreate", thing, OURS, "2026-11-23T12:00:00.123456Z")
    assert [finding.code for finding in told(thing, first, events=(refusal,)).findings] == [code]


EVICTED = pod("1Mi", phase="Failed", on="a", status={"reason": "Evicted"})
LEAVING = created(pod("1Mi", phase="Running", on="a"), "", deletionTimestamp="x")


@pytest.mark.parametrize("ended", [EVICTED, LEAVING])
def test_a_pod_that_has_ended_is_none_of_those_wanted(ended: JsonObject) -> None:
    thing = workload("ReplicaSet", replicas=1)
    after = told(thing, ended, events=(event("FailedCreate", thing, OURS),))
    assert after.verdict == "has 0 of 1 pods: the others are refused before they are made"


def job(condition: str) -> JsonObject:
    return workload("Job", status={"conditions": [{"type": condition, "status": "True", "message": "its reason"}]})


def test_a_job_that_ended_well_is_well_whatever_pods_it_lost_on_the_way() -> None:
    after = told(job("Complete"), EVICTED, pod("1Mi", name="second", phase="Succeeded", on="a"))
    assert (after.well, after.verdict) == (True, "ended well: its reason")


def test_a_job_that_failed_is_told_by_the_pod_that_failed() -> None:
    assert [finding.code for finding in told(job("Failed"), EVICTED).findings] == ["DJ137"]
    assert told(job("Failed"), pod("1Mi", phase="Succeeded", on="a")).verdict == "failed: its reason"


def test_a_pod_in_trouble_is_worse_off_than_one_on_its_way_out() -> None:
    thing = workload("ReplicaSet", replicas=1)
    assert [finding.code for finding in told(thing, LEAVING, pod("16Gi", name="big")).findings] == ["DJ132"]


@pytest.mark.parametrize(
    ("spec", "succeeded", "count"),
    [
        ({"parallelism": 3}, 0, 3),
        ({"parallelism": 3, "completions": 2}, 0, 2),
        ({"parallelism": 3, "completions": 5}, 4, 1),
        ({"parallelism": 2, "completions": 2}, 2, 0),
        ({}, 0, 1),
        ({"parallelism": 2, "suspend": True}, 0, 0),
    ],
)
def test_a_job_wants_as_many_pods_as_are_left_to_run(spec: JsonObject, succeeded: int, count: int) -> None:
    thing = workload("Job", status={"succeeded": succeeded}) | {"spec": spec}
    assert desired_count(Workload(kind="Job", thing=thing, maker=thing, pods=())) == count


def test_a_job_that_failed_and_whose_pods_are_gone_has_a_next_step() -> None:
    condition: JsonObject = {"type": "Failed", "status": "True", "message": "Job has reached the specified backoff limit"}
    explanation = told(workload("Job", status={"conditions": [condition]}))
    assert not explanation.well
    assert explanation.verdict == "failed; its pods are gone: Job has reached the specified backoff limit"
    assert explanation.next_step.startswith("kubectl describe job -n shop train")
    assert "kubectl delete job -n shop train, change what it was made from to restartPolicy: Never" in explanation.next_step
    keeps = workload("Job", status={"conditions": [condition]}, template={"spec": {"restartPolicy": "Never"}})
    assert "restartPolicy" not in told(keeps).next_step
    over: JsonObject = {"type": "Complete", "status": "True"}
    assert told(workload("Job", status={"conditions": [over]})).next_step == ""


BACK_OFF: JsonObject = {"type": "Failed", "status": "True", "message": "Job has reached the specified backoff limit"}
ENDED = pod(
    "1Mi",
    phase="Failed",
    on="a",
    status={"containerStatuses": [{"name": "app", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]},
)


def test_a_job_that_has_given_up_is_told_so_and_how_it_is_made_again() -> None:
    explanation = told(workload("Job", status={"conditions": [BACK_OFF]}), ENDED)
    assert "app ended with exit code 3; its Job has given up: Job has reached the specified backoff limit" in explanation.verdict
    assert explanation.next_step.startswith("kubectl logs -n shop app -c app")
    assert "this Job is not tried again, and a Job's template cannot be changed: kubectl delete job -n shop train" in (
        explanation.next_step
    )
    made = workload("Job", "tick-1", owner=workload("CronJob", "tick"), status={"conditions": [BACK_OFF]})
    assert "cronjob shop/tick makes the next by its schedule" in told(made, ENDED).next_step
    assert "given up" not in told(workload("Job"), ENDED).verdict


@pytest.mark.parametrize("pods", [(), (ENDED,)])
def test_a_job_past_its_deadline_is_told_to_have_more_time_and_nothing_that_it_has(pods: tuple[JsonObject, ...]) -> None:
    late: JsonObject = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer"}
    explanation = told(workload("Job", status={"conditions": [late]}, activeDeadlineSeconds=8), *pods)
    assert "Job was active longer" in explanation.verdict
    assert "to more activeDeadlineSeconds (8 now)" in explanation.next_step
    assert "kubectl logs -n shop -f job/train" in explanation.next_step
    assert "restartPolicy" not in explanation.next_step


LOST = pod(
    "1Mi",
    name="lost",
    phase="Failed",
    on="a",
    status={"reason": "UnexpectedAdmissionError", "message": "Allocate failed: no healthy devices present"},
)


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet", "DaemonSet", "Deployment"])
def test_a_pod_that_failed_makes_no_workload_wrong_that_has_its_pods(kind: str) -> None:
    thing = workload(kind, replicas=1, status={"desiredNumberScheduled": 1})
    after = told(thing, LOST, pod("1Mi", phase="Running", on="a"))
    assert (after.well, after.findings, after.subject) == (True, (), f"{kind.lower()} shop/train: pod shop/app")


def test_a_pod_that_failed_hides_no_trouble_of_today() -> None:
    after = told(workload("ReplicaSet", replicas=2), LOST, pod("16Gi", name="big"))
    assert [finding.code for finding in after.findings] == ["DJ132"]
    again = told(workload("Job"), LOST, pod("16Gi", name="big"))
    assert [finding.code for finding in again.findings] == ["DJ132"]


def test_a_pod_that_failed_is_told_where_no_other_came_and_of_a_job_that_counts_it() -> None:
    assert [finding.code for finding in told(workload("ReplicaSet", replicas=1), LOST).findings] == ["DJ137"]
    after = told(workload("Job"), LOST, pod("1Mi", phase="Running", on="a"))
    assert (after.well, [finding.code for finding in after.findings]) == (False, ["DJ137"])


def test_who_restarted_is_named_where_a_device_was_not_there_at_that_moment() -> None:
    (finding,) = told(workload("ReplicaSet", replicas=1), LOST).findings
    assert "its node's agent or kubelet had just started" in finding.why
    (other,) = told(workload("ReplicaSet", replicas=1), EVICTED).findings
    assert "had just started" not in other.why


def test_a_job_that_is_refused_is_to_be_made_again_and_a_cron_job_to_be_changed() -> None:
    alone = workload("Job")
    step = told(alone, events=(event("FailedCreate", alone, OURS),)).next_step
    assert step.startswith("a Job's template cannot be changed: kubectl delete job -n shop train, change what it was made from")
    made = workload("Job", "tick-1", owner=workload("CronJob", "tick"))
    step = told(made, events=(event("FailedCreate", made, OURS),)).next_step
    assert step.startswith("change cronjob shop/tick as the refusal says, apply it again, then kubectl delete job -n shop tick-1")


@pytest.mark.parametrize(("amount", "helps"), [("128Mi", False), ("32Mi", True), ("64Mi", True), ("x", True)])
def test_ending_other_pods_is_advised_where_that_can_help(amount: str, *, helps: bool) -> None:
    thing = workload("ReplicaSet", replicas=1)
    resource = "requests.sgx.intel.com/epc"
    message = f"{POD}exceeded quota: small, requested: {resource}={amount}, used: {resource}=48Mi, limited: {resource}=64Mi"
    step = told(thing, events=(event("FailedCreate", thing, f"Error creating: {message}"),)).next_step
    assert ("end other pods" in step) is helps
    assert "raise the ResourceQuota small" in step


def test_a_revision_of_thousands_of_digits_is_none() -> None:
    """Whoever may write a ReplicaSet may write its annotations, and of so many digits Python makes no number."""
    first, second = workload("ReplicaSet", "first"), workload("ReplicaSet", "second")
    for thing, revision in ((first, "9" * 5_000), (second, "2")):
        metadata = thing["metadata"]
        assert isinstance(metadata, dict)
        metadata["annotations"] = {"deployment.kubernetes.io/revision": revision}
    assert newest((first, second)) == second
