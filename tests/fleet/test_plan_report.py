"""What a plan comes to: workloads, reasons, the EPC of nodes, and for whom there are too few machines."""

from collections.abc import Mapping

from tests.fleet.scheduling import EPC, HOST, MIB, node, pod, required

from donjon.fleet.scheduling.outlook import Prospect, outlook
from donjon.fleet.scheduling.report import PlanReport, report
from donjon.formats.json import JsonObject


def of(
    nodes: list[JsonObject], pods: list[JsonObject], queue: list[JsonObject], use: Mapping[str, int] | None = None
) -> PlanReport:
    return report(nodes, queue, outlook(nodes, pods, queue), use or {})


def test_of_what_is_scarce_the_most_that_is_free_is_said() -> None:
    nodes = [node("a", 64), node("b", 64), node("plain")]
    whole = of(nodes, [pod("r", 60, at="a"), pod("s", 40, at="b")], [pod("p", 32)])
    (workload,) = whole.workloads
    assert workload.prospects == {Prospect.PENDING: 1}
    assert workload.why == ("2 nodes: too little EPC free: at most 24Mi of 32Mi", "1 node: offers no EPC")


def test_a_pod_that_no_node_could_hold_is_one_for_whom_a_machine_is_bought() -> None:
    (group,) = of([node("a", 64)], [], [pod("p", 128)]).short
    assert group.replicas == 1
    assert group.requests[EPC] == 128 * MIB


def test_a_pod_that_wants_a_label_nobody_has_is_helped_by_no_machine() -> None:
    whole = of([node("a", 64)], [], [pod("p", 1, nodeSelector={"tier": "gold"})])
    assert whole.workloads[0].prospects == {Prospect.PENDING: 1}
    assert whole.short == ()


def test_nothing_is_bought_for_a_pod_without_epc() -> None:
    assert of([node("a", 64)], [], [pod("p", cpu="64")]).short == ()


def test_without_any_node_everything_is_to_be_bought() -> None:
    whole = of([], [], [pod("p", 1)])
    assert whole.workloads[0].why == ("there is no node",)
    assert len(whole.short) == 1


def test_room_that_the_pods_there_leave_to_nobody_is_said_to_be_so() -> None:
    apart = required("podAntiAffinity", {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "web"}}})
    queue = [pod(f"p{each}", 1, labels={"app": "web"}, affinity=apart) for each in range(2)]
    whole = of([node("a", 64)], [], queue)
    assert any("keep it away" in why for workload in whole.workloads for why in workload.why)


def test_a_nodes_epc_is_told_before_and_after_and_as_it_is_used() -> None:
    (epc,) = of([node("a", 64), node("plain")], [pod("r", 16, at="a")], [pod("p", 32)], {"a": 80 * MIB}).nodes
    assert (epc.total, epc.before, epc.after, epc.use) == (64 * MIB, 16 * MIB, 48 * MIB, 80 * MIB)


def test_pods_of_one_owner_are_one_workload() -> None:
    queue = [pod(f"p{each}", 32) for each in range(3)]
    for each in queue:
        metadata = each["metadata"]
        assert isinstance(metadata, dict)
        metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": "web"}]
    (workload,) = of([node("a", 64)], [], queue).workloads
    assert workload.name == "default/replicaset/web"
    assert workload.prospects == {Prospect.FITS: 2, Prospect.PENDING: 1}
    assert workload.nodes == {"a": 2}
