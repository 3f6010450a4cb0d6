"""`donjon status` as values: what is wrong comes first, with what to do, and what cannot be seen is said."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.diagnosis import worlds
from tests.diagnosis.installations import (
    LET_IN,
    MAY_NOT,
    NOT_WIRED,
    WHOLE,
    changed,
    daemon_set,
    of_kind,
    own_pod,
    workload,
)
from tests.diagnosis.worlds import NOW

from donjon.adapters.keys import fresh
from donjon.admission.policies.all import DEFAULT_ACCOUNT, for_the_node_agent
from donjon.diagnosis.installation import Sight, State, StatusPart, home
from donjon.diagnosis.status import Status, judge
from donjon.findings import Severity
from donjon.formats.json import Json, JsonObject
from donjon.pki.serving import issue

HIDDEN = Sight(problem="list nodes: 403 forbidden")


def errors(status: Status) -> list[str]:
    return [each.code for each in status.findings if each.severity is Severity.ERROR]


def part(status: Status, name: str) -> StatusPart:
    (found,) = [each for each in status.parts if each.name == name]
    return found


def bundle(lifetime: timedelta) -> str:
    return base64.b64encode(issue(("x",), fresh(), NOW, lifetime).authority.pem).decode()


def registration(ca: str) -> Sight:
    hook: Json = {"name": "x", "clientConfig": {"caBundle": ca}}
    return Sight(things=({"metadata": {"name": "donjon"}, "webhooks": [hook]},))


def with_webhook(*, ready: int = 2, ca: str | None = None, others: tuple[JsonObject, ...] = (), **fields: object) -> Status:
    deployment = workload("Deployment", "admission", readyReplicas=ready)
    return changed(
        daemon_sets=Sight(things=(daemon_set(mode="webhook"),)),
        deployments=Sight(things=(deployment,)),
        mutating_policies=Sight(),
        mutating_bindings=Sight(),
        webhooks=Sight(things=(*others, *registration(bundle(timedelta(days=90)) if ca is None else ca).things)),
        **fields,
    )


def test_all_that_is_well_is_told_in_one_line() -> None:
    status = judge(WHOLE)
    assert status.verdict == (
        "well: pods are wired and refused as they must be (tried in namespace default), 2 of 2 agents ready, "
        "2 of 3 nodes offer 16Gi of EPC"
    )
    assert (status.well, status.findings) == (True, ())
    assert [each.name for each in status.parts] == ["policies", "agents", "nodes", "versions"]
    assert {row.state for each in status.parts for row in each.rows} == {State.WELL}


def test_a_binding_that_is_gone_is_told_with_what_it_lets_in_and_how_to_bring_it_back() -> None:
    status = changed(bindings=of_kind("ValidatingAdmissionPolicyBinding", without="donjon-refuse"), refusing=LET_IN)
    assert errors(status) == ["DJ170"]
    assert status.verdict.startswith(
        "not well: policies: ValidatingAdmissionPolicyBinding donjon-refuse is gone; a pod that must be refused was let in"
    )
    assert "helm get manifest donjon -n donjon | kubectl apply" in status.findings[0].do


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"policyName": "other", "validationActions": ["Deny", "Audit"]}, "binds other"),
        ({"policyName": "donjon-refuse", "validationActions": ["Audit"]}, "does not Deny"),
        (
            {
                "policyName": "donjon-refuse",
                "validationActions": ["Deny", "Audit"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}, "matchPolicy": "Equivalent"},
            },
            "is narrowed by its namespaceSelector",
        ),
    ],
)
def test_a_binding_that_was_changed_is_told(spec: JsonObject, words: str) -> None:
    other: JsonObject = {"metadata": {"name": "donjon-refuse"}, "spec": spec}
    rest = of_kind("ValidatingAdmissionPolicyBinding", without="donjon-refuse").things
    status = changed(bindings=Sight(things=(*rest, other)))
    assert errors(status) == ["DJ170"]
    assert words in status.verdict


def test_defaults_that_the_api_server_fills_in_are_no_change() -> None:
    bindings = of_kind("ValidatingAdmissionPolicyBinding").things
    filled: Json = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    spec: list[JsonObject] = [{**each, "spec": {**dict_of(each["spec"]), "matchResources": filled}} for each in bindings]
    assert changed(bindings=Sight(things=tuple(spec))).well


def dict_of(value: Json) -> JsonObject:
    assert isinstance(value, dict)
    return value


def test_pods_that_are_not_wired_are_told_whether_they_are_refused_or_let_through() -> None:
    gone = of_kind("MutatingAdmissionPolicyBinding", without="donjon")
    refused = changed(mutating_bindings=gone, wiring=NOT_WIRED)
    let = changed(mutating_bindings=gone, wiring=LET_IN)
    assert (errors(refused), errors(let)) == (["DJ171"], ["DJ171"])
    assert "MutatingAdmissionPolicyBinding donjon is gone; a pod that asks was refused" in refused.verdict
    assert "a pod that asks was let through as it came" in let.verdict


def test_a_policy_that_only_warns_is_missed_as_well() -> None:
    status = changed(policies=of_kind("ValidatingAdmissionPolicy", without="donjon-warn"))
    assert errors(status) == ["DJ172"]
    assert "ValidatingAdmissionPolicy donjon-warn is gone" in status.verdict


def test_who_may_make_no_pods_is_told_that_the_policies_were_read_and_not_tried() -> None:
    status = changed(refusing=MAY_NOT, wiring=MAY_NOT)
    assert status.well
    assert "(by what is there, not tried)" in status.verdict
    (finding,) = status.findings
    assert (finding.code, finding.do) == ("DJ139", "name a namespace where you may create pods: --namespace NAME")
    assert [row.state for row in part(status, "policies").rows[:3]] == [State.UNKNOWN, State.UNKNOWN, State.WELL]


def test_a_chart_without_admission_misses_no_policy_for_pods() -> None:
    ours = ("donjon-node-agent", "donjon-node-events", "donjon-uninstall")
    kept = {
        field: Sight(things=tuple(each for each in of_kind(kind) if dict_of(each["metadata"])["name"] in ours))
        for field, kind in (("policies", "ValidatingAdmissionPolicy"), ("bindings", "ValidatingAdmissionPolicyBinding"))
    }
    status = changed(
        daemon_sets=Sight(things=(daemon_set(mode="off"),)),
        mutating_policies=Sight(),
        mutating_bindings=Sight(),
        refusing=LET_IN,
        wiring=LET_IN,
        **kept,
    )
    assert status.well
    assert part(status, "policies").rows[0].state is State.ABSENT


def test_a_node_with_sgx_and_no_agent_is_named_with_what_keeps_the_agent_away() -> None:
    selecting = daemon_set(desired=1, ready=1, nodeSelector={"pool": "sgx"})
    labelled = worlds.labelled(worlds.node("a"), {"pool": "sgx"})
    status = changed(
        daemon_sets=Sight(things=(selecting,)),
        nodes=Sight(things=(labelled, worlds.node("b"))),
        pods=Sight(things=(own_pod("node", "a"),)),
    )
    assert errors(status) == ["DJ173"]
    assert "no donjon-node pod on b: its DaemonSet wants nodeSelector pool=sgx, and it has no label pool" in status.verdict


def test_a_taint_keeps_an_agent_away() -> None:
    tainted = worlds.node("b", taints=[{"key": "team", "value": "x", "effect": "NoSchedule"}])
    status = changed(nodes=Sight(things=(worlds.node("a"), tainted)), pods=Sight(things=(own_pod("node", "a"),)))
    assert "no donjon-node pod on b: it does not tolerate the taint team=x:NoSchedule" in status.verdict


def test_an_agent_that_is_not_ready_is_named_with_its_reason() -> None:
    waiting: Json = {"name": "node", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    late = own_pod("node", "b", ready=False, containerStatuses=[waiting])
    status = changed(daemon_sets=Sight(things=(daemon_set(ready=1),)), pods=Sight(things=(own_pod("node", "a"), late)))
    assert errors(status) == ["DJ174"]
    assert "1 of 2 are ready; donjon-node-b: on b: node waits: ErrImagePull: no such image" in status.verdict


def test_a_rollout_on_its_way_is_not_well_yet() -> None:
    rolling = daemon_set()
    status = changed(daemon_sets=Sight(things=(rolling | {"metadata": {**dict_of(rolling["metadata"]), "generation": 2}},)))
    assert errors(status) == ["DJ174"]


def test_a_daemon_set_that_is_gone_is_told_where_its_policies_are_left() -> None:
    status = changed(daemon_sets=Sight(), pods=Sight())
    assert errors(status) == ["DJ173"]


def test_a_node_that_lost_its_device_is_wrong_and_one_that_never_had_one_is_doubtful() -> None:
    message = "driver: no device (/dev/sgx_enclave): x [DJ004]; load it"
    lost = worlds.saying(worlds.node("b", ""), {"type": "SGXReady", "status": "False", "message": message})
    had = worlds.labelled(lost, {"sgx.intel.com/capable": "true"})
    wrong, doubtful = (changed(nodes=Sight(things=(worlds.node("a"), each))) for each in (had, lost))
    assert (errors(wrong), errors(doubtful)) == (["DJ179"], [])
    assert f"b not ready for enclaves: {message}" in wrong.verdict
    assert [each.code for each in doubtful.findings] == ["DJ179"]


def test_a_node_whose_agent_says_that_it_has_no_sgx_is_plain() -> None:
    plain = worlds.saying(worlds.node("c", ""), {"type": "SGXReady", "status": "False", "message": "cpu: no SGX: x [DJ001]"})
    status = changed(nodes=Sight(things=(worlds.node("a"), worlds.node("b"), plain)))
    assert (status.well, status.findings) == (True, ())


def test_a_webhook_that_is_down_is_told_once_and_not_as_pods_that_are_not_wired() -> None:
    assert with_webhook().well
    status = with_webhook(ready=0, wiring=NOT_WIRED)
    assert errors(status) == ["DJ175"]


def test_donjon_is_where_the_objects_of_administrators_say() -> None:
    elsewhere = for_the_node_agent("donjon", replace(DEFAULT_ACCOUNT, namespace="sgx"))
    policies = Sight(things=tuple(each for each in elsewhere if each["kind"] == "ValidatingAdmissionPolicy"))
    service: JsonObject = {"name": "x", "clientConfig": {"service": {"namespace": "hooks"}}}
    webhooks = Sight(things=({"metadata": {"name": "donjon"}, "webhooks": [service]},))
    assert home(policies, webhooks) == "sgx"
    assert home(Sight(), webhooks) == "hooks"
    assert home(Sight(problem="no right"), Sight()) == "donjon"


def test_another_webhook_of_the_cluster_is_none_of_ours() -> None:
    foreign: JsonObject = {"metadata": {"name": "other"}, "webhooks": [{"name": "x", "clientConfig": {"caBundle": "bm9uZQ=="}}]}
    assert with_webhook(others=(foreign,)).well


def test_a_webhook_with_a_replica_less_is_a_warning() -> None:
    status = with_webhook(ready=1)
    assert (status.well, [each.code for each in status.findings]) == (True, ["DJ175"])


def test_a_registration_that_is_gone_wires_nobody() -> None:
    status = with_webhook(wiring=NOT_WIRED)
    gone = replace(WHOLE, webhooks=Sight(), mutating_policies=Sight(), mutating_bindings=Sight(), wiring=NOT_WIRED)
    deployment = workload("Deployment", "admission", readyReplicas=2)
    gone = replace(gone, deployments=Sight(things=(deployment,)), daemon_sets=Sight(things=(daemon_set(mode="webhook"),)))
    assert errors(status) == ["DJ171"]
    assert "MutatingWebhookConfiguration donjon is gone" in judge(gone).verdict


@pytest.mark.parametrize(
    ("ca", "words"),
    [
        ("", "caBundle is empty"),
        ("bm9uZQ==", "caBundle is no certificate"),
        (bundle(timedelta(hours=-1)), "ended at 2026-11-23 11:00 UTC"),
    ],
)
def test_an_authority_that_the_api_server_cannot_trust_is_told(ca: str, words: str) -> None:
    status = with_webhook(ca=ca)
    assert errors(status) == ["DJ175"]
    assert words in status.verdict


def test_the_end_of_the_webhooks_authority_is_shown() -> None:
    assert "ends at 2027-02-21 12:00 UTC" in part(with_webhook(), "webhook").rows[1].words


def test_an_attestation_service_that_is_not_ready_is_told_in_its_own_words() -> None:
    deployment = workload("Deployment", "attestation", readyReplicas=0)
    pods = (*WHOLE.pods, own_pod("attestation", "a", ready=False))
    status = changed(
        deployments=Sight(things=(deployment,)),
        pods=Sight(things=pods),
        readiness={"donjon-attestation-a": "collateral: none that holds [DJ512]"},
    )
    assert errors(status) == ["DJ176"]
    assert "0 of 2 are ready; donjon-attestation-a: collateral: none that holds [DJ512]" in status.verdict


def test_an_attestation_service_without_a_node_is_told_in_the_schedulers_words() -> None:
    unscheduled: list[Json] = [{"type": "PodScheduled", "status": "False", "message": "unbound PersistentVolumeClaims"}]
    pod = own_pod("attestation", "a", ready=False, phase="Pending", conditions=unscheduled)
    status = changed(deployments=Sight(things=(workload("Deployment", "attestation"),)), pods=Sight(things=(*WHOLE.pods, pod)))
    assert "it has no node: unbound PersistentVolumeClaims" in status.verdict


def test_an_api_server_that_is_too_old_for_what_wires_is_told() -> None:
    assert errors(changed(server_version="v1.35.1")) == ["DJ177"]
    assert with_webhook(server_version="v1.30.0").well
    assert errors(with_webhook(server_version="v1.29.9")) == ["DJ177"]


def test_agents_and_a_command_of_other_versions_are_warnings() -> None:
    of_old = changed(pods=Sight(things=(own_pod("node", "a"), own_pod("node", "b", image="donjon:0.0.9"))))
    newer = changed(client_version="0.2.0")
    assert of_old.well
    assert newer.well
    assert "1 of its pods run another: donjon:0.0.9" in of_old.findings[0].observation
    assert "this program is 0.2.0" in newer.findings[0].observation


def test_a_cluster_without_donjon_is_told_how_to_install_it() -> None:
    nothing = Sight()
    status = changed(
        daemon_sets=nothing,
        pods=nothing,
        policies=nothing,
        bindings=nothing,
        mutating_policies=nothing,
        mutating_bindings=nothing,
        wiring=LET_IN,
        refusing=LET_IN,
    )
    assert (errors(status), status.parts) == (["DJ178"], ())


def test_what_may_not_be_seen_is_said_and_not_guessed() -> None:
    status = changed(
        nodes=HIDDEN,
        daemon_sets=HIDDEN,
        deployments=HIDDEN,
        pods=HIDDEN,
        policies=HIDDEN,
        bindings=HIDDEN,
        mutating_policies=HIDDEN,
        mutating_bindings=HIDDEN,
        webhooks=HIDDEN,
    )
    assert status.well
    assert {each.code for each in status.findings} == {"DJ139"}
    assert status.verdict == (
        "well: pods are wired and refused as they must be (tried in namespace default); "
        "not seen: policies, agents, nodes, attestation service"
    )
    assert part(status, "agents").rows[0].state is State.UNKNOWN
