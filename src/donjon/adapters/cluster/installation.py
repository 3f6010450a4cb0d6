"""Donjon in a cluster as its user may see it: what is there, and what becomes of two pods that are tried by a dry run."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from donjon.adapters.cluster import client
from donjon.adapters.cluster.client import ClusterRefusal, Resource, UserCluster
from donjon.adapters.cluster.meters import ask_meters
from donjon.diagnosis.installation import (
    ADMISSION,
    ATTESTATION,
    ENCLAVES,
    METRICS,
    NODE,
    TO_REFUSE,
    TO_WIRE,
    DonjonState,
    Sight,
    Trial,
    home,
)
from donjon.diagnosis.own_pods import pod_trouble, silence
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite
from donjon.kube.names import LABEL_NAME, OURS
from donjon.kube.objects import is_here, name_of
from donjon.kube.reserved import epc_offered

PROBES_PORTS = {NODE: 9808, ADMISSION: 9809, ENCLAVES: 9809, ATTESTATION: 9810, METRICS: 9811}  # in the chart
MAX_PODS = 2  # of each that are asked, those that are not ready before others
PATIENCE = 2.5  # seconds, for the answer of each
_OURS = {LABEL_NAME: OURS}


def read(cluster: UserCluster, namespace: str, *, moment: datetime, client_version: str) -> DonjonState:
    """All that is to be known, with pods tried in that namespace; raises `Unavailable` DJ041 where the server cannot be asked."""
    server_version = recite(at(cluster.get_json("/version"), "gitVersion") or "unknown")
    policies = _sight(lambda: cluster.list(client.VALIDATING_POLICY))
    webhooks = _sight(lambda: cluster.list(client.MUTATING_WEBHOOK))
    place = home(policies, webhooks)
    pods = _ours(cluster, client.POD, place)
    nodes = _sight(lambda: cluster.list(client.NODE))
    here = DonjonState(
        moment=moment,
        client_version=client_version,
        server_version=server_version,
        namespace=namespace,
        home=place,
        wiring=_trial(cluster, namespace, TO_WIRE),
        refusing=_trial(cluster, namespace, TO_REFUSE),
        nodes=nodes,
        daemon_sets=_ours(cluster, client.DAEMON_SET, place),
        deployments=_ours(cluster, client.DEPLOYMENT, place),
        pods=pods,
        policies=policies,
        bindings=_sight(lambda: cluster.list(client.VALIDATING_BINDING)),
        mutating_policies=_sight(lambda: cluster.list(client.MUTATING_POLICY)),
        mutating_bindings=_sight(lambda: cluster.list(client.MUTATING_BINDING)),
        webhooks=webhooks,
        accounts=_ours(cluster, client.ACCOUNT, place),
        roles=_ours(cluster, client.CLUSTER_ROLE),
        role_bindings=_ours(cluster, client.CLUSTER_ROLE_BINDING),
        readiness=_readiness(cluster, pods, nodes, moment),
        meters=_meters(cluster, pods, nodes),
    )
    sights = (here.nodes, here.daemon_sets, here.deployments, here.policies, here.mutating_policies, here.webhooks)
    if all(each.problem for each in sights) and not (here.wiring.is_telling or here.refusing.is_telling):
        raise Unavailable(
            "DJ041", f"nothing of Donjon may be seen with these rights: {here.nodes.problem}; {here.refusing.refusal}"
        )
    return here


def _ours(cluster: UserCluster, resource: Resource, place: str = client.EVERYWHERE) -> Sight:
    return _sight(lambda: cluster.list(resource, place, labels=_OURS))


def _sight(read_list: Callable[[], tuple[JsonObject, ...]]) -> Sight:
    """What a list holds; a kind that the server does not know has no things."""
    try:
        return Sight(things=read_list())
    except ClusterRefusal as error:
        if error.unauthorized:
            raise
        return Sight() if error.missing else Sight(problem=error.message)


def _trial(cluster: UserCluster, namespace: str, pod: JsonObject) -> Trial:
    try:
        return Trial(pod=cluster.attempt(client.POD, namespace, pod))
    except ClusterRefusal as error:
        if error.unauthorized:
            raise
        return Trial(refusal=error.message)


def _readiness(cluster: UserCluster, pods: Sight, nodes: Sight, moment: datetime) -> Mapping[str, str]:
    """What pods of ours say of themselves, as far as the account may ask them."""
    words = {}
    for component, port in PROBES_PORTS.items():
        answering = [pod for pod in pods.of(component) if is_here(pod) and at(pod, "status", "podIP")]
        if component == NODE:  # Those that are ready have nothing to say, and there may be hundreds.
            answering = [pod for pod in answering if pod_trouble(pod, moment, nodes) and not silence(pod, nodes)]
        answering.sort(key=lambda pod: not pod_trouble(pod, moment, nodes))
        for pod in answering[:MAX_PODS]:
            namespace, name = (str(at(pod, "metadata", field)) for field in ("namespace", "name"))
            with suppress(Unavailable):  # The pod's own state is told in place of it.
                words[name] = cluster.pod_text(namespace, name, port, "/readyz", seconds=PATIENCE).strip()
    return words


def _meters(cluster: UserCluster, pods: Sight, nodes: Sight) -> Mapping[str, str]:
    """Why meters have no report, or none that tells all, as far as the account may ask: of some, since there may be hundreds."""
    offering = sorted(name_of(node) for node in nodes if epc_offered(node))
    answers = ask_meters(cluster, pods, offering[:MAX_PODS])
    return {each.node: words for each in answers if (words := each.words) and not each.is_refused}
