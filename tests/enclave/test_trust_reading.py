"""Policies on enclaves are read strictly, every fault of them is said at once, and the chart's schemas say the same."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from tests.enclave.trust_documents import BAD, BAD_OF_CLUSTER, GOOD, GOOD_OF_CLUSTER, HASH, OTHER, SIGNER, Wrong, policy

from donjon.enclave.trust import DebugRule, EnclaveTrust, TrustAnswer, TrustMode
from donjon.enclave.trust_reading import read_policy, read_trust
from donjon.errors import Malformed

CRDS = Path(__file__).parents[2] / "deploy" / "chart" / "files" / "crds"
NAMESPACED, CLUSTER = "EnclavePolicy", "ClusterEnclavePolicy"
GOOD_DOCUMENTS = [
    *((NAMESPACED, each) for each in GOOD.values()),
    *((CLUSTER, each) for each in (*GOOD.values(), *GOOD_OF_CLUSTER.values())),
]
BAD_DOCUMENTS = [
    *((NAMESPACED, each) for each in BAD.values()),
    *((CLUSTER, each) for each in (*list(BAD.values())[:-1], *BAD_OF_CLUSTER.values())),
]
OF_CEL = {
    *(
        "debugging everywhere",
        "debugging in a selector of everything",
        "a sample key everywhere",
        "values where there can be none",
    ),
    *("no values where there must be some", "a label that is none", "a value that is none"),
}
"""Of a policy of the cluster: what no schema alone says, and the API server by its rules in CEL."""
OF_LISTS = {"two signers by one name", "a sample key twice"}
"""What is in `x-kubernetes-list-type`."""


WORDS = [
    "signers",
    "mrSigner",
    "name",
    "mode",
    "debug",
    "sampleKeys",
    "namespaceSelector",
    "matchLabels",
    "matchExpressions",
    "key",
]


def crd(kind: str) -> dict[str, Any]:
    (found,) = (each for each in map(YAML(typ="safe").load, CRDS.iterdir()) if each["spec"]["names"]["kind"] == kind)
    return dict(found)


def schema(kind: str) -> dict[str, Any]:
    (version,) = crd(kind)["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


def strict(value: Any) -> Any:
    """The schema with nothing allowed that it does not name, as the API server has it where fields are validated strictly."""
    if isinstance(value, list):
        return [strict(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {name: strict(each) for name, each in value.items()}
    return inner | ({"additionalProperties": False} if value.get("type") == "object" and "properties" in value else {})


@pytest.mark.parametrize(("kind", "spec"), GOOD_DOCUMENTS)
def test_a_good_policy_is_taken_by_our_reader_and_by_the_schema(kind: str, spec: Any) -> None:
    assert read_policy(policy(kind, spec)).namespace == ("default" if kind == NAMESPACED else "")
    jsonschema_rs.validate(strict(schema(kind)), spec)


@pytest.mark.parametrize(("kind", "wrong"), BAD_DOCUMENTS)
def test_a_wrong_policy_is_refused_with_the_place(kind: str, wrong: Wrong) -> None:
    with pytest.raises(Malformed) as raised:
        read_policy(policy(kind, wrong.spec))
    assert raised.value.code == "DJ365"
    assert f": {wrong.place}" in raised.value.message


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((NAMESPACED, each) for name, each in BAD.items() if name not in OF_LISTS),
        *((CLUSTER, each) for name, each in BAD_OF_CLUSTER.items() if name not in OF_CEL),
    ],
)
def test_the_schema_refuses_what_our_reader_refuses(kind: str, wrong: Wrong) -> None:
    assert not jsonschema_rs.is_valid(strict(schema(kind)), wrong.spec)


def test_both_kinds_have_one_schema_but_for_the_namespaces() -> None:
    ours, of_cluster = schema(NAMESPACED), schema(CLUSTER)
    assert of_cluster["properties"].pop("namespaceSelector")
    assert of_cluster.pop("x-kubernetes-validations")
    assert ours == of_cluster


def test_what_is_left_out_is_as_strict_as_it_can_be_and_the_schema_says_the_same() -> None:
    nothing = read_trust({})
    assert nothing == EnclaveTrust()
    assert (nothing.mode, nothing.debug, nothing.unsigned, nothing.unknown, nothing.without_enclave, nothing.unreachable) == (
        TrustMode.WARN,
        DebugRule.NEVER,
        *4 * (TrustAnswer.REFUSE,),
    )
    defaults = {name: each["default"] for name, each in schema(NAMESPACED)["properties"].items() if "default" in each}
    assert read_trust(defaults) == nothing


def test_every_fault_is_said_at_once() -> None:
    with pytest.raises(Malformed, match=r"spec\.mode is strict, expected one of warn, enforce") as raised:
        read_trust(
            {"mode": "strict", "signers": [{**SIGNER, "minSvn": -1}, {"nam": "x"}], "unknwon": "warn"}, "EnclavePolicy a/b"
        )
    said = raised.value.message
    assert said.startswith("EnclavePolicy a/b: ")
    for each in (
        "spec.unknwon is no field of it: did you mean unknown?",
        "spec.signers[0].minSvn is -1, expected a whole number from 0 to 65535",
        "spec.signers[1].nam is no field of it: did you mean name?",
        "spec.signers[1].name is missing",
        "spec.signers[1].mrSigner is missing",
    ):
        assert each in said


def test_faults_without_number_are_told_in_part() -> None:
    with pytest.raises(Malformed, match="and 44 more") as raised:
        read_trust({"signers": [{"name": f"n{index}", "mrSigner": "x" * 100_000} for index in range(64)]})
    assert len(raised.value.message) < 16_000


@pytest.mark.parametrize("spec", [None, [], "x", 1])
@pytest.mark.parametrize("kind", [NAMESPACED, CLUSTER])
def test_a_policy_without_a_spec_is_refused(kind: str, spec: Any) -> None:
    with pytest.raises(Malformed, match="spec is "):
        read_policy(policy(kind, spec))


def test_another_object_is_no_policy() -> None:
    with pytest.raises(Malformed, match=r"expected EnclavePolicy or ClusterEnclavePolicy of donjon\.dev/v1alpha1"):
        read_policy({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}})


def test_the_values_are_those_of_the_document() -> None:
    trust = read_policy(policy(NAMESPACED, GOOD["everything"])).trust
    first, second = trust.signers
    assert (first.name, first.mr_signer.hex(), first.product_id, first.min_svn) == ("our releases", HASH, 0, 65_535)
    assert (second.product_id, second.min_svn) == (None, 0)
    assert [each.mr_enclave.hex() for each in trust.measurements] == [OTHER]
    assert [each.name for each in trust.keys_for("any/image:1")] == ["cosign", "other"]
    assert trust.name == "EnclavePolicy default/p"
    assert trust.enforces


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(spec=JSON, kind=st.sampled_from((NAMESPACED, CLUSTER)))
@settings(deadline=None)
def test_whatever_stands_in_a_policy_it_is_read_or_refused_in_words(spec: Any, kind: str) -> None:
    with suppress(Malformed):
        read_policy(policy(kind, spec))
