"""The scheduler's sentence for who may not read nodes: each of its reasons, and which of them is the one to act on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.diagnosis.worlds import (
    ENCLAVE,
    EPC,
    PROVISION,
    around,
    belonging,
    container,
    holding,
    pod,
    saying,
    with_spec,
    workload,
)

from donjon.diagnosis.explanation import Explanation
from donjon.diagnosis.pod import explain
from donjon.diagnosis.scheduler_words import read_sentence
from donjon.formats.json import Json, JsonObject

ORDINARY = f"1 Insufficient {ENCLAVE}, 1 Insufficient {EPC}"
TAIL = "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful."
IN_VAIN = "preemption: 0/{0} nodes are available: {0} Preemption is not helpful for scheduling."
PIN = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
CORDON, TAINT = "node(s) were unschedulable", "node(s) had untolerated taint"
ELSEWHERE = "node(s) didn't match Pod's node affinity/selector"


def sentence(*reasons: str, nodes: int = 2) -> str:
    return f"0/{nodes} nodes are available: {', '.join(reasons)}. no new claims to deallocate, {TAIL}"


def in_vain(*reasons: str, nodes: int = 2) -> str:
    """The sentence where the scheduler says of every node that nobody's end would help."""
    return f"0/{nodes} nodes are available: {', '.join(reasons)}. no new claims to deallocate, {IN_VAIN.format(nodes)}"


def told(words: str, asking: JsonObject | None = None, *seen: JsonObject) -> Explanation:
    condition: JsonObject = {"type": "PodScheduled", "status": "False", "message": words}
    blind = replace(around(pods=seen), no_nodes="list nodes: 403 forbidden", own_pods_only="list pods: 403 forbidden")
    return explain(saying(asking or pod("64Mi"), condition), blind)


@pytest.mark.parametrize(
    ("reasons", "code", "summary", "step"),
    [
        ((ORDINARY, f"1 {CORDON}"), "DJ133", "1 offers no SGX now, 1 is cordoned", "wait until the maintenance is over"),
        ((f"2 {CORDON}",), "DJ133", "2 are cordoned", "kubectl uncordon"),
        ((ORDINARY, f"1 {TAINT}(s)"), "DJ133", "1 has a taint", "ask its administrator which taint it is"),
        ((ORDINARY, f"1 {TAINT} {{team: ml}}"), "DJ133", "1 has the taint team: ml", "toleration of one of theirs"),
        ((f"1 {TAINT} {{node.kubernetes.io/unreachable: }}",), "DJ134", "1 is not ready", "no pod should tolerate that"),
        ((f"2 Insufficient {ENCLAVE}", f"1 Insufficient {EPC}"), "DJ135", f"1 has no {ENCLAVE}", "run donjon status"),
        ((f"1 Insufficient {ENCLAVE}",), "DJ135", f"1 has no {ENCLAVE}", "run donjon status"),
        ((f"1 Insufficient {ENCLAVE}", f"2 Insufficient {EPC}"), "DJ130", "1 has too little EPC left", "wait until others end"),
        ((f"2 Insufficient {ENCLAVE}", f"2 Insufficient {EPC}"), "DJ134", "2 offer no SGX now", "run donjon status"),
        ((f"1 {ELSEWHERE}", ORDINARY), "DJ133", "1 is left out by the pod's selector", "change the pod's nodeSelector"),
        (("1 Insufficient cpu", ORDINARY), "DJ138", "1 has too little cpu", "ask for less cpu"),
        (("1 Too many pods", ORDINARY), "DJ138", "1 has too little room for another pod", "wait until others end"),
        (("1 node(s) had no available volume zone",), "DJ138", "1 (had no available volume zone)", "scheduler's own words"),
    ],
)
def test_each_reason_is_told_with_its_number_of_nodes_its_code_and_what_to_do(
    reasons: tuple[str, ...], code: str, summary: str, step: str
) -> None:
    explanation = told(sentence(*reasons))
    assert [each.code for each in explanation.findings] == [code, "DJ139"]
    assert explanation.verdict.startswith("is Pending: asks for 64Mi of EPC, the enclave device; of 2 nodes ")
    assert summary in explanation.verdict
    assert step in explanation.next_step
    assert explanation.scheduler == sentence(*reasons)


