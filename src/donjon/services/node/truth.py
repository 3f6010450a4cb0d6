"""The loop over the pods of our node: whoever asked for EPC and runs must hold its device, by the kubelet's own account."""

import asyncio
import logging

from donjon.adapters import clock
from donjon.adapters.kubeapi.client import Changed, KubeApi, Listing
from donjon.adapters.kubelet.podresources import assigned_devices
from donjon.adapters.logs import say
from donjon.adapters.metrics.node import NodeMetrics
from donjon.findings import Finding
from donjon.kube.names import ENCLAVE, EVENT_NOT_ACCOUNTED, EVENT_WITHOUT_DEVICE, PROVISION
from donjon.node.truth import (
    DeviceClaim,
    WatchedPod,
    beyond,
    finding,
    lost_account,
    too_large,
    watched_pod,
    with_device,
    without_device,
)
from donjon.runtime.patience import Patience
from donjon.services.node.events import announce, event
from donjon.services.node.settings import NodeSettings

LOG = logging.getLogger(__name__)

CHECK_EVERY = 3.0  # seconds; two checks in a row must agree, for a pod that ends leaves the kubelet's account first
RUN_ON = "status.phase!=Succeeded,status.phase!=Failed"  # who has ended has no device, and there may be many of them
COUNT_ROUNDS = 5  # checks after which devices in use are counted again, while there are any


class TruthLoop:
    """Compares what runs with what was handed out, while there is something to compare."""

    def __init__(self, settings: NodeSettings, metrics: NodeMetrics, api: KubeApi) -> None:
        self._settings = settings
        self._metrics = metrics
        self._api = api
        self._pods: dict[str, WatchedPod] = {}  # by uid
        self._in_use: dict[str, int] = {}
        self._rounds = 0
        self._decided: frozenset[DeviceClaim] = frozenset()
        self._borne_out: frozenset[DeviceClaim] = frozenset()  # the kubelet named their device once
        self._large: frozenset[str] = frozenset()
        self._suspects: frozenset[DeviceClaim] = frozenset()
        self._reported: frozenset[DeviceClaim] = frozenset()
        self._following = Patience("watch of this node's pods")
        self._asking = Patience("the kubelet's account of devices")

    async def run(self) -> None:
        """Follow the pods and check, as long as the agent runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._following.forever(self.follow))
            group.create_task(self._asking.forever(self._wait_and_check_if_changed))

    async def follow(self) -> None:
        """Take in every change of the node's pods until the watch ends."""
        selector = f"spec.nodeName={self._settings.node_name},{RUN_ON}"
        async for change in self._api.follow("/api/v1/pods", selector, watched_pod, beyond):
            self._following.clear()
            match change:
                case Listing(items):
                    self._pods = {pod.uid: pod for pod in items if pod.concerns_us}
                case Changed(pod, is_deleted):
                    self._pods.pop(pod.uid, None)
                    if pod.concerns_us and not is_deleted:
                        self._pods[pod.uid] = pod

    async def _wait_and_check_if_changed(self) -> None:
        await asyncio.sleep(CHECK_EVERY)
        self._rounds += 1
        self._tell_large()
        claims = frozenset(claim for pod in self._pods.values() for claim in pod.claims)
        changed = claims != self._decided or bool(self._suspects)
        if changed or (self._rounds % COUNT_ROUNDS == 0 and (self._pods or any(self._in_use.values()))):
            await self._check(claims)

    async def _check(self, claims: frozenset[DeviceClaim]) -> None:
        assigned = await assigned_devices(self._settings.pod_resources_socket, {claim.key for claim in claims})
        self._asking.clear()
        missing = frozenset(without_device(claims, assigned))
        confirmed, self._suspects = missing & self._suspects, missing
        self._borne_out = claims & (self._borne_out | frozenset(with_device(claims, assigned)))
        self._decided = self._borne_out | missing
        for claim in sorted(confirmed - self._reported):
            await self._tell(claim)
        self._reported = confirmed
        self._in_use = {
            resource: sum(resource in resources for resources in assigned.values()) for resource in (ENCLAVE, PROVISION)
        }
        self._metrics.tell_use(self._in_use, len(confirmed - self._borne_out), len(confirmed & self._borne_out))

    def _tell_large(self) -> None:
        large = frozenset(pod.too_large for pod in self._pods.values() if pod.too_large)
        if large - self._large:
            say(LOG, "pods are too large to be read", level=logging.WARNING, finding=too_large(large).sentence())
        self._large = large
        self._metrics.tell_too_large(len(large))

    async def _tell(self, claim: DeviceClaim) -> None:
        had_device = claim in self._borne_out
        problem = lost_account(claim) if had_device else finding(claim)
        say(
            LOG,
            "the kubelet lost its account of a device" if had_device else "a container runs without its device",
            level=logging.WARNING if had_device else logging.ERROR,
            pod=f"{claim.namespace}/{claim.pod}",
            finding=problem.sentence(),
        )
        await self._announce(claim, EVENT_NOT_ACCOUNTED if had_device else EVENT_WITHOUT_DEVICE, problem)

    async def _announce(self, claim: DeviceClaim, reason: str, problem: Finding) -> None:
        body = event(
            kind="Pod",
            namespace=claim.namespace,
            name=claim.pod,
            uid=claim.uid,
            reason=reason,
            message=problem.sentence(),
            warning=True,
            moment=clock.now(),
            host=self._settings.node_name,
        )
        await announce(self._api, body)
