"""What kubectl says of nodes, and what is said of a pod that asks for more than any of them has."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.admission.pods import AKS, EPC, FAQ, asking, container, pod

from donjon.admission.limits import MAX_CONTAINERS
from donjon.admission.manifests import documents
from donjon.admission.manifests.nodes import parse
from donjon.admission.nodes import LargestNode, largest
from donjon.admission.rules import BEYOND_NODES
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import decide
from donjon.cli.check import check
from donjon.errors import Malformed
from donjon.findings import Severity
from donjon.formats.json import Json, JsonObject


def offering(name: str, amount: Json) -> JsonObject:
    return {"kind": "Node", "metadata": {"name": name}, "status": {"allocatable": {EPC: amount}}}


SMALL, LARGE, PLAIN = offering("sgx-1", "28Mi"), offering("sgx-2", "8Gi"), offering("cpu-1", None)
LISTED = json.dumps({"apiVersion": "v1", "kind": "List", "items": [SMALL, LARGE, PLAIN]})
AS_YAML = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Node
  metadata: {name: sgx-1}
  status:
    allocatable: {cpu: "2", sgx.intel.com/epc: 29360128}
"""


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (LISTED, LargestNode(name="sgx-2", epc=8 << 30, nodes_seen=3)),
        (f"\n {LISTED}\n", LargestNode(name="sgx-2", epc=8 << 30, nodes_seen=3)),
        (AS_YAML, LargestNode(name="sgx-1", epc=28 << 20, nodes_seen=1)),
        (json.dumps(LARGE), LargestNode(name="sgx-2", epc=8 << 30, nodes_seen=1)),
        (json.dumps({"kind": "NodeList", "items": [{"metadata": {"name": "n"}}]}), LargestNode(name="n", epc=0, nodes_seen=1)),
    ],
    ids=["json", "with blanks", "yaml", "one node", "of the API"],
)
def test_the_largest_of_what_kubectl_prints_is_found(listed: str, found: LargestNode) -> None:
    assert parse(listed) == found


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ("", "DJ933"),
        ("NAME STATUS\nsgx-1 Ready\n", "DJ933"),
        ('{"kind": "List", "items": []}', "DJ933"),
        ('{"kind": "List", "items": [{"kind": "Pod"}, {"metadata": {"name": "n"}}, 7]}', "DJ933"),
        ('{"kind": "NodeList", "items": "none"}', "DJ933"),
        ("{", "DJ930"),
        ("a: [", "DJ930"),
        ('{"a":' * 100_000, "DJ930"),
        ("#" * (documents.MAX_SIZE + 1), "DJ931"),
    ],
    ids=range(9),
)
def test_what_holds_no_node_is_refused_by_its_code(listed: str, code: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(listed)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("amount", "epc"),
    [("1e3", 1000), (4096, 4096), ("1e400", 10**200), ("-1", 0), ("lots", 0), (True, 0), ([], 0), (float("nan"), 0)],
    ids=str,
)
def test_an_amount_that_is_none_is_none(amount: Json, epc: int) -> None:
    found = largest([offering("n", amount)])
    assert found is not None
    assert found.epc == epc


def test_a_machine_is_as_large_under_the_name_of_another_plugin() -> None:
    azures: JsonObject = {"kind": "Node", "metadata": {"name": "aks-1"}, "status": {"allocatable": {AKS: "82"}}}
    assert largest([azures, SMALL]) == LargestNode(name="aks-1", epc=82 << 20, nodes_seen=2)
    assert largest([]) is None


def said(made: JsonObject, node: LargestNode | None) -> list[str]:
    around = AdmissionContext(namespace="team", largest_node=node)
    return [finding.sentence() for finding in decide(made, around, Settings()).findings]


def test_more_than_the_largest_node_has_is_warned_about_with_its_name() -> None:
    (sentence,) = said(pod(asking({EPC: "8Gi"}), asking({FAQ: 1}, "b")), parse(LISTED))
    assert sentence == (
        "pod: asks for 8193Mi of EPC, and no node has that much: the largest of 3, sgx-2, has 8Gi: "
        "it would stay Pending for ever, whatever else ends [DJ132]; ask for less, or add a node with more EPC"
    )
    assert BEYOND_NODES.severity is Severity.WARNING


def test_nodes_without_epc_are_no_larger_than_none() -> None:
    (sentence,) = said(pod(asking({EPC: "1Mi"})), largest([PLAIN]))
    assert "no node has that much: none of 1 offers any: " in sentence


@pytest.mark.parametrize(
    ("made", "node"),
    [
        (pod(asking({EPC: "8Gi"})), parse(LISTED)),
        (pod(asking({EPC: "8Gi"}), init=(asking({EPC: "8Gi"}, "first"),)), parse(LISTED)),
        (pod(asking({EPC: "9Gi"})), None),
        (pod(asking({EPC: 0})), largest([PLAIN])),
        (pod(container()), largest([PLAIN])),
    ],
    ids=["as much", "one after the other", "nodes unknown", "none asked", "nothing asked"],
)
def test_what_some_node_can_hold_or_nobody_knows_is_not_warned_about(made: JsonObject, node: LargestNode | None) -> None:
    assert said(made, node) == []


def test_of_too_many_containers_that_alone_is_said() -> None:
    many = [asking({EPC: "1Gi"}, f"c{number}") for number in range(MAX_CONTAINERS + 1)]
    (sentence,) = said(pod(*many), parse(LISTED))
    assert "[DJ113]" in sentence


MANIFEST = """\
kind: Job
apiVersion: batch/v1
metadata: {name: j}
spec:
  template:
    spec:
      containers:
      - name: first
        resources: {limits: {cpu: 1}}
      - name: second
        resources:
          limits:
            sgx.intel.com/epc: 16Gi
"""


def test_check_warns_at_the_line_and_admits(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.json"
    nodes.write_text(LISTED)
    done = CliRunner().invoke(check, ["-", "--nodes", str(nodes)], input=MANIFEST)
    assert done.exit_code == 0
    assert "standard input:13: warning: pod: asks for 16Gi of EPC" in done.stdout


def test_check_takes_nodes_from_standard_input_and_not_both(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(MANIFEST)
    assert "[DJ132]" in CliRunner().invoke(check, [str(job), "--nodes", "-"], input=LISTED).stdout
    assert CliRunner().invoke(check, ["-", "--nodes", "-"], input=LISTED).exit_code == 2


@pytest.mark.parametrize(("content", "code"), [(b"kind: Pod", "DJ933"), (b"\xff", "DJ930"), (None, "DJ932")])
def test_nodes_that_cannot_be_read_end_the_check_with_the_files_name(tmp_path: Path, content: bytes | None, code: str) -> None:
    nodes = tmp_path / "nodes"
    if content is not None:
        nodes.write_bytes(content)
    with pytest.raises(Malformed, match=f"{nodes}: ") as caught:
        CliRunner().invoke(check, ["-", "--nodes", str(nodes)], input=MANIFEST, catch_exceptions=False)
    assert caught.value.code == code


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["Node", "List", "NodeList", "1Gi"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["kind", "items", "status", "allocatable", EPC, "metadata"]), inner, max_size=4)
        ),
        max_leaves=15,
    )
)
def test_whatever_is_given_as_nodes_is_measured_or_refused_by_code(listed: Json) -> None:
    try:
        assert parse(json.dumps(listed)).epc >= 0
    except Malformed as error:
        assert error.code in {"DJ930", "DJ933"}  # noqa: PT017 - either answer is well
