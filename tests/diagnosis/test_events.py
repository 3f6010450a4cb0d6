"""`donjon why` of pods that have a node: what their own events and conditions say, and what of it is past."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.diagnosis.worlds import NOW, agents_event, around, event, node, pod, saying

from donjon.diagnosis.explanation import Explanation
from donjon.diagnosis.pod import explain
from donjon.formats.json import Json, JsonObject

MOUNT = 'MountVolume.SetUp failed for volume "evidence" : configmap "attestation-evidence" not found'


def before(seconds: float) -> str:
    return f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def starting(seconds: float, **status: Json) -> JsonObject:
    """Given to its node so many seconds ago, and taken up by the kubelet unless said otherwise."""
    placed: JsonObject = {"type": "PodScheduled", "status": "True", "lastTransitionTime": before(seconds)}
    known: JsonObject = {"conditions": [placed], "startTime": before(seconds), **status}
    return pod("1Mi", on="a", status=known)


def running(ready: str, since: float, *, is_ready: bool = True, security: JsonObject | None = None) -> JsonObject:
    condition: JsonObject = {"type": "Ready", "status": ready, "lastTransitionTime": before(since)}
    container: JsonObject = {"name": "app", "ready": is_ready, "state": {"running": {"startedAt": before(300)}}}
    return pod(
        "1Mi",
        phase="Running",
        on="a",
        status={"conditions": [condition], "containerStatuses": [container]},
        securityContext=security,
    )


def told(thing: JsonObject, *events: JsonObject) -> Explanation:
    return explain(thing, around(node("a"), events=events))


def codes(explanation: Explanation) -> list[str]:
    return [each.code for each in explanation.findings]


def test_a_volume_that_cannot_be_mounted_is_told_from_the_pods_own_event_with_what_to_make() -> None:
    asking = starting(83)
    explanation = told(asking, event("FailedMount", asking, MOUNT, before(12)))
    assert (codes(explanation), explanation.well) == (["DJ138"], False)
    assert f"was given to a: FailedMount: {MOUNT} (12 s ago)" in explanation.verdict
    assert explanation.next_step.startswith("make the configmap attestation-evidence in namespace shop")


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedCreatePodSandBox", "plugin type=bridge failed"),
        ("FailedAttachVolume", "Multi-Attach error"),
        ("AnotherOfLater", ""),
    ],
)
def test_whatever_a_warning_is_called_it_is_told_of_a_pod_that_does_not_start(reason: str, message: str) -> None:
    asking = starting(5)
    explanation = told(asking, event(reason, asking, message))
    assert codes(explanation) == ["DJ138"]
    assert f"{reason}: {message}" in explanation.verdict


def test_of_many_warnings_the_last_of_each_reason_is_told_newest_first_and_no_more_than_three() -> None:
    asking = starting(83)
    said = [event(f"R{index}", asking, "x", before(60 - index)) for index in range(5)]
    explanation = told(asking, event("R4", asking, "older", before(80)), *said)
    assert [each.observation.partition(":")[0] for each in explanation.findings] == ["R4", "R3", "R2"]
    assert "R4: x" in explanation.verdict


@pytest.mark.parametrize(
    "said",
    [
        event("FailedMount", pod("1Mi", name="another"), MOUNT),
        event("FailedMount", starting(9), MOUNT) | {"type": "Normal"},
        event("FailedScheduling", starting(9), "0/2 nodes are available"),
        event("RunsWithoutDevice", starting(9), "forged"),
    ],
    ids=["of another pod", "no warning", "of before it had a node", "in an agent's name"],
)
def test_what_is_no_warning_about_this_pod_on_its_node_is_not_told(said: JsonObject) -> None:
    assert codes(told(starting(9), said)) == []


@pytest.mark.parametrize(("seconds", "words"), [(29, "the kubelet is starting it"), (83, "not started after 83 s, and no event")])
def test_after_half_a_minute_a_pod_that_starts_is_said_not_to_have_started(seconds: float, words: str) -> None:
    assert words in told(starting(seconds)).verdict


def test_an_init_container_that_works_is_no_trouble() -> None:
    init: JsonObject = {"name": "fetch", "state": {"running": {"startedAt": before(80)}}}
    assert "its init container fetch runs first" in told(starting(83, initContainerStatuses=[init])).verdict


def test_a_kubelet_that_never_took_the_pod_up_is_told_without_a_sight_of_its_node() -> None:
    explanation = explain(starting(83, startTime=None), replace(around(), no_nodes="list nodes: 403"))
    assert codes(explanation) == ["DJ134", "DJ139"]
    assert "its kubelet has not taken the pod up in 83 s" in explanation.verdict
    assert codes(told(starting(20, startTime=None))) == []


def test_a_running_pod_whose_node_fell_silent_is_not_called_well_by_whoever_sees_the_event_alone() -> None:
    silent = running("False", 11)
    explanation = explain(
        silent,
        replace(around(events=(event("NodeNotReady", silent, "Node is not ready", before(11)),)), no_nodes="list nodes: 403"),
    )
    assert (codes(explanation), explanation.well) == (["DJ134", "DJ139"], False)
    assert "its kubelet does not answer: NodeNotReady: Node is not ready (11 s ago)" in explanation.verdict


def test_a_silent_node_is_told_once_its_event_is_forgotten() -> None:
    explanation = told(running("False", 7200))
    assert (codes(explanation), explanation.well) == (["DJ134"], False)
    assert "the pod is not ready since 2 h, and all its containers were" in explanation.verdict


def test_a_sidecar_that_is_not_ready_is_no_silent_node() -> None:
    unready = running("False", 40)
    status = unready["status"]
    assert isinstance(status, dict)
    conditions: list[Json] = [
        {"type": "Ready", "status": "False", "lastTransitionTime": before(40)},
        {"type": "ContainersReady", "status": "False"},
    ]
    assert codes(told(unready | {"status": status | {"conditions": conditions}})) == ["DJ138"]


def test_a_silent_node_that_can_be_seen_is_told_once_and_by_the_node() -> None:
    broken = saying(node("a"), {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."})
    silent = running("False", 11)
    explanation = explain(silent, around(broken, events=(event("NodeNotReady", silent, "Node is not ready"),)))
    assert (codes(explanation), explanation.well) == (["DJ134"], False)
    assert "Kubelet stopped posting" in explanation.verdict


def test_a_pod_whose_probe_says_no_is_not_well_and_its_event_is_told() -> None:
    unready = running("False", 40, is_ready=False)
    explanation = told(unready, event("Unhealthy", unready, "Readiness probe failed: no", before(5)))
    assert (codes(explanation), explanation.well) == (["DJ138"], False)
    assert "Readiness probe failed" in explanation.verdict
    assert "is not ready since 40 s" in told(unready).verdict
    assert told(running("False", 10, is_ready=False)).well


def test_warnings_of_before_a_pod_was_ready_are_past_and_later_ones_are_told_of_one_that_is_well() -> None:
    well = running("True", 200)
    assert codes(told(well, event("FailedMount", well, MOUNT, before(250)))) == []
    explanation = told(well, event("Unhealthy", well, "Liveness probe failed", before(5)))
    assert (codes(explanation), explanation.well) == (["DJ138"], True)
    assert "no event says otherwise" not in explanation.verdict


def test_a_forged_event_of_an_agent_is_told_of_no_running_pod() -> None:
    well = running("True", 200)
    assert codes(told(well, agents_event(well, "b"))) == []


def test_a_pod_that_is_well_on_a_node_that_cannot_be_seen_is_told_with_that() -> None:
    explanation = explain(running("True", 200), replace(around(), no_nodes="list nodes: 403"))
    assert (codes(explanation), explanation.well) == (["DJ139"], True)
    assert "no event says otherwise; its node could not be looked at" in explanation.verdict


@pytest.mark.parametrize(
    ("refusal", "account"),
    [
        ('nodes is forbidden: User "system:serviceaccount:shop:dev" cannot list resource', "--serviceaccount=shop:dev"),
        ('nodes is forbidden: User "jane@example.org" cannot list resource', "--user=jane@example.org"),
        ('nodes is forbidden: User "a b;c" cannot list resource', "--user='a b;c'"),
        ("403", "--user=NAME"),
    ],
)
def test_the_right_is_asked_for_the_account_that_was_refused(refusal: str, account: str) -> None:
    explanation = explain(running("True", 200), replace(around(), no_nodes=refusal))
    assert explanation.next_step.endswith(account)


USER: JsonObject = {"runAsUser": 1000}


def closed_node() -> JsonObject:
    message = "this node runs enclaves; /dev/sgx_enclave: mode 0660, owner 0, group 109 [DJ009]"
    return saying(node("a"), {"type": "Ready", "status": "True"}, {"type": "SGXReady", "status": "True", "message": message})


def ended(phase: str = "Failed") -> JsonObject:
    state: JsonObject = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": before(9)}}
    statuses: Json = [{"name": "app", "state": state, "restartCount": 1}]
    return pod("10Mi", phase=phase, on="a", status={"containerStatuses": statuses}, securityContext=USER)


@pytest.mark.parametrize("phase", ["Failed", "Running", "Pending"])
def test_where_the_device_is_closed_to_its_user_that_is_the_next_step_of_a_program_that_ended(phase: str) -> None:
    explanation = explain(ended(phase), around(closed_node()))
    assert codes(explanation)[:2] == ["DJ161", "DJ138"]
    assert "ended with exit code 1" in explanation.verdict
    assert explanation.next_step.startswith(
        "where its log says Permission denied at /dev/sgx_enclave, give the pod securityContext.supplementalGroups: [109], or"
    )


@pytest.mark.parametrize("phase", ["Failed", "Running", "Pending"])
def test_nobody_says_that_the_device_is_not_the_trouble(phase: str) -> None:
    for there in (around(closed_node()), around(node("a")), replace(around(), no_nodes="403")):
        assert not any("not the trouble" in each.why for each in explain(ended(phase), there).findings)


def test_where_the_node_cannot_be_seen_a_user_other_than_root_is_told_to_ask_for_the_group() -> None:
    blind = replace(around(), no_nodes="403")
    well = running("True", 200, security=USER)
    explanation = explain(well, blind)
    assert (codes(explanation), explanation.well) == (["DJ161", "DJ139"], True)
    assert "ask whoever administers the cluster for the group" in explanation.next_step
    assert codes(explain(ended(), blind)) == ["DJ138", "DJ161", "DJ139"]
    others: list[JsonObject] = [{"runAsUser": 0}, {**USER, "supplementalGroups": [109]}, {**USER, "fsGroup": 109}]
    for known in others:
        assert codes(explain(running("True", 200, security=known), blind)) == ["DJ139"]
