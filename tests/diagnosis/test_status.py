"""`donjon status` as values: what is wrong comes first, with what to do, and what cannot be seen is said."""

import base64
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

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
from donjon.admission.policies.all import DEFAULT_ACCOUNT, for_enclaves, for_the_node_agent
from donjon.admission.policies.guard import ChartValues, GuardExtent, guard
from donjon.diagnosis.agents import NOWHERE
from donjon.diagnosis.installation import RowState, Sight, StatusPart, home
from donjon.diagnosis.status import Status, judge
from donjon.findings import Severity
from donjon.formats.json import Json, JsonObject
from donjon.pki.serving import issue

RIGHTS = {"accounts": "ServiceAccount", "roles": "ClusterRole", "role_bindings": "ClusterRoleBinding"}
HIDDEN = Sight(problem="list nodes: 403 forbidden")


def errors(status: Status) -> list[str]:
    return [each.code for each in status.findings if each.severity is Severity.ERROR]


def part(status: Status, name: str) -> StatusPart:
    (found,) = [each for each in status.parts if each.name == name]
    return found


def bundle(lifetime: timedelta) -> str:
    return base64.b64encode(issue(("x",), fresh(), NOW, lifetime).authority.pem).decode()


WITH_WEBHOOK = guard(ChartValues(namespace="donjon", extent=GuardExtent.WEBHOOK))


def registration(ca: str) -> Sight:
    """The webhook's registration, as the chart has it and the webhook completed it."""
    entry: Any = deepcopy(WITH_WEBHOOK["MutatingWebhookConfiguration/donjon"])
    entry["webhooks"][0]["clientConfig"]["caBundle"] = ca
    return Sight(things=(entry,))


def with_webhook(*, ready: int = 2, ca: str | None = None, others: tuple[JsonObject, ...] = (), **fields: object) -> Status:
    deployment = workload("Deployment", "admission", readyReplicas=ready)
    world: dict[str, object] = {
        "daemon_sets": Sight(things=(daemon_set(mode="webhook"),)),
        "deployments": Sight(things=(deployment,)),
        "policies": Sight(things=tuple(each for each in WITH_WEBHOOK.values() if each["kind"] == "ValidatingAdmissionPolicy")),
        "mutating_policies": Sight(),
        "mutating_bindings": Sight(),
        "webhooks": Sight(things=(*others, *registration(bundle(timedelta(days=90)) if ca is None else ca).things)),
    }
    return changed(**world | fields)


def test_all_that_is_well_is_told_in_one_line() -> None:
    status = judge(WHOLE)
    assert status.verdict == (
        "well: pods are wired and refused as they must be (tried in namespace default), 2 of 2 agents ready, "
        "2 of 3 nodes offer 16Gi of EPC"
    )
    assert (status.well, status.findings) == (True, ())
    assert [each.name for each in status.parts] == ["policies", "agents", "nodes", "versions"]
    assert {row.state for each in status.parts for row in each.rows} == {RowState.WELL}


def test_a_binding_that_is_gone_is_told_with_what_it_lets_in_and_how_to_bring_it_back() -> None:
    status = changed(bindings=of_kind("ValidatingAdmissionPolicyBinding", without="donjon-refuse"), refusing=LET_IN)
    assert errors(status) == ["DJ024"]
    assert status.verdict == "not well: ValidatingAdmissionPolicyBinding donjon-refuse: is not there"
    assert "pods may start that Donjon refuses" in status.findings[0].why
    assert "helm get manifest donjon -n donjon | kubectl annotate --local" in status.findings[0].do
    refuses = part(status, "policies").rows[0]
    assert (refuses.state, refuses.words[:7]) == (RowState.WRONG, "not so:")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("ValidatingAdmissionPolicyBinding", "policyName", "other"),
        ("ValidatingAdmissionPolicyBinding", "validationActions", ["Audit"]),
        ("ValidatingAdmissionPolicyBinding", "matchResources", {"namespaceSelector": {"matchLabels": {"a": "b"}}}),
        ("ValidatingAdmissionPolicy", "failurePolicy", "Ignore"),
        ("ValidatingAdmissionPolicy", "validations", []),
    ],
)
def test_an_object_that_was_changed_is_told_by_its_field_and_deleted_first(kind: str, field: str, value: Json) -> None:
    (whole,) = (each for each in of_kind(kind) if dict_of(each["metadata"])["name"] == "donjon-refuse")
    other: JsonObject = whole | {"spec": {**dict_of(whole["spec"]), field: value}}
    things = Sight(things=(*of_kind(kind, without="donjon-refuse"), other))
    status = changed(**{"policies" if kind == "ValidatingAdmissionPolicy" else "bindings": things})
    assert errors(status) == ["DJ025"]
    assert status.verdict == f"not well: {kind} donjon-refuse: spec.{field} is not as Donjon printed it"
    assert f"bring it back: kubectl delete {kind.lower()} donjon-refuse && helm get manifest" in status.findings[0].do


