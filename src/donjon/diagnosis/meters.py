"""The meters: on how many nodes with SGX what enclaves hold is counted, and why it is not on others."""

from collections.abc import Iterator, Sequence

from donjon.diagnosis.commands import few
from donjon.diagnosis.installation import NODE, DonjonState, Row, RowState, StatusPart
from donjon.diagnosis.nodes import nodes_with_sgx
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import METER_CONTAINER
from donjon.kube.objects import is_here, name_of, node_name_of


def meters(here: DonjonState) -> StatusPart | None:
    """The meters of nodes with SGX; nothing where the chart has none, or where agents and nodes cannot be seen."""
    if not _has_meter(at(here.daemon_sets.first(NODE), "spec", "template", "spec")) or here.pods.problem or here.nodes.problem:
        return None
    places = {name_of(node) for node in nodes_with_sgx(here)}
    pods = [pod for pod in here.pods.of(NODE) if is_here(pod) and _has_meter(at(pod, "spec")) and node_name_of(pod) in places]
    troubles = [(pod, words) for pod in pods if (words := _trouble(pod, here))]
    well = len(pods) - len(troubles)
    rows = (
        Row(name="meters", state=RowState.DOUBTFUL if troubles else RowState.WELL, words=f"{well} of {len(pods)} count"),
        *(Row(name=node_name_of(pod), state=RowState.DOUBTFUL, words=words) for pod, words in troubles),
    )
    findings = (_finding(troubles, here.home),) if troubles else ()
    return StatusPart(name="meters", rows=rows, findings=findings, summary=f"{well} of {len(pods)} meters count")


def meterless(here: DonjonState) -> Iterator[Finding]:
    """A metrics server without meters knows nobody's EPC."""
    daemon_set = here.daemon_sets.first(NODE)
    if daemon_set is not None and not _has_meter(at(daemon_set, "spec", "template", "spec")):
        yield Finding.warning(
            "DJ784",
            "metrics server",
            "no agent has a meter that it could ask",
            "nobody's EPC is known to it, so autoscalers on EPC hold",
            "turn the meter on, by the chart's value node.meter.enabled=true",
        )


def is_meter_alone(pod: JsonObject) -> bool:
    """Whether nothing but the meter keeps the agent's pod from being ready: the agent itself does its work."""
    unready = [at(each, "name") for each in objects(at(pod, "status", "containerStatuses")) if at(each, "ready") is not True]
    return unready == [METER_CONTAINER]


def _has_meter(spec: Json) -> bool:
    return any(at(each, "name") == METER_CONTAINER for each in objects(at(spec, "containers")))


def _trouble(pod: JsonObject, here: DonjonState) -> str:
    """Why the pod's meter does not count: its own words where it was asked, else what its kubelet says of the container."""
    if words := here.meters.get(node_name_of(pod), ""):
        return recite(words)
    statuses = objects(at(pod, "status", "containerStatuses"))
    status = next((each for each in statuses if at(each, "name") == METER_CONTAINER), None)
    if status is None or at(status, "ready") is True:
        return ""
    waiting = at(status, "state", "waiting", "reason") or at(status, "state", "terminated", "reason") or "not ready"
    return f"its container is not ready: {recite(waiting)}"


def _finding(troubles: Sequence[tuple[JsonObject, str]], home: str) -> Finding:
    pod, words = troubles[0]
    return Finding.warning(
        "DJ788",
        "meters",
        f"{few([node_name_of(each) for each, _ in troubles])}: {words}",
        "what enclaves hold there is unknown: autoscalers on EPC hold, and nobody is told of evictions and debug enclaves",
        f"do what it says; its log: kubectl logs -n {home} {name_of(pod)} -c {METER_CONTAINER}",
    )
