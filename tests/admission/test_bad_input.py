"""Bad input through every door: deciding itself, the webhook's review, and `donjon check`. Bounded, answered, nothing lost."""

import base64
import json

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.admission.pods import AKS, ALIBABA, ENCLAVE, EPC, FAQ, PROVISION, asking, container, pod
from tests.admission.samples import QUOTE_PROVIDER, limited
from tests.admission.shapes import PODS, QUANTITIES
from tests.admission.test_review import question, response

from donjon.admission.intent import read
from donjon.admission.manifests.api_server import complaints, complete
from donjon.admission.nodes import LargestNode
from donjon.admission.review import review
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import AdmissionVerdict, decide
from donjon.cli.check import check
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.patch import Add, Operation, Remove, apply

AROUND = AdmissionContext(namespace="team", made_by="DaemonSet", largest_node=LargestNode(name="n", epc=0, nodes_seen=1))
SETTINGS = Settings(provision_by_annotation=True, refuse_host_devices=True)
NAMES = (EPC, FAQ, AKS, ALIBABA)


def verdict(made: JsonObject) -> AdmissionVerdict:
    return decide(made, AROUND, SETTINGS)


def checked(made: Json, *arguments: str) -> Result:
    return CliRunner().invoke(check, ["-", *arguments], input=json.dumps(made), catch_exceptions=False)


