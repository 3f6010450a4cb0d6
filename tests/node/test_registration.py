"""The patches that make a node object say what is so, and then nothing more."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.node.patches import merged, strategically_merged
from tests.node.world import GIB, IN_TREE, NO_DEVICES, cpuid, device, devices, facts

from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import CONDITION_READY, EPC, LABEL_CAPABLE, LABEL_SGX
from donjon.node.labels import labels
from donjon.node.offer import Advertise
from donjon.node.readiness import Readiness, assess
from donjon.node.readings import FileKind
from donjon.node.registration import (
    MAX_MESSAGE,
    NOTHING_TO_DO,
    Desired,
    NodeCondition,
    Patches,
    condition,
    epc_is_anothers,
    farewell,
    plan,
    stated_condition,
)
from donjon.node.rivals import NFD_ANNOTATION

NOON = "2026-11-23T12:00:00Z"
LATER = "2026-11-23T12:30:00Z"

READY = NodeCondition(status=True, reason="SGXReady", message="this node runs enclaves")
NOT_READY = NodeCondition(status=False, reason="DJ004", message="/dev: no enclave device")
DESIRED = Desired(epc=8 * GIB, labels={LABEL_CAPABLE: "true", LABEL_SGX: "2"}, condition=READY)


def bare() -> JsonObject:
    """A node as its kubelet registers it."""
    return {
        "metadata": {"name": "sgx-1", "labels": {"kubernetes.io/os": "linux"}},
        "status": {
            "capacity": {"cpu": "8", "memory": "32Gi"},
            "allocatable": {"cpu": "7900m", "memory": "31Gi"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def applied(node: JsonObject, patches: Patches) -> JsonObject:
    after: Json = node if patches.node is None else merged(node, patches.node)
    assert isinstance(after, dict)
    return after if patches.status is None else strategically_merged(after, patches.status)


def after(node: JsonObject, desired: Desired = DESIRED, moment: str = NOON) -> JsonObject:
    return applied(node, plan(node, desired, moment=moment))


def epc(node: JsonObject) -> tuple[Json, Json]:
    return at(node, "status", "capacity", EPC), at(node, "status", "allocatable", EPC)


def with_epc(capacity: Json, allocatable: Json) -> JsonObject:
    return strategically_merged(after(bare()), {"status": {"capacity": {EPC: capacity}, "allocatable": {EPC: allocatable}}})


def test_a_new_node_gets_epc_labels_and_condition() -> None:
    node = after(bare())
    assert epc(node) == (str(8 * GIB), str(8 * GIB))
    assert at(node, "metadata", "labels") == {"kubernetes.io/os": "linux", LABEL_CAPABLE: "true", LABEL_SGX: "2"}
    said = stated_condition(node)
    assert (said["status"], said["reason"], said["lastTransitionTime"]) == ("True", "SGXReady", NOON)


def test_what_others_said_on_the_node_stays() -> None:
    node = after(bare())
    assert at(node, "status", "capacity", "memory") == "32Gi"
    assert at(node, "status", "allocatable", "cpu") == "7900m"
    conditions = at(node, "status", "conditions")
    assert isinstance(conditions, list)
    assert {"type": "Ready", "status": "True"} in conditions


def test_a_node_that_says_it_all_gets_no_patch() -> None:
    assert plan(after(bare()), DESIRED, moment=LATER) == NOTHING_TO_DO


AMOUNTS = st.one_of(st.none(), st.integers(0, 1 << 50))
CONDITIONS = st.one_of(
    st.none(), st.builds(NodeCondition, status=st.booleans(), reason=st.just("X"), message=st.sampled_from("ab"))
)
LABELS = st.dictionaries(st.sampled_from([LABEL_CAPABLE, LABEL_SGX]), st.one_of(st.none(), st.sampled_from(["true", "1", "2"])))
WISHES = st.builds(Desired, epc=AMOUNTS, labels=LABELS, condition=CONDITIONS)


@given(st.lists(WISHES, min_size=1, max_size=5))
def test_whatever_was_wished_before_one_round_of_patches_is_enough(wishes: list[Desired]) -> None:
    node = bare()
    for wish in wishes:
        node = after(node, wish)
    assert plan(node, wishes[-1], moment=LATER) == NOTHING_TO_DO


@pytest.mark.parametrize(
    ("capacity", "allocatable"),
    [
        ("1", "1"),
        (str(8 * GIB), "0"),
        ("0", str(8 * GIB)),
        (None, None),
        (str(8 * GIB), None),
        (None, str(8 * GIB)),
        ("nonsense", str(8 * GIB)),
        ("", ""),
    ],
)
def test_epc_that_was_lost_or_changed_is_put_right_in_both_places_at_once(capacity: Json, allocatable: Json) -> None:
    node = with_epc(capacity, allocatable)
    patches = plan(node, DESIRED, moment=LATER)
    assert patches.status == {"status": {"capacity": {EPC: str(8 * GIB)}, "allocatable": {EPC: str(8 * GIB)}}}
    assert epc(applied(node, patches)) == (str(8 * GIB), str(8 * GIB))


@pytest.mark.parametrize("amount", ["8Gi", "8589934592", "8192Mi", "8.0Gi"])
def test_the_same_amount_in_other_words_is_left_alone(amount: str) -> None:
    assert plan(with_epc(amount, amount), DESIRED, moment=LATER) == NOTHING_TO_DO


def test_a_node_that_is_not_ready_has_zero_and_not_nothing() -> None:
    node = after(after(bare()), replace(DESIRED, epc=0, condition=NOT_READY))
    assert epc(node) == ("0", "0")
    assert stated_condition(node)["status"] == "False"


def test_an_ordinary_node_is_not_given_a_zero() -> None:
    assert plan(bare(), Desired(epc=0, labels={}, condition=None), moment=NOON) == NOTHING_TO_DO


def test_what_is_left_to_others_is_not_touched() -> None:
    node = with_epc("5", "5")
    assert plan(node, Desired(epc=None, labels={}, condition=None), moment=NOON) == NOTHING_TO_DO


def test_a_label_is_taken_away_by_null_and_only_where_it_is() -> None:
    away = replace(DESIRED, labels={LABEL_CAPABLE: None})
    assert plan(after(bare()), away, moment=LATER).node == {"metadata": {"labels": {LABEL_CAPABLE: None}}}
    assert plan(bare(), away, moment=LATER).node is None


def test_the_transition_time_moves_with_the_status_alone() -> None:
    ready = after(bare())
    other_words = after(ready, replace(DESIRED, condition=replace(READY, message="and a note")), LATER)
    assert stated_condition(other_words)["lastTransitionTime"] == NOON
    assert stated_condition(other_words)["lastHeartbeatTime"] == LATER
    turned = after(ready, replace(DESIRED, condition=NOT_READY), LATER)
    assert stated_condition(turned)["lastTransitionTime"] == LATER


def test_a_condition_without_a_transition_time_gets_one() -> None:
    node = bare()
    node["status"] = {"conditions": [{"type": CONDITION_READY, "status": "True"}]}
    assert stated_condition(after(node))["lastTransitionTime"] == NOON


@pytest.mark.parametrize(
    ("annotations", "theirs"),
    [
        ({"nfd.node.kubernetes.io/extended-resources": EPC}, True),
        ({"nfd.node.kubernetes.io/extended-resources": f"vendor/x, {EPC}"}, True),
        ({"nfd.node.kubernetes.io/extended-resources": f"{EPC}x"}, False),
        ({"nfd.node.kubernetes.io/extended-resources": ""}, False),
        ({"nfd.node.kubernetes.io/extended-resources": 7}, False),
        ({"another": EPC}, False),
        (None, False),
    ],
)
def test_node_feature_discovery_says_in_an_annotation_that_epc_is_its_own(annotations: Json, *, theirs: bool) -> None:
    assert epc_is_anothers({"metadata": {"annotations": annotations}}) is theirs


ALL = frozenset(Advertise)


def test_a_farewell_takes_all_of_ours_and_nothing_else() -> None:
    node = applied(after(bare()), farewell(after(bare()), ALL))
    assert node == bare()
    assert farewell(node, ALL) == NOTHING_TO_DO


def test_a_farewell_leaves_what_others_write() -> None:
    node = after(bare())
    left = applied(node, farewell(node, frozenset({Advertise.DEVICES})))
    assert at(left, "status", "capacity", EPC) == at(node, "status", "capacity", EPC)
    assert at(left, "metadata", "labels") == at(node, "metadata", "labels")
    assert at(node, "metadata") != {}
    theirs = after(bare())
    metadata = theirs["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = {NFD_ANNOTATION: EPC}
    assert at(farewell(theirs, ALL).status, "status", "capacity") is None


def test_the_condition_of_a_ready_node_carries_its_warnings() -> None:
    said = condition(assess(facts(cpuid=cpuid(launch_control=False))), ())
    assert (said.status, said.reason) == (True, "SGXReady")
    assert "[DJ003]" in said.message


def test_the_condition_of_a_node_that_is_not_ready_names_every_error_once() -> None:
    said = condition(assess(facts(devices=devices(device("/dev/sgx_enclave", FileKind.FILE)))), ())
    assert (said.state, said.reason) == ("False", "DJ004_DJ005")
    twice = condition(Readiness(findings=(error("DJ005"), error("DJ005"), error("DJ004"))), ())
    assert twice.reason == "DJ005_DJ004"


def test_a_gap_in_the_guard_is_said_and_leaves_the_node_as_ready_as_it_was() -> None:
    gap = Finding.warning("DJ024", "ValidatingAdmissionPolicyBinding donjon-refuse", "is not there", "y", "helm upgrade")
    ready, broken = (condition(assess(facts(devices=each)), (gap,)) for each in (IN_TREE, NO_DEVICES))
    assert (ready.state, broken.state) == ("True", "False")
    assert gap.sentence() in ready.message
    assert gap.sentence() in broken.message
    assert "DJ024" not in broken.reason, "the reason is of the host alone"


def error(code: str, found: str = "wrong") -> Finding:
    return Finding(code=code, severity=Severity.ERROR, subject="x", observation=found, why="y", do="z")


@pytest.mark.parametrize("severity", [Severity.ERROR, Severity.WARNING])
def test_a_message_too_long_for_the_api_server_is_cut_and_says_so(severity: Severity) -> None:
    long: Any = replace(error("DJ005", "ü" * 100_000), severity=severity)
    message = condition(Readiness(findings=(long,)), ()).message
    assert len(message) == MAX_MESSAGE
    assert len(message.encode()) <= 32_768
    assert message.endswith("…")


@pytest.mark.parametrize("node", [{}, {"status": None, "metadata": []}, {"status": {"conditions": "none", "capacity": 3}}])
def test_a_node_object_that_is_nonsense_is_planned_for_all_the_same(node: JsonObject) -> None:
    assert plan(node, DESIRED, moment=NOON).status is not None
    assert farewell(node, ALL) == NOTHING_TO_DO


def test_facts_to_labels_to_node_and_nothing_more_to_do() -> None:
    known = facts()
    desired = Desired(epc=8 * GIB, labels=labels(known), condition=condition(assess(known), ()))
    assert plan(after(bare(), desired), desired, moment=LATER) == NOTHING_TO_DO
