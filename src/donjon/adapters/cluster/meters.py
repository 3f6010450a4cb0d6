"""What the meters of a cluster's nodes say, asked through the API server with the user's own rights."""

from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from donjon.adapters.cluster import client
from donjon.adapters.cluster.client import ClusterRefusal, UserCluster
from donjon.errors import DonjonError, Unavailable
from donjon.findings import codes
from donjon.formats.json import JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube import epc_report
from donjon.kube.epc_findings import gap
from donjon.kube.epc_report import EpcReport
from donjon.kube.names import LABEL_COMPONENT, LABEL_NAME, METER_CONTAINER, METER_PORT, OURS
from donjon.kube.objects import is_here

HOME = "donjon"  # the namespace of the pages' release
AT_ONCE = 6  # pods; `client.MAX_BEHIND` questions may be under way
PATIENCE = 5.0  # seconds, for the answer of each
_AGENTS = {LABEL_NAME: OURS, LABEL_COMPONENT: "node"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAnswer:
    """What the meter of one node said: a report, or why there is none."""

    node: str
    report: EpcReport | None = None
    problem: str = ""
    is_refused: bool = False  # the API server did not let it be asked

    @property
    def words(self) -> str:
        """Why there is no report, or why it does not tell all; nothing where it does."""
        return self.problem or ("" if self.report is None else gap(self.report))

    @property
    def is_idle(self) -> bool:
        """Whether the node has no SGX, so that there is nothing to be counted."""
        return codes.says_no_sgx(self.problem)


def read_meters(cluster: UserCluster) -> tuple[MeterAnswer, ...]:
    """The answer of each node's meter, in the order of the nodes' names.

    Raises `Unavailable` DJ784 where no meter runs, DJ041 where the API server cannot be asked for the agents' pods.
    """
    answers = ask_meters(cluster, _agents(cluster))
    if not answers:
        raise Unavailable(
            "DJ784",
            "no meter of EPC runs in this cluster: have an administrator turn it on, by the chart's value node.meter.enabled",
        )
    return answers


def _agents(cluster: UserCluster) -> tuple[JsonObject, ...]:
    """The agents' pods, wherever they are; where this account may not list those of all namespaces, at the usual place."""
    try:
        return cluster.list(client.POD, labels=_AGENTS)
    except ClusterRefusal as error:
        if error.unauthorized:
            raise
        return _agents_at_home(cluster)


def _agents_at_home(cluster: UserCluster) -> tuple[JsonObject, ...]:
    try:
        return cluster.list(client.POD, HOME, labels=_AGENTS)
    except ClusterRefusal as error:
        if error.unauthorized:
            raise
        raise Unavailable(
            "DJ785", f"{recite(error.message)}; the Role donjon-epc in namespace {HOME} gives that right"
        ) from error


def ask_meters(cluster: UserCluster, pods: Iterable[JsonObject], nodes: Container[str] | None = None) -> tuple[MeterAnswer, ...]:
    """The answers of the meters among these pods; with `nodes`, of those on them alone."""
    meters = _of_the_release(each for each in pods if _is_meter(each))
    namespaces = sorted({_namespace(each) for each in meters})
    meters = [each for each in meters if nodes is None or _node(each) in nodes]
    if len(namespaces) > 1:
        problem = f"none is believed: pods of several namespaces say that they are its meter: {', '.join(namespaces[:5])}"
        return tuple(MeterAnswer(node=node, problem=problem) for node in sorted(set(map(_node, meters))))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return tuple(sorted(threads.map(lambda pod: _ask(cluster, pod), meters), key=lambda answer: answer.node))


def _of_the_release(meters: Iterable[JsonObject]) -> list[JsonObject]:
    """Anybody may give a pod of theirs an agent's labels, but not in the namespace of the release."""
    meters = list(meters)
    return [each for each in meters if _namespace(each) == HOME] or meters


def _ask(cluster: UserCluster, pod: JsonObject) -> MeterAnswer:
    node = _node(pod)
    namespace, name = (str(at(pod, "metadata", field)) for field in ("namespace", "name"))
    try:
        text = cluster.pod_text(namespace, name, METER_PORT, "/epc", seconds=PATIENCE, most=epc_report.MAX_BYTES + 1)
        if not text.startswith("{"):  # The meter says in words why it has no report.
            return MeterAnswer(node=node, problem=recite(text) or "the meter says nothing")
        report = epc_report.decode(text.encode(), f"meter of {node}")
    except ClusterRefusal as error:
        return MeterAnswer(node=node, problem=recite(error.message), is_refused=True)
    except DonjonError as error:
        return MeterAnswer(node=node, problem=recite(error.message))
    if report.node != node:
        return MeterAnswer(node=node, problem=recite(f"the meter says that it is of node {report.node}"))
    return MeterAnswer(node=node, report=report)


def _is_meter(pod: JsonObject) -> bool:
    labels = (at(pod, "metadata", "labels", name) == value for name, value in _AGENTS.items())
    return (
        all(labels)
        and is_here(pod)
        and at(pod, "spec", "hostPID") is True  # Nobody else sees who holds enclaves, and few may make such a pod.
        and any(at(each, "name") == METER_CONTAINER for each in objects(at(pod, "spec", "containers")))
    )


def _namespace(pod: JsonObject) -> str:
    return str(at(pod, "metadata", "namespace") or "")


def _node(pod: JsonObject) -> str:
    return str(at(pod, "spec", "nodeName") or "")