def test_a_pod_that_is_let_in_past_policies_that_are_whole_is_told() -> None:
    status = changed(refusing=LET_IN)
    assert errors(status) == ["DJ170"]
    assert "admission plugin ValidatingAdmissionPolicy" in status.findings[0].do


def test_policies_that_another_version_printed_are_tried_and_not_compared() -> None:
    older = {
        "daemon_sets": Sight(things=(daemon_set(version="0.0.9"),)),
        "policies": of_kind("ValidatingAdmissionPolicy", without="donjon-warn"),
    }
    status = changed(**older)
    assert (status.well, status.findings[0].code) == (True, "DJ027")
    assert part(status, "policies").rows[2].words == "not compared: the chart is 0.0.9"
    let_in = changed(**older, refusing=LET_IN)
    assert errors(let_in) == ["DJ170"]
    assert "helm get manifest" in let_in.findings[0].do


def dict_of(value: Json) -> JsonObject:
    assert isinstance(value, dict)
    return value


def test_pods_that_are_not_wired_are_told_whether_they_are_refused_or_let_through() -> None:
    refused, let = (changed(wiring=each) for each in (NOT_WIRED, LET_IN))
    assert (errors(refused), errors(let)) == (["DJ171"], ["DJ171"])
    assert "a pod that asks was refused (tried in namespace default)" in refused.verdict
    assert "a pod that asks was let through as it came" in let.verdict


def test_a_binding_that_is_gone_is_why_pods_are_not_wired() -> None:
    status = changed(mutating_bindings=of_kind("MutatingAdmissionPolicyBinding", without="donjon"), wiring=NOT_WIRED)
    assert errors(status) == ["DJ024"]
    assert part(status, "policies").rows[2].words == "MutatingAdmissionPolicyBinding donjon: is not there"


def test_a_policy_that_only_warns_is_missed_as_well() -> None:
    status = changed(policies=of_kind("ValidatingAdmissionPolicy", without="donjon-warn"))
    assert errors(status) == ["DJ024"]
    assert "ValidatingAdmissionPolicy donjon-warn: is not there" in status.verdict


def test_who_may_make_no_pods_is_told_that_the_policies_were_read_and_not_tried() -> None:
    status = changed(refusing=MAY_NOT, wiring=MAY_NOT)
    assert status.well
    assert "(by what is there, not tried)" in status.verdict
    (finding,) = status.findings
    assert (finding.code, finding.do) == ("DJ139", "name a namespace where you may create pods: --namespace NAME")
    assert [row.state for row in part(status, "policies").rows[:3]] == [RowState.UNKNOWN, RowState.UNKNOWN, RowState.WELL]


def test_a_chart_without_admission_misses_no_policy_for_pods() -> None:
    ours = ("donjon-node-agent", "donjon-node-events", "donjon-uninstall")
    kept = {
        field: Sight(things=tuple(each for each in of_kind(kind) if dict_of(each["metadata"])["name"] in ours))
        for field, kind in (("policies", "ValidatingAdmissionPolicy"), ("bindings", "ValidatingAdmissionPolicyBinding"))
    }
    status = changed(
        daemon_sets=Sight(things=(daemon_set(mode="accounts"),)),
        mutating_policies=Sight(),
        mutating_bindings=Sight(),
        refusing=LET_IN,
        wiring=LET_IN,
        **kept,
    )
    assert status.well
    assert part(status, "policies").rows[0].state is RowState.ABSENT


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


