"""The meters in `donjon status`: a meter that does not count is worth a look, and no agent that is not ready."""

from typing import Any

from tests.diagnosis.installations import WHOLE, changed, daemon_set, own_pod, workload
from tests.diagnosis.test_status import part

from donjon.diagnosis.installation import RowState, Sight
from donjon.diagnosis.status import judge
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import METER_CONTAINER


def with_meter(thing: JsonObject, *path: str) -> JsonObject:
    """The same, and a container more at that path."""
    if not path:
        containers = thing["containers"]
        assert isinstance(containers, list)
        return thing | {"containers": [*containers, {"name": METER_CONTAINER}]}
    inner = at(thing, path[0])
    assert isinstance(inner, dict)
    return thing | {path[0]: with_meter(inner, *path[1:])}


def agent(node: str, *, node_ready: bool = True, meter: Json = None) -> JsonObject:
    """An agent's pod; its meter is ready, or waits for that reason."""
    state: JsonObject = {"running": {}} if meter is None else {"waiting": {"reason": meter}}
    statuses: list[Json] = [
        {"name": "main", "ready": node_ready, "state": {"running": {}}},
        {"name": METER_CONTAINER, "ready": meter is None, "state": state},
    ]
    return with_meter(own_pod("node", node, ready=node_ready and meter is None, containerStatuses=statuses), "spec")


def installed(*pods: JsonObject, ready: int = 2, **fields: Any) -> Any:
    with_one = with_meter(daemon_set(ready=ready), "spec", "template", "spec")
    return changed(daemon_sets=Sight(things=(with_one,)), pods=Sight(things=pods), **fields)


def test_without_meters_there_is_no_such_part() -> None:
    assert "meters" not in [each.name for each in judge(WHOLE).parts]


def test_all_that_count_are_told_in_one_line() -> None:
    status = installed(agent("a"), agent("b"))
    assert (status.well, status.findings) == (True, ())
    assert "2 of 2 meters count" in status.verdict


def test_a_meter_that_ends_again_and_again_is_a_warning_and_its_agent_counts_as_ready() -> None:
    status = installed(agent("a"), agent("b", meter="CrashLoopBackOff"), ready=1)
    assert status.well
    assert [each.code for each in status.findings] == ["DJ788"]
    assert status.findings[0].observation == "b: its container is not ready: CrashLoopBackOff"
    assert status.findings[0].do.endswith("kubectl logs -n donjon donjon-node-b -c meter")
    assert part(status, "agents").rows[0].words == "2 of 2 ready"
    assert [each.state for each in part(status, "meters").rows] == [RowState.DOUBTFUL, RowState.DOUBTFUL]


def test_an_agent_that_is_not_ready_itself_is_told_as_before() -> None:
    status = installed(agent("a"), agent("b", node_ready=False, meter="CrashLoopBackOff"), ready=1)
    assert "DJ174" in [each.code for each in status.findings]


def test_a_meter_that_says_why_it_has_no_figures_is_quoted() -> None:
    words = "meter: no pass within the last 60 s [DJ708]: the kernel is locked down [DJ704]"
    status = installed(agent("a"), agent("b"), meters={"a": words})
    assert [each.observation for each in status.findings] == [f"a: {words}"]
    assert part(status, "meters").rows[1].words == words


def test_a_metrics_server_without_meters_is_worth_a_look() -> None:
    server = Sight(things=(workload("Deployment", "metrics", readyReplicas=2),))
    assert installed(agent("a"), agent("b"), deployments=server).findings == ()
    status = changed(deployments=server)
    assert status.well
    assert [(each.code, each.observation) for each in status.findings] == [("DJ784", "no agent has a meter that it could ask")]
    assert status.findings[0].do.endswith("node.meter.enabled=true")


def test_on_a_node_without_sgx_no_meter_is_missed() -> None:
    assert "2 of 2 meters count" in installed(agent("a"), agent("b"), agent("plain", meter="CrashLoopBackOff"), ready=2).verdict
