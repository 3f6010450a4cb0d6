"""The loop over the pods of our node, by which cgroups get names and requests."""

from donjon.adapters.kubeapi.client import Changed, KubeApi, Listing
from donjon.node.tenants import beyond, tenant_pod
from donjon.runtime.patience import Patience
from donjon.services.meter.settings import MeterSettings
from donjon.services.meter.state import MeterState

RUN_ON = "status.phase!=Succeeded,status.phase!=Failed"  # who has ended holds nothing, and there may be many of them


class PodsLoop:
    """Keeps the pods of the state as the API server has them; while it is away, as it had them last."""

    def __init__(self, settings: MeterSettings, state: MeterState, api: KubeApi) -> None:
        self._settings, self._state, self._api = settings, state, api
        self._following = Patience("watch of this node's pods")

    async def run(self) -> None:
        """Follow the pods as long as the meter runs."""
        await self._following.forever(self.follow)

    async def follow(self) -> None:
        """Take in every change of the node's pods until the watch ends."""
        selector = f"spec.nodeName={self._settings.node_name},{RUN_ON}"
        async for change in self._api.follow("/api/v1/pods", selector, tenant_pod, beyond):
            self._following.clear()
            match change:
                case Listing(items):
                    self._state.pods = {pod.uid: pod for pod in items}
                    self._state.is_listed.set()
                case Changed(pod, is_deleted):
                    self._state.pods.pop(pod.uid, None)
                    if not is_deleted:
                        self._state.pods[pod.uid] = pod