@pytest.mark.parametrize(("field", "kind"), RIGHTS.items())
def test_what_gives_the_agents_their_rights_is_missed_where_it_can_be_seen(field: str, kind: str) -> None:
    status = changed(**{field: Sight()})
    assert errors(status) == ["DJ184"]
    assert status.verdict == f"not well: agents: the {kind} donjon-node is gone"
    assert status.findings[0].do.endswith("; then kubectl rollout restart daemonset -n donjon donjon-node")
    assert changed(**{field: HIDDEN}).well


def test_an_agent_that_is_not_ready_is_told_in_its_own_words() -> None:
    late = own_pod("node", "b", ready=False)
    words = "kubelet: no kubelet.sock in /folder: no new pod gets a device [DJ053]; restart the kubelet of this node"
    status = changed(
        daemon_sets=Sight(things=(daemon_set(ready=1),)),
        pods=Sight(things=(own_pod("node", "a"), late)),
        readiness={"donjon-node-b": words},
    )
    assert f"1 of 2 are ready; donjon-node-b: on b: {words}" in status.verdict
    assert status.findings[0].do.startswith("do what it says; to see more: kubectl logs -n donjon ")


def silent(name: str) -> JsonObject:
    """A node with SGX whose kubelet stopped; what its agent said last stands there."""
    words = "Kubelet stopped posting node status."
    said: JsonObject = {"type": "SGXReady", "status": "True", "message": "this node runs enclaves"}
    return worlds.saying(worlds.node(name), {"type": "Ready", "status": "Unknown", "message": words}, said)


AWAY = "the node itself is not ready: Kubelet stopped posting node status."


def test_a_node_whose_kubelet_stopped_is_told_and_not_its_agent() -> None:
    nodes = Sight(things=(worlds.node("a"), silent("b")))
    pods = Sight(
        things=(own_pod("node", "a"), own_pod("node", "b", ready=False, conditions=[{"type": "Ready", "status": "False"}]))
    )
    status = changed(daemon_sets=Sight(things=(daemon_set(ready=1),)), nodes=nodes, pods=pods)
    assert errors(status) == ["DJ181"]
    assert status.verdict == f"not well: nodes: b: {AWAY}"
    assert status.findings[0].do == "kubectl describe node b; on the node: systemctl status kubelet"
    rows = {row.name: (row.state, row.words) for each in status.parts for row in each.rows}
    assert rows["b"] == (RowState.WRONG, AWAY)
    assert rows["donjon-node-b"] == (RowState.WRONG, f"on b: {AWAY}")


