"""The loop over the kubelet's plugin folder: one state machine a resource, its actions carried out here."""

import asyncio
import logging
from functools import partial

from donjon.adapters import clock
from donjon.adapters.kubelet.folder import answers, identity, is_deleted
from donjon.adapters.kubelet.plugin import PluginServer, register
from donjon.adapters.logs import say
from donjon.adapters.metrics.node import NodeMetrics
from donjon.errors import DonjonError, Unavailable
from donjon.kube.names import ENCLAVE, PROVISION
from donjon.node.allocation import allocate
from donjon.node.offer import DeviceOffer
from donjon.node.plugin import Endpoint, Phase, PluginAction, PluginEvent, SocketIdentity, Surroundings, after_action, look
from donjon.node.rivals import rival_plugin, rival_socket
from donjon.node.unheard import no_kubelet_socket
from donjon.runtime.trouble import Trouble
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import DEVICES, KUBELET, AgentState

LOG = logging.getLogger(__name__)

ASK_RIVALS_EVERY = 10.0  # seconds
SOCKET_PATIENCE = 30.0  # seconds without kubelet.sock, which a kubelet that restarts takes away, too
RESOURCES = (ENCLAVE, PROVISION)
_OURS = {ENCLAVE: "donjon-enclave.sock", PROVISION: "donjon-provision.sock"}


class PluginLoop:
    """Keeps every offered device registered with whichever kubelet is there."""

    def __init__(self, settings: NodeSettings, state: AgentState, metrics: NodeMetrics) -> None:
        self._settings = settings
        self._state = state
        self._metrics = metrics
        self._endpoints = dict.fromkeys(RESOURCES, Endpoint())
        self._servers: dict[str, PluginServer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: dict[str, str] = {}
        self._rivals: dict[str, tuple[SocketIdentity | None, float, bool]] = {}
        self._socket_seen_at = clock.monotonic()
        self._unheard = Trouble("the kubelet's socket")

    async def look(self) -> None:
        """One look at the folder; raises `Unavailable` DJ033 when it was deleted, which only a new container can mend."""
        folder = self._settings.plugin_folder
        if is_deleted(folder):
            raise Unavailable("DJ033", f"{folder}: deleted; the container must start again to see the new one")
        kubelet = identity(self._settings.kubelet_socket)
        offers = {offer.resource: offer for offer in self._state.offer.devices}
        rivals = [resource for resource in offers if await self._has_rival(resource)]
        self._state.around[DEVICES] = tuple(rival_plugin(resource) for resource in rivals)
        self._look_for_socket(there=kubelet is not None or not offers)
        for resource in RESOURCES:
            offer = None if resource in rivals else offers.get(resource)
            if offer is not None and resource in self._servers:
                self._servers[resource].offer(offer)
            server = self._servers.get(resource)
            surroundings = Surroundings(
                offered=offer is not None,
                socket=identity(folder / _OURS[resource]),
                kubelet=kubelet,
                listening=server is not None and server.listening,
            )
            self._endpoints[resource], action = look(self._endpoints[resource], surroundings)
            await self._act(resource, action, offer)
            self._state.registered[resource] = offer is None or self._endpoints[resource].phase is Phase.REGISTERED

    async def close(self) -> None:
        """Stop serving; what the node object says stays, for a restart must not evict."""
        for task in self._tasks:
            task.cancel()
        for server in self._servers.values():
            await server.close()

    def _look_for_socket(self, *, there: bool) -> None:
        """Tell that the kubelet's socket is gone, once that lasts."""
        now = clock.monotonic()
        if there:
            self._socket_seen_at = now
            self._state.around[KUBELET] = ()
            self._unheard.clear()
        elif now - self._socket_seen_at >= SOCKET_PATIENCE:
            finding = no_kubelet_socket(str(self._settings.plugin_folder))
            self._state.around[KUBELET] = (finding,)
            self._unheard.report(Unavailable(finding.code, finding.words()))

    async def _has_rival(self, resource: str) -> bool:
        """Whether Intel's plugin serves the resource: asked when its socket changes and every some seconds, not at every look."""
        path = self._settings.plugin_folder / rival_socket(resource)
        socket, now = identity(path), clock.monotonic()
        last_socket, last_time, is_rival = self._rivals.get(resource, (None, float("-inf"), False))
        if socket is None:
            self._rivals.pop(resource, None)
            return False
        if socket != last_socket or now - last_time > ASK_RIVALS_EVERY:
            is_rival = await asyncio.to_thread(answers, path)
            self._rivals[resource] = (socket, now, is_rival)
        return is_rival

    async def _act(self, resource: str, action: PluginAction | None, offer: DeviceOffer | None) -> None:
        match action:
            case PluginAction.CLOSE:
                await self._servers.pop(resource).close()
            case PluginAction.BIND if offer is not None:
                await self._bind(resource, offer)
            case PluginAction.REGISTER:
                task = asyncio.create_task(self._register(resource))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                pass

    async def _bind(self, resource: str, offer: DeviceOffer) -> None:
        path = self._settings.plugin_folder / _OURS[resource]
        allocator = partial(allocate, host_prefix=self._settings.host_prefix)
        old = self._servers.pop(resource, None)
        if old is not None:
            await old.close()
        server = PluginServer(path=path, offer=offer, allocate=allocator)
        try:
            socket = await server.bind()
        except DonjonError as error:
            self._fail(resource, error)
        else:
            self._servers[resource] = server
            self._endpoints[resource] = after_action(self._endpoints[resource], PluginEvent.DONE, socket=socket)

    async def _register(self, resource: str) -> None:
        try:
            await register(kubelet_socket=self._settings.kubelet_socket, endpoint=_OURS[resource], resource=resource)
        except DonjonError as error:
            self._fail(resource, error)
        else:
            self._endpoints[resource] = after_action(self._endpoints[resource], PluginEvent.DONE)
            self._trouble.pop(resource, None)
            self._metrics.count_registration(resource)
            say(LOG, "registered with the kubelet", resource=resource)

    def _fail(self, resource: str, error: DonjonError) -> None:
        """Log a failure once, not at every try."""
        self._endpoints[resource] = after_action(self._endpoints[resource], PluginEvent.FAILED)
        if self._trouble.get(resource) != str(error):
            self._trouble[resource] = str(error)
            say(LOG, "the kubelet does not take the plugin yet", level=logging.WARNING, resource=resource, error=str(error))
