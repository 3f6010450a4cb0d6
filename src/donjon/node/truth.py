"""Whether containers that asked for EPC really run with their device: pods as the API server tells them, against the
kubelet's own account (PodResources).

Kubernetes itself lets two kinds of pod start without their device; docs/limits.md draws them. Init containers that end are
left out: the kubelet's account names only containers that run on.

The kubelet's account names a container as long as the kubelet runs it. One that it does not name is not judged: it has ended, and
the API server was not told yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from donjon.findings import Finding
from donjon.formats.json import JsonObject, at, objects
from donjon.kube.names import ENCLAVE, PROVISION
from donjon.kube.objects import containers_of
from donjon.kube.reserved import epc_by_container, epc_requests

MOST_NAMED = 5  # pods in one finding

ContainerName: TypeAlias = tuple[str, str, str]
"""Namespace, pod and container."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DeviceClaim:
    """A running container that asked for EPC."""

    namespace: str
    pod: str
    uid: str
    container: str
    container_id: str

    @property
    def key(self) -> ContainerName:
        """Its name in the kubelet's account."""
        return self.namespace, self.pod, self.container


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedPod:
    """What the agent keeps of a pod of its node."""

    uid: str
    claims: tuple[DeviceClaim, ...]
    uses_devices: bool  # some container limits a device of ours, with EPC or without
    too_large: str = ""  # the name of a pod that is too large to be read, with its namespace

    @property
    def concerns_us(self) -> bool:
        """Whether the pod is worth keeping: it asks for EPC or a device, or it is too large for us to know."""
        return self.uses_devices or bool(self.claims) or bool(self.too_large)


Assigned: TypeAlias = Mapping[ContainerName, frozenset[str]]
"""The containers that the kubelet runs, with the resources of which it gave each a device."""


def watched_pod(pod: JsonObject) -> WatchedPod:
    """What the agent keeps of a pod as the API server tells it."""
    uses = any(at(each, "resources", "limits", name) is not None for each in containers_of(pod) for name in (ENCLAVE, PROVISION))
    return WatchedPod(uid=str(at(pod, "metadata", "uid")), claims=claims(pod), uses_devices=uses)


def beyond(pod: JsonObject) -> WatchedPod:
    """What is kept of a pod of which only the names are known, since it is too large."""
    namespace, name, uid = _names(pod)
    return WatchedPod(uid=uid, claims=(), uses_devices=False, too_large=f"{namespace}/{name}")


def claims(pod: JsonObject) -> tuple[DeviceClaim, ...]:
    """The containers of a pod that asked for EPC and run now."""
    requesting = {name for name, amount in epc_by_container(pod).items() if amount}
    if not requesting or at(pod, "metadata", "deletionTimestamp") is not None:
        return ()
    running = {name: container_id for name, container_id in _running(pod) if name in requesting}
    namespace, name, uid = _names(pod)
    return tuple(
        DeviceClaim(namespace=namespace, pod=name, uid=uid, container=container, container_id=container_id)
        for container, container_id in running.items()
    )


def without_device(claims: Iterable[DeviceClaim], assigned: Assigned) -> tuple[DeviceClaim, ...]:
    """The claims of containers that the kubelet runs, by its account, and for which it names no enclave device."""
    return tuple(claim for claim in claims if ENCLAVE not in assigned.get(claim.key, {ENCLAVE}))


def with_device(claims: Iterable[DeviceClaim], assigned: Assigned) -> tuple[DeviceClaim, ...]:
    """The claims that the kubelet's account bears out."""
    return tuple(claim for claim in claims if ENCLAVE in assigned.get(claim.key, ()))


def finding(claim: DeviceClaim) -> Finding:
    """What to tell about a container for which the kubelet names no device, and never did while the agent looked."""
    return Finding.error(
        "DJ020",
        f"container {claim.container}",
        f"asked for EPC and runs, and the kubelet accounts for no {ENCLAVE} of it",
        "it bypassed the scheduler (spec.nodeName) or the kubelet started it on a stale count, so it has no enclave device; "
        "or the kubelet's plugin folder was wiped before the agent looked, and the kubelet's next restart ends it",
        f"{_remake(claim)}; whoever made it makes a new one, which the scheduler places",
    )


def lost_account(claim: DeviceClaim) -> Finding:
    """What to tell about a container that the kubelet gave its device, and that it does not account for any more."""
    return Finding.warning(
        "DJ023",
        f"container {claim.container}",
        f"runs with its {ENCLAVE}, which the kubelet does not account for any more",
        "the kubelet's plugin folder was wiped, and its account with it: the enclave runs on, the device counts as free, "
        "and the kubelet's next restart ends the pod",
        f"move it before that, at a time that suits it: {_remake(claim)}",
    )


def too_large(pods: Iterable[str]) -> Finding:
    """What to tell about pods that are too large to be read; at most some of them are named."""
    names = sorted(pods)
    first = ", ".join(names[:MOST_NAMED])
    return Finding.warning(
        "DJ022",
        f"pods {first}{f' and {len(names) - MOST_NAMED} more' if len(names) > MOST_NAMED else ''}",
        "larger than the agent reads",
        "whether their containers run with their device is unknown; nothing else is concerned",
        "see who makes them, and why they are so large: kubectl get pod -n NAMESPACE POD -o json | wc -c",
    )


def _remake(claim: DeviceClaim) -> str:
    return f"delete the pod (kubectl delete pod -n {claim.namespace} {claim.pod})"


def _names(pod: JsonObject) -> tuple[str, str, str]:
    namespace, name, uid = (str(at(pod, "metadata", field) or "") for field in ("namespace", "name", "uid"))
    return namespace, name, uid


def _running(pod: JsonObject) -> Iterable[tuple[str, str]]:
    stays = {ask.container for ask in epc_requests(pod) if not ask.init}
    for field in ("containerStatuses", "initContainerStatuses"):
        for status in objects(at(pod, "status", field)):
            name = at(status, "name")
            if isinstance(name, str) and name in stays and at(status, "state", "running") is not None:
                yield name, str(at(status, "containerID") or "")