def test_an_agent_with_a_trouble_of_its_own_is_told_beside_a_node_that_is_away() -> None:
    waiting: Json = {"name": "node", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    pods = (own_pod("node", "b", ready=False), own_pod("node", "a", ready=False, containerStatuses=[waiting]))
    nodes = Sight(things=(worlds.node("a"), silent("b")))
    status = changed(daemon_sets=Sight(things=(daemon_set(ready=0),)), nodes=nodes, pods=Sight(things=pods))
    assert errors(status) == ["DJ174", "DJ181"]
    assert "donjon-node-a: on a: node waits: ErrImagePull" in status.verdict


@pytest.mark.parametrize("component", ["admission", "attestation", "metrics"])
def test_a_replica_on_a_node_that_is_away_is_not_starting(component: str) -> None:
    pod = own_pod(component, "b", ready=False, conditions=[{"type": "Ready", "status": "False"}])
    deployment = workload("Deployment", component, readyReplicas=0)
    world: dict[str, object] = {"deployments": Sight(things=(deployment,)), "pods": Sight(things=(*WHOLE.pods, pod))}
    nodes = Sight(things=(worlds.node("a"), silent("b")))
    tell: Callable[..., Status] = with_webhook if component == "admission" else changed
    codes = {"admission": "DJ175", "attestation": "DJ176", "metrics": "DJ789"}
    (finding,) = [each for each in tell(**world, nodes=nodes).findings if each.code == codes[component]]
    assert finding.observation == f"0 of 2 are ready; donjon-{component}-b: {AWAY}"


def test_who_may_not_see_nodes_is_told_that_one_is_away_where_its_pod_shows_it() -> None:
    ready: Json = {"name": "node", "ready": True, "state": {"running": {"startedAt": "2026-11-22T12:00:00Z"}}}
    lost = own_pod("node", "b", ready=False, conditions=[{"type": "Ready", "status": "False"}], containerStatuses=[ready])
    status = changed(
        nodes=HIDDEN, daemon_sets=Sight(things=(daemon_set(ready=1),)), pods=Sight(things=(own_pod("node", "a"), lost))
    )
    assert errors(status) == ["DJ174"]
    assert "donjon-node-b: on b: its node is away: kubectl describe node b" in status.verdict


def test_an_uninstall_that_did_not_end_is_told_first_with_its_ways_out() -> None:
    stopped = daemon_set(desired=0, ready=0, nodeSelector=dict([NOWHERE]))
    status = changed(daemon_sets=Sight(things=(stopped,)), pods=Sight(), refusing=LET_IN, wiring=NOT_WIRED)
    assert errors(status)[0] == "DJ180"
    assert "DJ173" not in errors(status), "that no agent is there is what the uninstall did"
    assert "an uninstall was begun and has not come to its end" in status.verdict
    words = status.findings[0].do
    assert all(
        each in words for each in ("helm uninstall donjon -n donjon", "helm rollback donjon REVISION", "donjon explain DJ180")
    )


NOT_THERE: Json = {"name": "node", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
OVER: Json = {"name": "node", "state": {"terminated": {"exitCode": 3, "finishedAt": "2026-11-23T11:59:00Z"}}}
BACK = "helm rollback donjon REVISION -n donjon goes back"


def rolling(thing: JsonObject, **status: Json) -> JsonObject:
    """A workload on its way to another version."""
    return thing | {"metadata": {**dict_of(thing["metadata"]), "generation": 2}, "status": {**dict_of(thing["status"]), **status}}


@pytest.mark.parametrize("trouble", [NOT_THERE, OVER])
def test_an_upgrade_of_the_agents_that_stands_still_is_taken_back(trouble: Json) -> None:
    late = own_pod("node", "b", ready=False, image="donjon:9.9.9", containerStatuses=[trouble])
    moved = rolling(daemon_set(ready=1), observedGeneration=2, updatedNumberScheduled=1)
    status = changed(daemon_sets=Sight(things=(moved,)), pods=Sight(things=(own_pod("node", "a"), late)))
    assert errors(status) == ["DJ174"]
    assert BACK in status.findings[0].do
    (mixture,) = [each for each in status.findings if each.code == "DJ177"]
    assert BACK in mixture.do
    assert "rollout status" not in mixture.do


@pytest.mark.parametrize("trouble", [NOT_THERE, OVER])
@pytest.mark.parametrize(("component", "code"), [("admission", "DJ175"), ("attestation", "DJ176"), ("metrics", "DJ789")])
def test_an_upgrade_of_replicas_that_stands_still_is_taken_back_though_those_of_before_serve(
    component: str, code: str, trouble: Json
) -> None:
    deployment = workload("Deployment", component, readyReplicas=2)
    late = own_pod(component, "b", ready=False, containerStatuses=[trouble])
    world: dict[str, object] = {"deployments": Sight(things=(deployment,)), "pods": Sight(things=(*WHOLE.pods, late))}
    tell: Callable[..., Status] = with_webhook if component == "admission" else changed
    status = tell(**world)
    (finding,) = [each for each in status.findings if each.code == code]
    assert (status.well, BACK in finding.do) == (True, True)
    assert f"an upgrade of it stands still: donjon-{component}-b: node " in finding.observation


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "Progressing", "status": "False", "message": "ReplicaSet has timed out progressing."},
        {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
    ],
)
def test_what_the_deployment_itself_says_that_it_cannot_do_is_told(condition: JsonObject) -> None:
    for ready in (0, 2):
        deployment = workload("Deployment", "attestation", readyReplicas=ready, conditions=[condition])
        status = changed(deployments=Sight(things=(deployment,)))
        assert str(condition["message"]) in status.findings[0].observation


