"""Ends a pod of our node that holds too much EPC, one at a time, while the node evicts pages: only where that is wanted."""

import logging
from dataclasses import replace

from donjon.adapters import clock
from donjon.adapters.kubeapi.client import ApiRefusal, KubeApi
from donjon.adapters.logs import say
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject
from donjon.kube.epc_eviction import EvictionCandidate, candidates, order, priority_of
from donjon.kube.epc_report import EpcReport
from donjon.kube.names import EVENT_EVICTED
from donjon.services.node.events import announce, event

LOG = logging.getLogger(__name__)

REST = 120.0  # seconds between two pods: the first one's EPC comes free when its processes have ended
MAX_CANDIDATES = 20  # that are compared
MAX_READ = 256  # pods that are looked up for that; a tenant may have many that cannot be evicted, such as those on their way out


class Evictor:
    """Evicts by the API server, which holds to PodDisruptionBudgets."""

    def __init__(self, node: str, api: KubeApi) -> None:
        self._node, self._api = node, api
        self._rest_until = 0.0

    async def relieve(self, report: EpcReport) -> None:
        """End one pod, unless one was ended a while ago; where the API server cannot be asked, none."""
        if clock.monotonic() < self._rest_until:
            return
        try:
            for each in order(await self._evictable(report)):
                if await self._evict(each):
                    self._rest_until = clock.monotonic() + REST
                    return
        except Unavailable as error:
            say(LOG, "no pod was evicted", level=logging.WARNING, code=error.code, error=error.message)

    async def _evictable(self, report: EpcReport) -> list[EvictionCandidate]:
        pods: list[EvictionCandidate] = []
        for each in candidates(report)[:MAX_READ]:
            if len(pods) >= MAX_CANDIDATES:
                break
            try:
                pod = await self._api.get(_path(each))
            except ApiRefusal as error:
                if not error.missing:
                    raise
                continue
            priority = priority_of(each, pod, self._node)
            if priority is not None:
                pods.append(replace(each, priority=priority))
        return pods

    async def _evict(self, pod: EvictionCandidate) -> bool:
        """Whether it was; a budget that does not allow it, or a pod that is gone, is no reason to stop."""
        body: JsonObject = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.pod, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        name = f"{pod.namespace}/{pod.pod}"
        try:
            await self._api.create(f"{_path(pod)}/eviction", body)
        except ApiRefusal as error:
            say(LOG, "a pod was not evicted", level=logging.WARNING, pod=name, error=error.message)
            return False
        finding = pod.finding(self._node)
        say(LOG, "a pod was evicted for its EPC", level=logging.WARNING, pod=name, finding=finding.sentence())
        await announce(
            self._api,
            event(
                kind="Pod",
                namespace=pod.namespace,
                name=pod.pod,
                uid=pod.uid,
                reason=EVENT_EVICTED,
                message=finding.sentence(),
                warning=True,
                moment=clock.now(),
                host=self._node,
            ),
        )
        return True


def _path(pod: EvictionCandidate) -> str:
    return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.pod}"