def test_nodes_that_are_too_small_are_told_from_those_that_others_hold_by_what_is_said_of_preemption() -> None:
    reasons = (f"1 Insufficient {ENCLAVE}", f"2 Insufficient {EPC}")
    explanation = told(in_vain(*reasons), pod("9Gi"))
    assert [each.code for each in explanation.findings] == ["DJ132", "DJ139"]
    assert explanation.findings[0].observation == "asks for 9Gi of EPC, and 1 node has less than that in all"
    assert "1 has too little EPC in all" in explanation.verdict
    assert explanation.next_step.startswith("ask for less (that needs a new pod: kubectl delete pod -n shop app")
    assert [each.code for each in told(sentence(*reasons), pod("9Gi")).findings] == ["DJ130", "DJ139"]


@pytest.mark.parametrize("besides", ["1 Insufficient cpu", "1 Too many pods"])
def test_where_something_else_is_short_too_nobody_says_that_the_nodes_are_too_small(besides: str) -> None:
    explanation = told(in_vain(besides, f"1 Insufficient {ENCLAVE}", f"2 Insufficient {EPC}"), pod("9Gi"))
    assert explanation.findings[0].code == "DJ130"
    assert "others hold it, or the node is not so large" in explanation.findings[0].why


def test_a_device_that_nobodys_end_gives_back_is_not_to_be_waited_for() -> None:
    explanation = told(in_vain(f"2 Insufficient {ENCLAVE}", f"1 Insufficient {EPC}"))
    assert explanation.findings[0].why == "the node offers none: its agent is away or not ready"
    assert "wait" not in explanation.next_step


def test_what_holds_epc_is_named_as_far_as_it_can_be_seen() -> None:
    reasons = (f"1 Insufficient {ENCLAVE}", f"2 Insufficient {EPC}")
    seen = (
        holding("8000Mi", "a", "hog2"),
        pod("1Gi", name="waits"),
        holding("1Gi", "a", "old") | {"status": {"phase": "Failed"}},
    )
    assert told(sentence(*reasons), None, *seen).next_step.startswith(
        "end what holds it (shop/hog2 holds 7.8Gi, of those you may see), or wait until others end, or ask for less"
    )
    assert "hog2" not in told(in_vain(*reasons), None, *seen).next_step
    devices = told(sentence(f"2 Insufficient {ENCLAVE}", f"1 Insufficient {EPC}"), None, *seen)
    assert devices.next_step.endswith("or end one (shop/hog2 holds 1, of those you may see)")


def test_the_pin_of_a_daemon_sets_pod_is_no_reason_of_its_own() -> None:
    field: Json = {"key": "metadata.name", "operator": "In", "values": ["plain-1"]}
    required: Json = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    daemon = with_spec(pod("64Mi"), {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}})
    explanation = told(sentence(ORDINARY, f"1 {PIN}"), daemon)
    assert [each.code for each in explanation.findings] == ["DJ134", "DJ139"]
    assert "of 2 nodes 1 offers no SGX now, 1 is another than its own" in explanation.verdict
    assert 'a DaemonSet keeps to nodes with SGX by the nodeSelector sgx.intel.com/capable: "true"' in explanation.next_step
    assert [each.code for each in told(sentence("1 Insufficient cpu", f"1 {PIN}"), daemon).findings] == ["DJ138", "DJ139"]
    gone = told(sentence(f"2 {PIN}"), daemon)
    assert [each.code for each in gone.findings] == ["DJ133", "DJ139"]
    assert told(sentence(f"2 {PIN}")).findings[0].observation == (
        "the scheduler says of 2 nodes: didn't satisfy plugin(s) [NodeAffinity]"
    )