def test_an_upgrade_that_goes_on_is_to_be_waited_for() -> None:
    late = own_pod("node", "b", ready=False, image="donjon:0.0.9")
    moved = rolling(daemon_set(ready=1), observedGeneration=2, updatedNumberScheduled=1)
    status = changed(daemon_sets=Sight(things=(moved,)), pods=Sight(things=(own_pod("node", "a"), late)))
    (mixture,) = [each for each in status.findings if each.code == "DJ177"]
    assert mixture.do == "let the upgrade come to its end: kubectl -n donjon rollout status daemonset/donjon-node"
    assert not any(BACK in each.do for each in status.findings)


def test_a_pod_that_somebody_changed_is_to_be_made_anew_and_no_upgrade_waited_for() -> None:
    status = changed(pods=Sight(things=(own_pod("node", "a"), own_pod("node", "b", image="donjon:0.0.9"))))
    (mixture,) = status.findings
    assert mixture.do.endswith("kubectl -n donjon delete pod donjon-node-b has it made anew")


@pytest.mark.parametrize(
    ("ran", "words"), [("donjon:0.1.0", "; its image was changed to donjon:0.0.9"), ("docker.io/donjon:0.0.9", "")]
)
def test_a_container_that_ended_for_another_image_says_so(ran: str, words: str) -> None:
    over: Json = {"name": "main", "image": ran, "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-23T11:59:51Z"}}}
    late = own_pod("node", "b", ready=False, image="donjon:0.0.9", containerStatuses=[over])
    status = changed(daemon_sets=Sight(things=(daemon_set(ready=1),)), pods=Sight(things=(own_pod("node", "a"), late)))
    assert status.findings[0].observation.endswith(f"main ended with exit code 0 9 s ago{words}")


def test_agents_that_wait_for_somebody_to_delete_them_are_not_being_made() -> None:
    moved = rolling(daemon_set(), observedGeneration=2, updatedNumberScheduled=1)
    waiting = moved | {"spec": {**dict_of(moved["spec"]), "updateStrategy": {"type": "OnDelete"}}}
    pods = Sight(things=(own_pod("node", "a"), own_pod("node", "b", image="donjon:0.0.9")))
    status = changed(daemon_sets=Sight(things=(waiting,)), pods=pods)
    assert "its older pods stay until somebody deletes them" in status.verdict
    assert status.findings[1].do.endswith("kubectl -n donjon delete pod donjon-node-b")


def test_a_rollout_on_its_way_is_not_well_yet() -> None:
    status = changed(daemon_sets=Sight(things=(rolling(daemon_set()),)))
    assert errors(status) == ["DJ174"]


def test_a_daemon_set_that_is_gone_is_told_where_its_policies_are_left() -> None:
    status = changed(daemon_sets=Sight(), pods=Sight())
    assert errors(status) == ["DJ173"]
    assert "helm get manifest donjon -n donjon" in status.findings[0].do
    assert "see helm status donjon -n donjon: where it says uninstalling, donjon explain DJ180" in status.findings[0].do
    assert "release: not found (the namespace was deleted), install Donjon again" in status.findings[0].do
    assert part(status, "policies").rows[2].words == "not compared: the DaemonSet donjon-node does not say how they were printed"


def test_what_an_uninstall_left_of_a_failed_upgrade_is_told_with_the_command_that_takes_it_away() -> None:
    webhook, attestation = (workload("Deployment", each) for each in ("admission", "attestation"))
    gone: dict[str, object] = {
        **dict.fromkeys(("daemon_sets", "pods", "policies", "bindings", "mutating_policies", "mutating_bindings"), Sight()),
        "refusing": LET_IN,
    }
    left = changed(**gone, deployments=Sight(things=(webhook, attestation)), webhooks=registration(""))
    assert errors(left) == ["DJ183", "DJ183"]
    assert left.verdict == "not well: cluster: Donjon is not installed, and donjon-webhook is still there; and 1 more"
    first, second = (each.do for each in left.findings)
    assert "kubectl delete --ignore-not-found mutatingwebhookconfigurations donjon && kubectl delete -n donjon" in first
    assert (first.endswith(" donjon-webhook"), second.endswith(" donjon-attestation")) == (True, True)
    assert "helm get manifest" not in str(left.findings)
    assert errors(changed(**gone, deployments=Sight())) == ["DJ178"]


