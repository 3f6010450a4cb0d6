"""What the API server asks the webhook, and what it is answered, from bytes to bytes."""

import base64
import copy
import json
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.admission.pods import EPC, FAQ, WIRED, asking, container, pod

from donjon.admission.nodes import LargestNode
from donjon.admission.review import MAX_SIGNS, MAX_SIZE, MOST_CONTAINERS, ReviewOutcome, ReviewResponse, parse, review
from donjon.admission.settings import Settings
from donjon.admission.verdict import AdmissionVerdict
from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at

SECONDS = 5  # of the processor's time, in which the kubelet must be answered
SHOWN_WHOLE = 256  # characters of one warning; of a longer one the API server may cut the rest


def question(made: Json, **changed: Json) -> JsonObject:
    """A review of a pod that is to be made, as the API server writes it; `changed` are fields of its request."""
    request: JsonObject = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "name": "p",
        "namespace": "team",
        "operation": "CREATE",
        "userInfo": {"username": "ann"},
        "object": made,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request | changed}


def asked(body: JsonObject) -> ReviewResponse:
    return review(json.dumps(body).encode(), Settings())


def response(reviewed: ReviewResponse) -> JsonObject:
    told = json.loads(reviewed.body)
    assert (told["kind"], told["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
    answer: JsonObject = told["response"]
    return answer


def patch_of(reviewed: ReviewResponse) -> Json:
    answer = response(reviewed)
    assert answer["patchType"] == "JSONPatch"
    patch: Json = json.loads(base64.b64decode(str(answer["patch"])))
    return patch


def refusal(data: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        parse(data)
    assert len(caught.value.message) < 400
    return caught.value.code


def test_a_pod_that_asks_is_admitted_with_the_patch_of_the_verdict() -> None:
    reviewed = asked(question(pod(asking({FAQ: 10}))))
    assert patch_of(reviewed) == [operation.as_dict() for operation in reviewed.verdict.patch]
    assert response(reviewed) | {"patch": ""} == {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "allowed": True,
        "patchType": "JSONPatch",
        "patch": "",
    }
    assert at(reviewed.verdict.admitted, "spec", "containers") == [asking(WIRED)]
    assert (reviewed.outcome, reviewed.request.namespace, reviewed.request.name) == (ReviewOutcome.WIRED, "team", "p")


@pytest.mark.parametrize("made", [pod(), pod(container("c", newField={"of": ["a", "newer", "API"]})), {}, {"spec": 7}])
def test_a_pod_that_does_not_ask_is_admitted_as_it_is(made: JsonObject) -> None:
    reviewed = asked(question(made))
    assert response(reviewed) == {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": True}
    assert reviewed.outcome is ReviewOutcome.UNTOUCHED


def test_what_the_policies_refuse_the_webhook_admits_and_counts() -> None:
    reviewed = asked(question(pod(asking({EPC: "9Ei"}, "c"), nodeName="n1")))
    assert response(reviewed)["allowed"] is True
    assert reviewed.outcome is ReviewOutcome.DENIED
    assert "DJ105" in [finding.code for finding in reviewed.verdict.findings]


def test_more_than_the_largest_node_has_is_warned_about_since_no_policy_can() -> None:
    body = json.dumps(question(pod(asking({EPC: "16Gi"}, "c", securityContext={"privileged": True})))).encode()
    nodes = LargestNode(name="sgx-1", epc=8 << 30, nodes_seen=3)
    (warning,) = json.loads(review(body, Settings(), nodes).body)["response"]["warnings"]
    assert warning.startswith("pod: asks for 16Gi of EPC, and no node has that much: the largest of 3, sgx-1, has 8Gi: ")
    assert len(warning) <= SHOWN_WHOLE
    assert "warnings" not in response(review(body, Settings()))
    assert "warnings" not in response(review(body, Settings(), LargestNode(name="sgx-1", epc=16 << 30, nodes_seen=3)))


def test_a_generated_name_stands_for_one_that_is_not_known_yet() -> None:
    made = pod() | {"metadata": {"generateName": "job-"}}
    assert asked(question(made, name="")).request.name == "job-"
    assert asked(question(pod(), name=7)).request.name == ""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "DJ141"),
        (b"\xff\xfe{}", "DJ141"),
        (b'{"kind": "\xc3\x28"}', "DJ141"),
        ('{"kind": "AdmissionReview"}'.encode("utf-16"), "DJ141"),
        (b"\xef\xbb\xbf{}", "DJ141"),
        (b"{", "DJ141"),
        (b"{} {}", "DJ141"),
        (b'{"kind": NaN}', "DJ141"),
        (b'{"kind": -Infinity}', "DJ141"),
        (b'{"kind": ' + b"9" * 5000 + b"}", "DJ141"),
        (b'{"kind": "a", "kind": "a"}', "DJ141"),
        (b'{"' + b"k" * 5000 + b'": 1, "' + b"k" * 5000 + b'": 2}', "DJ141"),
        (b" " * (MAX_SIZE + 1), "DJ140"),
        (b"[" * 100_000, "DJ140"),
        (b"[" * 101 + b"]" * 101, "DJ140"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "DJ140"),
        (b"null", "DJ142"),
        (b"[]", "DJ142"),
        (b"7", "DJ142"),
        (b'"AdmissionReview"', "DJ142"),
        (b"{}", "DJ142"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_is_no_review_is_refused_by_its_code(data: bytes, code: str) -> None:
    assert refusal(data) == code


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("apiVersion",), "admission.k8s.io/v1beta1", "DJ142"),
        (("apiVersion",), None, "DJ142"),
        (("kind",), "Pod", "DJ142"),
        (("kind",), ["AdmissionReview"], "DJ142"),
        (("request",), None, "DJ142"),
        (("request",), [], "DJ142"),
        (("request", "uid"), None, "DJ142"),
        (("request", "uid"), "", "DJ142"),
        (("request", "uid"), "u" * 129, "DJ142"),
        (("request", "uid"), 7, "DJ142"),
        (("request", "namespace"), None, "DJ142"),
        (("request", "namespace"), {"name": "team"}, "DJ142"),
        (("request", "object"), None, "DJ142"),
        (("request", "object"), [pod()], "DJ142"),
        (("request", "object"), "a pod", "DJ142"),
        (("request", "operation"), "UPDATE", "DJ143"),
        (("request", "operation"), None, "DJ143"),
        (("request", "operation"), ["CREATE"], "DJ143"),
        (("request", "kind"), {"group": "apps", "version": "v1", "kind": "Deployment"}, "DJ143"),
        (("request", "kind"), "Pod", "DJ143"),
        (("request", "kind"), None, "DJ143"),
        (("request", "resource"), {"group": "", "version": "v1", "resource": "nodes"}, "DJ143"),
        (("request", "resource"), True, "DJ143"),
        (("request", "subResource"), "ephemeralcontainers", "DJ143"),
        (("request", "subResource"), {"a": ["b"]}, "DJ143"),
    ],
    ids=str,
)
def test_a_review_with_another_field_than_it_should_have_is_refused(path: tuple[str, ...], value: Json, code: str) -> None:
    body: JsonObject = copy.deepcopy(question(pod()))
    *way, last = path
    owner = at(body, *way)
    assert isinstance(owner, dict)
    owner[last] = value
    assert refusal(json.dumps(body).encode()) == code


def test_a_pod_may_be_as_deep_as_kubernetes_makes_them_and_no_deeper() -> None:
    deep: Json = 1
    for _ in range(90):
        deep = [deep]
    assert parse(json.dumps(question({"deep": deep})).encode()).pod == {"deep": deep}


def test_ten_thousand_containers_are_admitted_untouched_for_the_policies_to_refuse() -> None:
    many = [asking({EPC: "1Mi"}, f"c{number}") for number in range(10_000)]
    reviewed = asked(question(pod(*many)))
    assert not reviewed.verdict.patch
    assert reviewed.outcome is ReviewOutcome.DENIED


@pytest.mark.parametrize("quantity", ["1e400", "-1e400", "1e-400", "9" * 4000, "Ki", "", "0x10", "١"])
def test_quantities_that_are_none_are_left_to_kubernetes(quantity: str) -> None:
    assert response(asked(question(pod(asking({EPC: quantity, FAQ: quantity})))))["allowed"] is True


def test_a_number_beyond_floats_is_left_to_kubernetes() -> None:
    body = json.dumps(question(pod(asking({EPC: "here"})))).replace('"here"', "1e400").encode()
    assert response(review(body, Settings()))["allowed"] is True


def test_half_a_character_comes_back_as_it_came() -> None:
    """JSON may say half of a surrogate pair, which no UTF-8 holds."""
    body = json.dumps(question(pod(asking({FAQ: 1}, "\ud800")))).encode()
    assert isinstance(review(body, Settings()).verdict, AdmissionVerdict)


@pytest.mark.parametrize(
    ("filled", "words"),
    [
        ([{}] * (MAX_SIGNS // 2 + 1), "commas and brackets"),
        (["ab"] * (MAX_SIGNS + 1), "commas and brackets"),
        ([[]] * (MAX_SIGNS // 2 + 1), "commas and brackets"),
    ],
    ids=["objects", "strings", "lists"],
)
def test_more_values_than_any_pod_has_are_turned_away_unread(filled: list[Json], words: str) -> None:
    body = json.dumps(question({"annotations": filled})).encode()
    assert len(body) < MAX_SIZE
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match=words) as caught:
            review(body, Settings())
        assert caught.value.code == "DJ140"
        assert tracemalloc.get_traced_memory()[1] < len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["[1,2,3]", '{"a": "\\"b\\", c"},', "\\,{[", '\\"', ","])
def test_commas_and_brackets_within_strings_are_no_values(text: str) -> None:
    made = pod(asking({FAQ: 1}, "app", env=[{"name": "E", "value": text * (MAX_SIGNS // text.count(",") if "," in text else 1)}]))
    body = json.dumps(question(made)).encode()
    assert response(review(body, Settings()))["allowed"] is True


def test_more_containers_than_any_pod_has_are_turned_away() -> None:
    with pytest.raises(Malformed, match="12001 containers") as caught:
        review(json.dumps(question(pod(*[container()] * (MOST_CONTAINERS + 1)))).encode(), Settings())
    assert caught.value.code == "DJ140"


def test_a_pod_as_large_as_etcd_takes_is_wired_with_all_that_the_api_server_tells_of_it() -> None:
    """1.4 MB of variables; the owner of every one of them is told in `managedFields`, at more length than the variable itself."""
    variables: list[Json] = [{"name": f"VARIABLE_{number}", "value": "v" * 12} for number in range(29_000)]
    owned: JsonObject = {f'k:{{"name":"VARIABLE_{number}"}}': {".": {}, "f:name": {}, "f:value": {}} for number in range(29_000)}
    made = pod(asking({FAQ: 1}, "app", env=variables))
    assert len(json.dumps(made, separators=(",", ":"))) > 1_400_000
    fields: JsonObject = {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:env": owned}}}}
    made["metadata"] = {"name": "p", "managedFields": [{"manager": "kubectl", "fieldsV1": fields}]}
    body = json.dumps(question(made), separators=(",", ":")).encode()
    assert 3 << 20 < len(body) < MAX_SIZE
    assert "patch" in response(review(body, Settings()))


def test_a_kubelets_account_of_a_static_pod_is_known_by_who_asks() -> None:
    made = pod(asking({FAQ: 1}), annotations={"kubernetes.io/config.mirror": "x"}, nodeName="n")
    asked = question(made)
    request = asked["request"]
    assert isinstance(request, dict)
    assert review(json.dumps(asked).encode(), Settings()).outcome is ReviewOutcome.DENIED
    request["userInfo"] = {"username": "system:node:n", "groups": ["system:nodes", "system:authenticated"]}
    assert review(json.dumps(asked).encode(), Settings()).outcome is ReviewOutcome.WIRED


def test_a_large_body_costs_a_small_multiple_of_itself() -> None:
    filler = [container(f"c{number}", env=[{"name": "E", "value": "v" * 1000}]) for number in range(7_000)]
    body = json.dumps(question(pod(*filler))).encode()
    assert len(body) > MAX_SIZE * 0.85
    tracemalloc.start()
    try:
        review(body, Settings())
        assert tracemalloc.get_traced_memory()[1] < 10 * len(body)
    finally:
        tracemalloc.stop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=300)
def test_whatever_stands_where_the_pod_should_be_is_answered_or_refused_by_code(made: Json) -> None:
    body = json.dumps(question(made)).encode()
    try:
        assert response(review(body, Settings()))["allowed"] is True
    except Malformed as error:
        assert error.code in {"DJ140", "DJ141", "DJ142", "DJ143"}  # noqa: PT017 - both ends are right, an answer or a code.


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_answered_or_refused_by_code(data: bytes) -> None:
    try:
        review(data, Settings())
    except Malformed as error:
        assert error.code in {"DJ140", "DJ141", "DJ142"}  # noqa: PT017 - as above.


def test_a_key_that_stands_twice_among_very_many_is_told_at_once() -> None:
    keys = [f"{number:06}" for number in range(100_000)]
    twice = ("{" + ",".join(f'"{key}":0' for key in (*keys, keys[-1])) + "}").encode()
    began = time.process_time()
    with pytest.raises(Malformed, match=f"'{keys[-1]}' stands twice") as refused:
        parse(twice)
    assert refused.value.code == "DJ141"
    assert time.process_time() - began < SECONDS
