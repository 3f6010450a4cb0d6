"""A pod to its verdict, in Python; that the API server comes to the same is seen in tests/cluster/test_parity.py."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.admission.pods import AKS, ALIBABA, ENCLAVE, EPC, FAQ, PROVISION, WIRED, asking, container, pod

from donjon.admission.settings import Settings, Surroundings
from donjon.admission.verdict import Verdict, decide
from donjon.kube.json import Json, JsonObject, at, objects
from donjon.kube.patch import applied

PLAIN = Surroundings(namespace="team")
ALLOWED = Surroundings(namespace="team", labels={"donjon.dev/provision": "allowed"})


def verdict(made: JsonObject, around: Surroundings = PLAIN) -> Verdict:
    return decide(made, around, Settings())


def codes(made: JsonObject, around: Surroundings = PLAIN) -> list[str]:
    return [finding.code for finding in verdict(made, around).findings]


def resources(made: JsonObject) -> dict[str, Json]:
    """The limits of each container as admitted, which its requests repeat."""
    found: dict[str, Json] = {}
    for field in ("initContainers", "containers"):
        for each in objects(at(verdict(made).admitted, "spec", field)):
            assert at(each, "resources", "limits") == at(each, "resources", "requests")
            found[str(each["name"])] = at(each, "resources", "limits")
    return found


@pytest.mark.parametrize(
    ("limits", "admitted"),
    [
        ({FAQ: 10}, WIRED),
        ({AKS: 10}, WIRED),
        ({ALIBABA: "10"}, WIRED),
        ({FAQ: 1024}, {EPC: "1Gi", ENCLAVE: "1"}),
        ({FAQ: "1e3"}, {EPC: "1000Mi", ENCLAVE: "1"}),
        ({FAQ: "0.5Ki"}, {EPC: "512Mi", ENCLAVE: "1"}),
        ({FAQ: 8796093022207}, {EPC: "8796093022207Mi", ENCLAVE: "1"}),
        ({EPC: "0.5Mi"}, {EPC: "0.5Mi", ENCLAVE: "1"}),
        ({EPC: "1e3"}, {EPC: "1e3", ENCLAVE: "1"}),
        ({EPC: 42}, {EPC: 42, ENCLAVE: "1"}),
        ({EPC: "10Mi", ENCLAVE: 3}, {EPC: "10Mi", ENCLAVE: 3}),
        ({EPC: "10485760", FAQ: 10}, {EPC: "10485760", ENCLAVE: "1"}),
        ({EPC: "10Mi", FAQ: 10, AKS: 10, ALIBABA: 10}, WIRED),
        ({EPC: 0}, {EPC: 0}),
        ({FAQ: 0}, {EPC: "0"}),
        ({ENCLAVE: 1}, {ENCLAVE: 1}),
        ({FAQ: 10, "cpu": "1", "example.com/gpu": 2}, {**WIRED, "cpu": "1", "example.com/gpu": 2}),
    ],
    ids=str,
)
def test_every_name_of_epc_becomes_epc_and_brings_its_device(limits: JsonObject, admitted: JsonObject) -> None:
    assert resources(pod(asking(limits))) == {"app": admitted}


def test_limits_without_requests_are_wired_with_both() -> None:
    assert resources(pod(container(resources={"limits": {FAQ: 10}}))) == {"app": WIRED}


def test_init_containers_and_sidecars_are_wired_each_by_itself() -> None:
    first, beside = asking({FAQ: 3}, "first"), asking({EPC: "5Mi"}, "beside", restartPolicy="Always")
    assert resources(pod(asking({AKS: 10}), init=(container("before"), first, beside))) == {
        "before": None,
        "first": {EPC: "3Mi", ENCLAVE: "1"},
        "beside": {EPC: "5Mi", ENCLAVE: "1"},
        "app": WIRED,
    }


@pytest.mark.parametrize(
    "limits", [{FAQ: -1}, {FAQ: "1.5"}, {FAQ: "1e400"}, {FAQ: "ten"}, {FAQ: True}, {FAQ: None}, {EPC: 10, FAQ: 10}], ids=str
)
def test_what_cannot_be_counted_stays_as_it_came(limits: JsonObject) -> None:
    assert verdict(pod(asking(limits))).patch == ()


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (pod(asking({EPC: "10Mi", ENCLAVE: 0})), ["DJ101"]),
        (pod(asking({EPC: "10Mi", ENCLAVE: "0e3"})), ["DJ101"]),
        (pod(container(resources={"limits": {FAQ: 3}, "requests": {FAQ: 2}})), ["DJ102"]),
        (pod(asking({EPC: "1e400"})), ["DJ103"]),
        (pod(asking({EPC: "10Ei"})), ["DJ103"]),
        (pod(asking({FAQ: 8796093022208})), ["DJ103"]),
        (pod(asking({EPC: "10Mi", PROVISION: 1})), ["DJ104"]),
        (pod(init=(asking({PROVISION: 1}, "first"),)), ["DJ104"]),
        (pod(asking({FAQ: 10}), nodeName="sgx-1"), ["DJ105"]),
        (pod(asking({EPC: 0}), nodeName="sgx-1"), []),
        (pod(asking({EPC: 10, FAQ: 10})), ["DJ106", "DJ107"]),
        (pod(asking({EPC: 0, ALIBABA: 10})), ["DJ106"]),
        (pod(asking({EPC: 10})), ["DJ107"]),
        (pod(asking({ENCLAVE: 1})), ["DJ108"]),
        (pod(asking({EPC: "10M"})), ["DJ109"]),
        (pod(asking({EPC: "10Mi", ENCLAVE: 3})), []),
    ],
    ids=str,
)
def test_says_every_rule_that_holds(made: JsonObject, found: list[str]) -> None:
    assert codes(made) == found


def test_the_words_are_those_of_the_table_with_names_filled_in() -> None:
    first, second = verdict(
        pod(asking({EPC: 10, FAQ: 10, PROVISION: 1}, "a"), asking({PROVISION: 1}, "b"), nodeName="n")
    ).findings[::2]
    assert first.sentence().startswith("container a, b: asks for sgx.intel.com/provision: namespace team may not use")
    assert second.subject == "container a"
    assert second.found == f"asks for {EPC}: 10 and {FAQ}: 10"


def test_the_label_of_the_namespace_gives_the_provisioning_key() -> None:
    assert codes(pod(asking({EPC: "1Mi", PROVISION: 1})), ALLOWED) == []
    assert codes(pod(asking({PROVISION: 1})), Surroundings(namespace="team", labels={"donjon.dev/provision": "denied"})) == [
        "DJ104"
    ]


def test_a_pod_is_never_changed_in_place() -> None:
    made = pod(asking({FAQ: 10}))
    before = copy.deepcopy(made)
    verdict(made)
    assert made == before


def test_ten_thousand_containers_that_ask_are_decided_at_once() -> None:
    many = [asking({FAQ: 1, PROVISION: 1}, f"c{number}") for number in range(10_000)]
    decided = verdict(pod(*many))
    assert len(decided.findings[0].sentence()) < 1000
    assert resources(pod(*many))["c9999"] == {EPC: "1Mi", ENCLAVE: "1", PROVISION: 1}


def test_deep_nesting_is_carried_along() -> None:
    deep: Json = {}
    for _ in range(100_000):
        deep = {"a": deep}
    made = pod(asking({FAQ: 10}), unknown=deep)
    assert at(verdict(made).admitted, "spec", "unknown") is deep


NAMES = st.sampled_from([EPC, FAQ, AKS, ALIBABA, ENCLAVE, PROVISION, "cpu", "example.com/gpu"])
QUANTITIES = st.one_of(
    st.sampled_from(["1e400", "10Ei", "1Pi", "-1", "1.5", "0", "", "ten", "10Mi", "4Ki", "1e-400", "9" * 200]),
    st.integers(-2, 2**64),
    st.floats(),
    st.booleans(),
    st.none(),
)
JUNK: st.SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def shape(fields: dict[str, st.SearchStrategy[Json]]) -> st.SearchStrategy[Json]:
    """An object with some of those fields, or something else altogether, seldom."""
    good: st.SearchStrategy[Json] = st.fixed_dictionaries({}, optional=fields)
    return st.integers(0, 15).flatmap(lambda chance: JUNK if chance == 0 else good)


AMOUNTS: st.SearchStrategy[Json] = st.dictionaries(NAMES, QUANTITIES, max_size=4)
RESOURCES = shape({"limits": st.one_of(AMOUNTS, JUNK), "requests": st.one_of(AMOUNTS, JUNK)})
CONTAINER = shape({"name": st.one_of(st.sampled_from(["app", "aesmd"]), JUNK), "resources": RESOURCES, "restartPolicy": JUNK})
CONTAINERS: st.SearchStrategy[Json] = st.one_of(st.lists(CONTAINER, max_size=4), JUNK)
SPEC = shape({"containers": CONTAINERS, "initContainers": CONTAINERS, "nodeName": JUNK})
PODS = shape({"metadata": JUNK, "spec": SPEC}).filter(lambda made: isinstance(made, dict))


@given(PODS)
@settings(max_examples=400)
def test_deciding_never_raises_and_patching_twice_is_patching_once(made: JsonObject) -> None:
    once = verdict(made)
    assert applied(made, once.patch) == once.admitted or "nan" in repr(made)
    assert verdict(once.admitted).patch == ()
    assert verdict(once.admitted).findings == once.findings


@given(PODS.filter(lambda made: not any(name in repr(made) for name in (EPC, FAQ, AKS, ALIBABA, ENCLAVE, PROVISION))))
def test_a_pod_that_does_not_ask_yields_no_patch_and_no_finding(made: JsonObject) -> None:
    assert verdict(made).patch == ()
    assert verdict(made).findings == ()