def test_a_webhook_that_the_charts_values_do_not_have_is_told_and_all_else_is_well() -> None:
    status = changed(deployments=Sight(things=(workload("Deployment", "admission"),)), webhooks=registration(""))
    assert (status.well, [each.code for each in status.findings]) == (True, ["DJ183"])
    assert part(status, "webhook").rows[0].state is RowState.DOUBTFUL


def test_a_node_that_lost_its_device_is_wrong_and_one_that_never_had_one_is_doubtful() -> None:
    message = "driver: no device (/dev/sgx_enclave): x [DJ004]; load it"
    lost = worlds.saying(worlds.node("b", ""), {"type": "SGXReady", "status": "False", "message": message})
    had = worlds.labelled(lost, {"sgx.intel.com/capable": "true"})
    wrong, doubtful = (changed(nodes=Sight(things=(worlds.node("a"), each))) for each in (had, lost))
    assert (errors(wrong), errors(doubtful)) == (["DJ179"], [])
    assert f"b not ready for enclaves: {message}" in wrong.verdict
    assert [each.code for each in doubtful.findings] == ["DJ179"]


NOTES = "this node runs enclaves; guard: x is not there [DJ024]; y: mode 0660 [DJ009]; z: absent [DJ011]"


def test_a_node_that_is_well_says_the_codes_of_its_notes_and_no_gap_of_the_guard() -> None:
    noting = worlds.saying(worlds.node("a"), {"type": "SGXReady", "status": "True", "message": NOTES})
    status = changed(nodes=Sight(things=(noting, worlds.node("b"))))
    assert [row.words for row in part(status, "nodes").rows] == [
        "8Gi of EPC; SGXReady True (DJ009, DJ011)",
        "8Gi of EPC; SGXReady True",
    ]


def test_nodes_that_say_the_same_say_it_once() -> None:
    lost = [
        worlds.labelled(
            worlds.saying(worlds.node(name, ""), {"type": "SGXReady", "status": "False", "message": "no device [DJ004]"}),
            {"sgx.intel.com/capable": "true"},
        )
        for name in "abc"
    ]
    rows = part(changed(nodes=Sight(things=tuple(lost))), "nodes").rows
    assert [row.words for row in rows] == ["no EPC; SGXReady False: no device [DJ004]", "the same as a", "the same as a"]


def test_a_node_that_takes_no_pods_says_why_and_the_verdict_where_none_does() -> None:
    one, other = (
        worlds.node("a", unschedulable=True),
        worlds.node("b", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]),
    )
    tolerant = daemon_set(tolerations=[{"operator": "Exists"}])
    some = changed(nodes=Sight(things=(one, other)), daemon_sets=Sight(things=(tolerant,)))
    assert some.findings == ()
    assert [row.words for row in part(some, "nodes").rows] == [
        "8Gi of EPC; cordoned; SGXReady True",
        "8Gi of EPC; taint k=v:NoSchedule; SGXReady True",
    ]
    none = changed(nodes=Sight(things=(one, worlds.node("plain", ""))), daemon_sets=Sight(things=(tolerant,)))
    assert (none.well, [each.code for each in none.findings]) == (True, ["DJ182"])
    assert none.verdict.endswith("1 of 2 nodes offer 8Gi of EPC, all of them cordoned")


def test_a_node_whose_kubelet_remembers_devices_is_doubtful_though_its_agent_sees_no_sgx() -> None:
    plain = worlds.saying(worlds.node("c", ""), {"type": "SGXReady", "status": "False", "message": "cpu: no SGX: x [DJ001]"})
    had = plain | {"status": {**dict_of(plain["status"]), "capacity": {worlds.ENCLAVE: "0"}}}
    status = changed(
        nodes=Sight(things=(worlds.node("a"), worlds.node("b"), had)), pods=Sight(things=(*WHOLE.pods, own_pod("node", "c")))
    )
    assert (status.well, [each.code for each in status.findings]) == (True, ["DJ179"])
    assert "cpu: no SGX: x [DJ001]" in status.findings[0].observation


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


