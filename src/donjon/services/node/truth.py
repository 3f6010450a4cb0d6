"""The loop over the pods of our node: whoever asked for EPC and runs must hold its device, by the kubelet's own account."""

import asyncio
import logging

from donjon.adapters import clock
from donjon.adapters.kubeapi.client import Changed, KubeApi, Listed
from donjon.adapters.kubelet.podresources import assigned_devices
from donjon.adapters.logs import say
from donjon.adapters.metrics.node import NodeMetrics
from donjon.errors import Unavailable
from donjon.kube.json import JsonObject, at
from donjon.kube.names import ENCLAVE, PROVISION
from donjon.node.truth import Assigned, Claim, claims, finding, without_device
from donjon.services.node.events import event
from donjon.services.node.patience import Patience
from donjon.services.node.settings import NodeSettings

LOG = logging.getLogger(__name__)

CHECK_EVERY = 3.0  # seconds; two checks in a row must agree, for a pod that ends leaves the kubelet's account first


class TruthLoop:
    """Compares what runs with what was handed out, while there is something to compare."""

    def __init__(self, settings: NodeSettings, metrics: NodeMetrics, api: KubeApi) -> None:
        self._settings = settings
        self._metrics = metrics
        self._api = api
        self._claims: dict[str, tuple[Claim, ...]] = {}  # by the pod's uid
        self._borne_out: frozenset[Claim] = frozenset()
        self._suspects: frozenset[Claim] = frozenset()
        self._told: frozenset[Claim] = frozenset()
        self._following = Patience("watch of this node's pods")
        self._asking = Patience("the kubelet's account of devices")

    async def run(self) -> None:
        """Follow the pods and check, as long as the agent runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._following.forever(self.follow))
            group.create_task(self._asking.forever(self._check_later))

    async def follow(self) -> None:
        """Take in every change of the node's pods until the watch ends; only their claims are kept."""
        async for change in self._api.follow("/api/v1/pods", f"spec.nodeName={self._settings.node_name}"):
            self._following.back()
            match change:
                case Listed(items):
                    self._claims = {}
                    for item in items:
                        self._take(item, gone=False)
                case Changed(item, gone):
                    self._take(item, gone=gone)

    def _take(self, pod: JsonObject, *, gone: bool) -> None:
        uid = str(at(pod, "metadata", "uid"))
        self._claims.pop(uid, None)
        claimed = () if gone else claims(pod)
        if claimed:
            self._claims[uid] = claimed

    async def _check_later(self) -> None:
        await asyncio.sleep(CHECK_EVERY)
        claimed = frozenset(claim for found in self._claims.values() for claim in found)
        if claimed != self._borne_out or self._suspects:
            await self._check(claimed)

    async def _check(self, claimed: frozenset[Claim]) -> None:
        assigned = await assigned_devices(self._settings.pod_resources_socket)
        self._asking.back()
        missing = frozenset(without_device(claimed, assigned))
        confirmed, self._suspects = missing & self._suspects, missing
        self._borne_out = claimed - missing
        for claim in sorted(confirmed - self._told):
            await self._tell(claim)
        self._told = confirmed
        self._metrics.tell_use(_in_use(assigned), len(confirmed))

    async def _tell(self, claim: Claim) -> None:
        found = finding(claim)
        say(
            LOG,
            "a container runs without its device",
            level=logging.ERROR,
            pod=f"{claim.namespace}/{claim.pod}",
            finding=found.sentence(),
        )
        body = event(
            kind="Pod",
            namespace=claim.namespace,
            name=claim.pod,
            uid=claim.uid,
            reason="RunsWithoutDevice",
            message=found.sentence(),
            warning=True,
            moment=clock.now(),
            host=self._settings.node_name,
        )
        try:
            await self._api.create(f"/api/v1/namespaces/{claim.namespace}/events", body)
        except Unavailable as error:
            say(LOG, "event was not written", level=logging.WARNING, error=str(error))


def _in_use(assigned: Assigned) -> dict[str, int]:
    return {resource: sum(resource in held for held in assigned.values()) for resource in (ENCLAVE, PROVISION)}
