"""Whether containers that asked for EPC really run with their device: pods as the API server tells them, against the
kubelet's own account (PodResources).

Kubernetes itself lets two kinds of pod start without their device; docs/limits.md draws them. Init containers that end are
left out: the kubelet's account names only containers that run on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from donjon.findings import Finding, Severity
from donjon.kube.asks import asks, epc_asked
from donjon.kube.json import JsonObject, at, objects
from donjon.kube.names import ENCLAVE, PROVISION


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Claim:
    """A running container that asked for EPC."""

    namespace: str
    pod: str
    uid: str
    container: str
    container_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedPod:
    """What the agent keeps of a pod of its node."""

    uid: str
    claims: tuple[Claim, ...]
    uses_devices: bool  # some container limits a device of ours, with EPC or without

    @property
    def concerns_us(self) -> bool:
        """Whether it is worth keeping."""
        return self.uses_devices or bool(self.claims)


Assigned = Mapping[tuple[str, str, str], frozenset[str]]
"""Namespace, pod and container to the resources of which the kubelet gave it a device."""


def watched(pod: JsonObject) -> WatchedPod:
    """What is kept of a pod."""
    containers = (each for field in ("containers", "initContainers") for each in objects(at(pod, "spec", field)))
    uses = any(at(each, "resources", "limits", name) is not None for each in containers for name in (ENCLAVE, PROVISION))
    return WatchedPod(uid=str(at(pod, "metadata", "uid")), claims=claims(pod), uses_devices=uses)


def claims(pod: JsonObject) -> tuple[Claim, ...]:
    """The containers of a pod that asked for EPC and run now."""
    asked = {name for name, amount in epc_asked(pod).items() if amount}
    if not asked or at(pod, "metadata", "deletionTimestamp") is not None:
        return ()
    running = {name: container_id for name, container_id in _running(pod) if name in asked}
    namespace, name, uid = (str(at(pod, "metadata", field) or "") for field in ("namespace", "name", "uid"))
    return tuple(
        Claim(namespace=namespace, pod=name, uid=uid, container=container, container_id=container_id)
        for container, container_id in running.items()
    )


def without_device(claimed: Iterable[Claim], assigned: Assigned) -> tuple[Claim, ...]:
    """The claims that the kubelet's account does not bear out."""
    return tuple(
        claim for claim in claimed if ENCLAVE not in assigned.get((claim.namespace, claim.pod, claim.container), frozenset())
    )


def finding(claim: Claim) -> Finding:
    """What to tell about a container without its device."""
    return Finding(
        code="DJ020",
        severity=Severity.ERROR,
        subject=f"container {claim.container}",
        found=f"asked for EPC and runs without {ENCLAVE}",
        why="it bypassed the scheduler (spec.nodeName) or the kubelet started it on a stale count, so it has no enclave device",
        do=f"delete the pod (kubectl delete pod -n {claim.namespace} {claim.pod}); whoever made it makes a new one, which the "
        "scheduler places",
    )


def _running(pod: JsonObject) -> Iterable[tuple[str, str]]:
    stays = {ask.container for ask in asks(pod) if not ask.init}
    for field in ("containerStatuses", "initContainerStatuses"):
        for status in objects(at(pod, "status", field)):
            name = at(status, "name")
            if isinstance(name, str) and name in stays and at(status, "state", "running") is not None:
                yield name, str(at(status, "containerID") or "")