@pytest.mark.parametrize(
    ("words", "do"),
    [
        ("its certificate cannot be looked after [DJ147]; the log says why", "helm get manifest donjon -n donjon"),
        ("its certificate cannot be looked after [DJ146]; the log says why", "donjon explain DJ146"),
        ("serving certificate: ended 2026-11-22T12:00:00Z [DJ149]", "donjon explain DJ149"),
    ],
)
def test_what_ready_replicas_of_the_webhook_have_to_say_is_a_warning_and_told_once(words: str, do: str) -> None:
    pods = (*WHOLE.pods, own_pod("admission", "a"), own_pod("admission", "b"))
    readiness = {f"donjon-admission-{each}": f"ok: {words}" for each in "ab"}
    status = with_webhook(pods=Sight(things=pods), readiness=readiness)
    [finding] = status.findings
    assert (status.well, finding.code, finding.severity) == (True, "DJ175", Severity.WARNING)
    assert finding.observation.endswith(f"is ready, and says: {words}")
    assert do in finding.do


def test_a_ready_pod_that_says_ok_or_that_its_root_is_simulated_is_no_warning() -> None:
    pods = (*WHOLE.pods, own_pod("attestation", "a"), own_pod("attestation", "b"))
    deployments = Sight(things=(workload("Deployment", "attestation", readyReplicas=2),))
    readiness = {"donjon-attestation-a": "ok", "donjon-attestation-b": "ok: simulated, the trust root is not Intel's"}
    assert not changed(deployments=deployments, pods=Sight(things=pods), readiness=readiness).findings


def test_a_webhook_that_runs_and_wires_nobody_is_told() -> None:
    status = with_webhook(wiring=NOT_WIRED)
    assert errors(status) == ["DJ171"]
    assert status.findings[0].do == "see the webhook: kubectl -n donjon get pods,events"


def test_a_registration_that_is_gone_is_told_once() -> None:
    status = with_webhook(webhooks=Sight(), wiring=NOT_WIRED)
    assert errors(status) == ["DJ024"]
    assert "MutatingWebhookConfiguration donjon: is not there" in status.verdict


def test_programs_that_are_gone_or_scaled_to_nothing_are_told_with_the_command_that_brings_them_back() -> None:
    idle = workload("Deployment", "admission")
    idle["spec"] = {**dict_of(idle["spec"]), "replicas": 0}
    gone, none = (with_webhook(deployments=Sight(things=each)) for each in ((), (idle,)))
    assert (errors(gone), errors(none)) == (["DJ175"], ["DJ175"])
    assert "helm get manifest donjon -n donjon" in gone.findings[0].do
    assert none.findings[0].do == "kubectl -n donjon scale deployment donjon-webhook --replicas=2"


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


def test_while_certificates_change_over_the_last_authority_to_end_counts() -> None:
    """The webhook tells a new authority before it serves under it, and the one of before until it ends."""
    ends = [timedelta(hours=-1), timedelta(days=20), timedelta(days=90)]
    several = b"".join(base64.b64decode(bundle(each)) for each in ends)
    status = with_webhook(ca=base64.b64encode(several).decode())
    assert not status.findings
    assert "ends at 2027-02-21 12:00 UTC" in part(status, "webhook").rows[1].words


def test_the_end_of_the_webhooks_authority_is_shown() -> None:
    assert "ends at 2027-02-21 12:00 UTC" in part(with_webhook(), "webhook").rows[1].words