def test_a_node_whose_device_is_short_comes_before_a_cordon_and_a_cordon_before_a_selector() -> None:
    words = sentence(f"1 {ELSEWHERE}", f"1 {CORDON}", f"2 Insufficient {ENCLAVE}", f"1 Insufficient {EPC}", nodes=4)
    explanation = told(words)
    assert [each.code for each in explanation.findings] == ["DJ135", "DJ133", "DJ133", "DJ139"]
    assert "of 4 nodes" in explanation.verdict
    assert "cordoned" in explanation.findings[1].observation


def test_a_taint_of_the_control_plane_is_no_cause_beside_another() -> None:
    explanation = told(sentence(f"1 {TAINT} {{node-role.kubernetes.io/control-plane: }}", f"1 {CORDON}"))
    assert [each.code for each in explanation.findings] == ["DJ133", "DJ139"]
    assert "cordoned" in explanation.findings[0].observation
    assert "1 is the control plane's" in explanation.verdict


def test_the_selector_that_donjon_wrote_for_aesm_is_named_as_donjons() -> None:
    asking = with_spec(pod("64Mi"), {"nodeSelector": {"donjon.dev/aesm": "ready"}})
    metadata = asking["metadata"]
    assert isinstance(metadata, dict)
    annotated = asking | {"metadata": metadata | {"annotations": {"sgx.intel.com/quote-provider": "aesmd"}}}
    for thing, words in ((annotated, "annotation sgx.intel.com/quote-provider: aesmd"), (asking, "it selects nodes with")):
        explanation = told(sentence(f"2 {ELSEWHERE}"), thing)
        assert [each.code for each in explanation.findings] == ["DJ136", "DJ139"]
        assert words in explanation.findings[0].why
    own = with_spec(pod("64Mi"), {"nodeSelector": {"disk": "ssd"}})
    (finding, _) = told(sentence(f"2 {ELSEWHERE}"), own).findings
    assert (finding.code, finding.observation) == ("DJ133", "nodeSelector disk=ssd of the pod leaves out 2 nodes")


def test_the_provisioning_device_is_told_by_its_name() -> None:
    asking = with_spec(pod(), {"containers": [container("1Mi", **{PROVISION: "1"})]})
    explanation = told(sentence(f"1 Insufficient {PROVISION}"), asking)
    assert explanation.findings[0].code == "DJ135"
    assert PROVISION in explanation.findings[0].observation
    assert "the provision device" in explanation.verdict


def test_a_foreign_name_is_told_as_foreign() -> None:
    foreign = "kubernetes.azure.com/sgx_epc_mem_in_MiB"
    asking = pod() | {"spec": {"containers": [container(**{foreign: "10"})]}}
    explanation = told(sentence(f"2 Insufficient {foreign}"), asking)
    assert explanation.findings[0].code == "DJ102"
    assert f"asks for 10 of {foreign}" in explanation.verdict


@pytest.mark.parametrize("words", ["", "running PreBind plugin: no", "0/2 nodes are available: x. y"])
def test_a_sentence_of_another_form_is_quoted(words: str) -> None:
    explanation = told(words)
    assert f"the scheduler says: {words or 'nothing yet'}" in explanation.verdict
    assert [each.code for each in explanation.findings] == ["DJ139"]


@given(words=st.text() | st.from_regex(r"0/\d+ nodes are available: (\d+ [a-z{}(), ]*(, )?)*\.?"))
def test_no_sentence_makes_it_fail(words: str) -> None:
    reading = read_sentence(pod("1Mi"), words)
    assert reading is None or reading.findings


@pytest.mark.parametrize(
    "reason",
    [
        "2 Insufficient sgx.intel.com/epc",
        "2 Insufficient cpu",
        "2 node(s) had untolerated taint(s)",
        "2 node(s) didn't match Pod's node affinity/selector",
        "2 node(s) had a conflict",
    ],
)
def test_what_is_to_be_changed_is_said_with_how(reason: str) -> None:
    asking = belonging(pod("1Mi", name="db-0"), workload("StatefulSet", "db"))
    step = (
        "change statefulset shop/db so, apply it again, then kubectl delete pod -n shop db-0, which it may not replace by itself"
    )
    assert f"({step})" in told(sentence(reason), asking).next_step