def of_kind(made: JsonObject, kind: str) -> JsonObject:
    """The pod, or a DaemonSet that makes it."""
    if kind == "Pod":
        return made | {"apiVersion": "v1", "kind": kind}
    return {"apiVersion": "apps/v1", "kind": kind, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": made}}


def same(one: Json, other: Json) -> bool:
    """Whether two values are the same, NaN too."""
    return repr(one) == repr(other)


# Deciding.


@given(PODS)
@settings(max_examples=400)
def test_deciding_never_raises_and_patching_twice_is_patching_once(made: JsonObject) -> None:
    before = repr(made)
    once = verdict(made)
    assert repr(made) == before
    assert same(apply(made, once.patch), once.admitted)
    assert verdict(once.admitted).patch == ()
    again = [reason for reason in verdict(once.admitted).findings if reason.code != "DJ116"]
    assert again == [reason for reason in once.findings if reason.code != "DJ116"], "DJ116 is about the pod as it was written"


@given(PODS.filter(lambda made: not any(name in repr(made) for name in (*NAMES, ENCLAVE, PROVISION))))
def test_a_pod_that_does_not_ask_yields_no_patch_and_no_finding(made: JsonObject) -> None:
    assert verdict(made).patch == ()
    assert verdict(made).findings == ()


@given(PODS.filter(lambda made: not any(name in repr(at(made, "spec")) for name in NAMES)))
def test_a_pod_that_names_no_epc_yields_no_patch_whatever_else_it_asks_for_and_annotates(made: JsonObject) -> None:
    assert verdict(made).patch == ()


NOTHINGS: st.SearchStrategy[Json] = st.sampled_from([0, "0", "0Mi", "-0", "", "ten", -1, "-1Gi", True, None, [], {}, "1e", "Ki"])


@given(st.lists(NOTHINGS, min_size=1, max_size=3), st.sampled_from(["app", "aesmd", "nobody"]))
def test_epc_of_nothing_is_not_asking(amounts: list[Json], provider: str) -> None:
    containers = [asking({EPC: amount}, name) for amount, name in zip(amounts, ("app", "aesmd", "c"), strict=False)]
    made = pod(*containers, annotations={QUOTE_PROVIDER: provider}, nodeName="n", os={"name": "windows"})
    assert verdict(made).patch == ()
    assert verdict(made).findings == ()
    assert not read(made).asks


@given(PODS)
def test_what_kubernetes_itself_does_is_told_without_raising(made: JsonObject) -> None:
    assert same(complete(complete(made)), complete(made))
    assert all(complaint.finding.code == "DJ120" for complaint in complaints(complete(made)))


# The webhook's review.


def patch_of(answer: JsonObject) -> list[Operation]:
    told = json.loads(base64.b64decode(str(answer.get("patch", "W10="))))
    return [Add(path=each["path"], value=each["value"]) if each["op"] == "add" else Remove(path=each["path"]) for each in told]


@given(PODS)
@settings(max_examples=200)
def test_whatever_pod_is_reviewed_is_answered_with_a_patch_that_fits_and_is_the_last(made: JsonObject) -> None:
    made = json.loads(json.dumps(made).replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0"))
    answer = response(review(json.dumps(question(made)).encode(), SETTINGS))
    assert answer["allowed"] is True
    again = response(review(json.dumps(question(apply(made, patch_of(answer)))).encode(), SETTINGS))
    assert "patch" not in again


# donjon check.


@given(PODS, st.sampled_from(["Pod", "DaemonSet"]))
@settings(max_examples=100)
def test_whatever_manifest_is_checked_ends_with_a_verdict_or_as_unreadable(made: JsonObject, kind: str) -> None:
    done = checked(of_kind(made, kind), "--refuse-host-devices")
    assert done.exit_code in {0, 1}
    assert "1 with pods looked at" in done.stdout


def test_an_annotation_that_is_no_text_stays_what_is_told_of_it() -> None:
    """Where what was printed held another one, the error of the first look was gone in the second."""
    made = pod(asking({EPC: "10Mi"}), annotations={EPC: []})
    printed = checked(made, "-o", "yaml")
    again = CliRunner().invoke(check, ["-"], input=printed.stdout, catch_exceptions=False)
    assert (printed.exit_code, again.exit_code) == (1, 1)


@given(PODS)
@settings(max_examples=100)
def test_what_check_prints_as_admitted_has_nothing_left_to_patch(made: JsonObject) -> None:
    printed = checked(of_kind(made, "Pod"), "-o", "yaml")
    again = CliRunner().invoke(check, ["-", "-o", "json"], input=printed.stdout, catch_exceptions=False)
    assert again.exit_code == printed.exit_code
    (told,) = json.loads(again.stdout)["checked"]
    assert told["patch"] == []


# Sizes, and what is named in the issues of others.


@pytest.mark.parametrize(
    "quantity", ["1e400", "-1e400", "1e-400", "1e999999999", "9" * 200, "9" * 4000, "", "1 0", "0x10", "١", "1_0", "1" * 129]
)
@pytest.mark.parametrize("name", NAMES)
def test_a_quantity_that_is_none_or_beyond_all_is_refused_by_check_and_answered_by_the_webhook(name: str, quantity: str) -> None:
    made = pod(asking({name: quantity}))
    done = checked(made)
    assert done.exit_code == 1
    assert any(f"[{code}]" in done.stdout for code in ("DJ103", "DJ120"))
    assert response(review(json.dumps(question(made)).encode(), SETTINGS))["allowed"] is True


@given(QUANTITIES, QUANTITIES)
def test_a_quantity_of_any_type_is_no_trouble(limit: Json, request: Json) -> None:
    made = pod(container(resources={"limits": {EPC: limit, FAQ: request}, "requests": {EPC: request}}))
    assert verdict(verdict(made).admitted).patch == ()


def test_ten_thousand_containers_that_ask_are_refused_in_one_sentence() -> None:
    many = [asking({FAQ: 1, PROVISION: 1}, f"c{number}") for number in range(10_000)]
    decided = verdict(pod(*many))
    (finding,) = decided.findings
    assert finding.sentence().startswith("pod: has 10000 containers and asks for SGX: the rules are applied to no more than 100")
    assert decided.patch == ()


def test_ten_thousand_containers_that_do_not_ask_are_none_of_our_business() -> None:
    decided = verdict(pod(*(container(f"c{number}") for number in range(10_000))))
    assert (decided.patch, decided.findings) == ((), ())


@pytest.mark.parametrize(
    ("asks", "codes"),
    [(True, ["DJ113", "DJ114"]), (False, ["DJ114"])],
)
@pytest.mark.parametrize("refused", [True, False])
def test_the_hosts_devices_are_seen_behind_any_number_of_containers(*, asks: bool, refused: bool, codes: list[str]) -> None:
    limits: JsonObject = {EPC: "1Mi"} if asks else {}
    device: Json = [{"name": "d", "hostPath": {"path": "/dev/sgx_enclave"}}]
    many = pod(*(asking(limits, f"c{number}") for number in range(200)), volumes=device)
    found = decide(many, AdmissionContext(namespace="team"), Settings(refuse_host_devices=refused)).findings
    assert [finding.code for finding in found] == codes


def test_check_refuses_ten_thousand_containers_in_one_line() -> None:
    done = checked(pod(*[limited({EPC: 1}, f"c{number}") for number in range(10_000)]))
    assert done.exit_code == 1
    assert done.stdout.count("[DJ") == 1
    assert "[DJ113]" in done.stdout
    assert len(done.stdout) < 1000


def test_deep_nesting_is_carried_along_by_the_rules_and_turned_away_at_the_doors() -> None:
    deep: Json = {}
    for _ in range(100_000):
        deep = {"a": deep}
    made = pod(asking({FAQ: 10}), unknown=deep)
    assert at(verdict(made).admitted, "spec", "unknown") is deep
    done = CliRunner().invoke(check, ["-"], input='{"kind": "Pod", "spec": ' * 200 + "{}" + "}" * 200, catch_exceptions=False)
    assert done.exit_code == 2
    assert "[DJ931]" in done.stderr