def test_a_metrics_server_is_told_where_it_is_with_its_own_words() -> None:
    pods = (*WHOLE.pods, own_pod("metrics", "a", ready=False), own_pod("metrics", "b", ready=False))
    none = changed(
        deployments=Sight(things=(workload("Deployment", "metrics", readyReplicas=0),)),
        pods=Sight(things=pods),
        readiness={"donjon-metrics-a": "not known yet: front proxy; the log says why"},
    )
    assert errors(none) == ["DJ789"]
    assert "0 of 2 are ready; donjon-metrics-a: not known yet: front proxy" in none.verdict
    well = changed(deployments=Sight(things=(workload("Deployment", "metrics", readyReplicas=2),)))
    assert "2 of 2 of donjon-metrics ready" in well.verdict


def enclave_calls(ca: str | None) -> Sight:
    """The registration of what admits by an enclave's identity, as it completes it, or as the chart leaves it."""
    entry: Any = deepcopy(for_enclaves("donjon", "donjon", "donjon-enclaves")[0])
    if ca is not None:
        entry["webhooks"][0]["clientConfig"]["caBundle"] = ca
    return Sight(things=(entry,))


def test_what_admits_by_an_enclaves_identity_is_told_where_it_is_and_what_its_absence_means() -> None:
    ca = bundle(timedelta(days=90))
    ready = Sight(things=(workload("Deployment", "enclaves", readyReplicas=2),))
    well = changed(deployments=ready, webhooks=enclave_calls(ca))
    assert (well.well, "2 of 2 of donjon-enclaves ready" in well.verdict) == (True, True)
    assert "ends at 2027-02-21 12:00 UTC" in part(well, "enclave admission").rows[1].words
    pods = (*WHOLE.pods, own_pod("enclaves", "a", ready=False))
    down = changed(
        deployments=Sight(things=(workload("Deployment", "enclaves", readyReplicas=0),)),
        pods=Sight(things=pods),
        webhooks=enclave_calls(ca),
        readiness={"donjon-enclaves-a": "not read yet: enclavepolicies [DJ380]; the log says why"},
    )
    assert errors(down) == ["DJ386"]
    assert "0 of 2 are ready; donjon-enclaves-a: not read yet: enclavepolicies [DJ380]" in down.verdict
    assert "DJ375" in down.findings[0].why


def test_what_admits_by_an_enclaves_identity_is_not_well_where_the_api_server_cannot_call_it() -> None:
    ready = Sight(things=(workload("Deployment", "enclaves", readyReplicas=2),))
    mistrusted = changed(deployments=ready, webhooks=enclave_calls(None))
    assert errors(mistrusted) == ["DJ386"]
    assert "caBundle is empty" in mistrusted.verdict
    unregistered = changed(deployments=ready)
    assert "no registration of the webhook" in unregistered.verdict
    assert "bring it back" in unregistered.findings[0].do
    gone = changed(webhooks=enclave_calls(bundle(timedelta(days=90))))
    assert "its Deployment is gone" in gone.verdict


def test_who_may_not_see_registrations_is_told_no_more_of_enclave_admission_than_its_replicas() -> None:
    ready = Sight(things=(workload("Deployment", "enclaves", readyReplicas=2),))
    status = changed(deployments=ready, webhooks=HIDDEN)
    assert part(status, "enclave admission").rows[1].state is RowState.UNKNOWN


def test_that_metrics_server_gives_no_answer_is_worth_a_look() -> None:
    status = changed(
        deployments=Sight(things=(workload("Deployment", "metrics", readyReplicas=2),)),
        pods=Sight(things=(*WHOLE.pods, own_pod("metrics", "a"))),
        readiness={"donjon-metrics-a": "ok: metrics-server gave no answer when it was last asked [DJ720]; the log says why"},
    )
    assert status.well
    (finding,) = (each for each in status.findings if each.code == "DJ789")
    assert "metrics-server gave no answer" in finding.observation
    assert (finding.why.partition(" ")[0], finding.do) == ("kubectl", "donjon explain DJ720")


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
    (finding,) = (each for each in status.findings if each.code == "DJ176")
    into_the_pod = (
        "kubectl -n donjon exec -i deployment/donjon-attestation -- donjon collateral import /dev/stdin < collateral.json"
    )
    assert f"{into_the_pod}, then kubectl -n donjon rollout restart deployment/donjon-attestation" in finding.do


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
    assert part(status, "agents").rows[0].state is RowState.UNKNOWN
