"""The scheduler's sentence for who may not read nodes: each of its reasons, and which of them is the one to act on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.diagnosis.worlds import ENCLAVE, EPC, PROVISION, around, container, pod, saying, with_spec

from donjon.diagnosis.explanation import Explanation
from donjon.diagnosis.pod import explain
from donjon.diagnosis.scheduler_words import read_sentence
from donjon.formats.json import JsonObject

ORDINARY = f"1 Insufficient {ENCLAVE}, 1 Insufficient {EPC}"
TAIL = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
CORDON, TAINT = "node(s) were unschedulable", "node(s) had untolerated taint"
ELSEWHERE = "node(s) didn't match Pod's node affinity/selector"


def sentence(*reasons: str, nodes: int = 2) -> str:
    return f"0/{nodes} nodes are available: {', '.join(reasons)}. no new claims to deallocate, {TAIL}"


def told(words: str, asking: JsonObject | None = None) -> Explanation:
    condition: JsonObject = {"type": "PodScheduled", "status": "False", "message": words}
    blind = replace(around(), no_nodes="list nodes: 403 forbidden", own_pods_only="list pods: 403 forbidden")
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


@pytest.mark.parametrize("words", ["", "pod has unbound immediate PersistentVolumeClaims", "0/2 nodes are available: x. y"])
def test_a_sentence_of_another_form_is_quoted(words: str) -> None:
    explanation = told(words)
    assert f"the scheduler says: {words or 'nothing yet'}" in explanation.verdict
    assert [each.code for each in explanation.findings] == ["DJ139"]


@given(words=st.text() | st.from_regex(r"0/\d+ nodes are available: (\d+ [a-z{}(), ]*(, )?)*\.?"))
def test_no_sentence_makes_it_fail(words: str) -> None:
    reading = read_sentence(pod("1Mi"), words)
    assert reading is None or reading.findings
