"""`donjon why` of pods that run: what became of the node under them, and static pods."""

import pytest
from tests.diagnosis.worlds import agents_event, around, holding, node, pod, saying

from donjon.diagnosis.pod import explain
from donjon.findings import Severity
from donjon.formats.json import JsonObject


def codes(asked: JsonObject, *nodes: JsonObject, pods: tuple[JsonObject, ...] = ()) -> list[str]:
    told = explain(asked, around(*nodes, pods=pods))
    assert told.well
    return [finding.code for finding in told.findings]


RUNS = pod("6Gi", phase="Running", on="a")
READY: JsonObject = {"type": "SGXReady", "status": "True", "message": "this node runs enclaves"}


def test_a_pod_that_fits_on_its_node_is_told_without_a_word() -> None:
    assert codes(RUNS, node("a"), pods=(RUNS, holding("2Gi", "a"), holding("8Gi", "b"))) == []


def test_pods_that_hold_more_than_their_node_offers_now_are_told_of_and_stay() -> None:
    told = explain(RUNS, around(node("a"), node("b", "32Gi"), pods=(RUNS, holding("3Gi", "a"))))
    assert (told.well, [finding.code for finding in told.findings]) == (True, ["DJ153"])
    assert "but node a: its pods hold 9Gi of EPC, and it offers 8Gi now" in told.verdict
    assert "end one of its pods" in told.next_step


def test_a_pod_larger_than_any_node_runs_and_is_not_said_to_wait_for_ever() -> None:
    assert codes(pod("16Gi", name="big", phase="Running", on="a"), node("a"), pods=(pod("16Gi", phase="Running", on="a"),)) == [
        "DJ153"
    ]


@pytest.mark.parametrize(
    ("kind", "message", "words", "well"),
    [
        ("SGXReady", "driver: gone [DJ011]", "not ready for enclaves: driver: gone [DJ011]", True),
        ("Ready", "Kubelet stopped posting node status.", "the node itself is not ready: Kubelet stopped posting", False),
    ],
)
def test_a_node_that_is_not_ready_any_more_is_told(kind: str, message: str, words: str, *, well: bool) -> None:
    broken = saying(node("a"), {"type": kind, "status": "False", "message": message})
    told = explain(RUNS, around(broken, pods=(RUNS,)))
    assert (told.well, [finding.code for finding in told.findings]) == (well, ["DJ134"])
    assert words in told.verdict


def test_what_a_node_that_is_not_ready_offers_says_nothing_of_its_size() -> None:
    for epc in ("0", "1Gi"):
        broken = saying(node("a", epc), {"type": "SGXReady", "status": "False", "message": "[DJ011]"})
        assert codes(RUNS, broken, pods=(RUNS,)) == ["DJ134"]
    without_agent = saying(node("a", "0"))
    assert codes(RUNS, without_agent, pods=(RUNS,)) == ["DJ134"]
    assert "node a: offers no EPC" in explain(RUNS, around(without_agent)).verdict


SILENT = saying(node("a"), {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}, READY)
GONE = saying(node("a", "0"), {"type": "SGXReady", "status": "False", "message": "no device [DJ004]"})


@pytest.mark.parametrize(
    ("under", "words"),
    [
        (SILENT, "was given to a: node a: the node itself is not ready: Kubelet stopped posting"),
        (GONE, "was given to a: node a: not ready for enclaves: no device [DJ004]"),
        (node("b"), "was given to a: node a: it is not in the cluster any more"),
    ],
)
@pytest.mark.parametrize("state", [{}, {"waiting": {"reason": "ContainerCreating"}}, {"waiting": {"reason": "ErrImagePull"}}])
def test_no_kubelet_starts_a_pod_on_a_node_that_is_not_ready(under: JsonObject, words: str, state: JsonObject) -> None:
    given = pod("1Mi", on="a", status={"containerStatuses": [{"name": "app", "state": state}]})
    told = explain(given, around(under))
    assert (told.well, told.findings[0].code, told.findings[0].severity) == (False, "DJ134", Severity.ERROR)
    assert words in told.verdict
    assert "the kubelet is starting it" in explain(pod("1Mi", on="a"), around(node("a"))).verdict


def test_what_a_silent_kubelet_said_last_of_a_pod_comes_after_its_silence() -> None:
    ended: JsonObject = {"terminated": {"exitCode": 3, "reason": "Error"}}
    loops = pod("1Mi", phase="Running", on="a", status={"containerStatuses": [{"name": "app", "state": ended}]})
    assert [finding.code for finding in explain(loops, around(SILENT)).findings] == ["DJ134", "DJ138"]


@pytest.mark.parametrize("under", [SILENT, node("b")])
def test_a_pod_on_its_way_out_stays_while_its_kubelet_is_silent(under: JsonObject) -> None:
    leaving = pod("1Mi", phase="Running", on="a")
    metadata = leaving["metadata"]
    assert isinstance(metadata, dict)
    leaving |= {"metadata": metadata | {"deletionTimestamp": "2026-11-23T12:00:00Z"}}
    told = explain(leaving, around(under))
    assert told.verdict.startswith("is being deleted, and stays: node a: ")
    assert "kubectl delete node a" in told.next_step
    assert explain(leaving, around(node("a"))).verdict == "is being deleted"


def test_a_node_that_is_gone_is_told_where_nodes_can_be_seen() -> None:
    told = explain(RUNS, around(node("b")))
    assert (told.well, [finding.code for finding in told.findings]) == (False, ["DJ134"])
    assert "not in the cluster any more" in told.verdict
    assert codes(RUNS) == []


def static(phase: str, status: JsonObject | None = None) -> JsonObject:
    made = pod("1Mi", phase=phase, on="a", status=status)
    owner: JsonObject = {"kind": "Node", "name": "a", "uid": "n"}
    metadata: JsonObject = {
        "name": "app-a",
        "namespace": "shop",
        "uid": "u",
        "annotations": {"kubernetes.io/config.mirror": "x"},
        "ownerReferences": [owner],
    }
    return made | {"metadata": metadata}


def test_a_static_pod_is_not_to_be_deleted_but_its_file() -> None:
    without = static("Running")
    for told in (
        explain(without, around(node("a"), events=(agents_event(without, "a"),))),
        explain(static("Failed", {"reason": "OutOfsgx.intel.com/epc"}), around(node("a"))),
    ):
        assert not told.well
        assert "take its file out of the folder of static pods on a and make it a DaemonSet" in told.next_step
        assert "kubectl delete" not in told.next_step
