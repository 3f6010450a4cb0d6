"""The device plugin of one resource, served at a socket in the kubelet's folder, and its registration."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Stream

from donjon.adapters.kubelet.channel import call_kubelet
from donjon.adapters.kubelet.folder import identity
from donjon.adapters.kubelet.wire import deviceplugin_pb2 as wire
from donjon.adapters.kubelet.wire.deviceplugin_grpc import DevicePluginBase, RegistrationStub
from donjon.adapters.transport.grpc import GrpcServer
from donjon.errors import Malformed, Unavailable
from donjon.node.allocation import DeviceSpec
from donjon.node.offer import DeviceOffer
from donjon.node.plugin import SocketIdentity

API_VERSION = "v1beta1"
HEALTHY, UNHEALTHY = "Healthy", "Unhealthy"
MAX_CONTAINERS = 1_000  # Container requests of one Allocate call.

Allocator = Callable[[DeviceOffer, tuple[str, ...]], tuple[DeviceSpec, ...]]


class PluginServer:
    """One resource's socket: bound, listed to whichever kubelet connects, closed."""

    def __init__(self, *, path: Path, offer: DeviceOffer, allocate: Allocator) -> None:
        self._path = path
        self._service = _DevicePlugin(offer, allocate)
        self._server: GrpcServer | None = None
        self._socket_identity: SocketIdentity | None = None

    async def bind(self) -> SocketIdentity:
        """Serve at the socket anew and tell its identity; raises `Unavailable` DJ031 where the folder does not let us."""
        await self.close()
        server = GrpcServer([self._service])
        try:
            self._path.unlink(missing_ok=True)
            await server.start(path=str(self._path))
        except OSError as error:
            raise Unavailable("DJ031", f"plugin socket {self._path}: {error.strerror or error}") from error
        self._server = server
        self._socket_identity = identity(self._path)
        if self._socket_identity is None:
            await self.close()
            raise Unavailable("DJ031", f"plugin socket {self._path}: gone as soon as it was made")
        return self._socket_identity

    async def close(self) -> None:
        """Stop serving, and leave no socket behind; the kubelet then marks the devices unhealthy."""
        if self._socket_identity is not None and identity(self._path) == self._socket_identity:
            with suppress(OSError):
                self._path.unlink()
        self._socket_identity = None
        if self._server is not None:
            server, self._server = self._server, None
            await server.leave()

    @property
    def listening(self) -> bool:
        """Whether a kubelet reads the list of devices."""
        return self._service.listeners > 0

    def offer(self, offer: DeviceOffer) -> None:
        """Tell every kubelet that listens what is offered now."""
        self._service.change(offer)


class _DevicePlugin(DevicePluginBase):
    def __init__(self, offer: DeviceOffer, allocate: Allocator) -> None:
        self._offer = offer
        self._allocate = allocate
        self._changed = asyncio.Event()
        self.listeners = 0

    def change(self, offer: DeviceOffer) -> None:
        if offer != self._offer:
            self._offer = offer
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def GetDevicePluginOptions(self, stream: Stream[wire.Empty, wire.DevicePluginOptions]) -> None:
        await stream.recv_message()
        await stream.send_message(wire.DevicePluginOptions())

    async def ListAndWatch(self, stream: Stream[wire.Empty, wire.ListAndWatchResponse]) -> None:
        await stream.recv_message()
        self.listeners += 1
        try:
            while True:
                changed, offer = self._changed, self._offer
                await stream.send_message(_listing(offer))
                await changed.wait()
        except StreamTerminatedError:
            pass
        finally:
            self.listeners -= 1

    async def GetPreferredAllocation(
        self, stream: Stream[wire.PreferredAllocationRequest, wire.PreferredAllocationResponse]
    ) -> None:
        await stream.recv_message()
        await stream.send_message(wire.PreferredAllocationResponse())

    async def PreStartContainer(self, stream: Stream[wire.PreStartContainerRequest, wire.PreStartContainerResponse]) -> None:
        await stream.recv_message()
        await stream.send_message(wire.PreStartContainerResponse())

    async def Allocate(self, stream: Stream[wire.AllocateRequest, wire.AllocateResponse]) -> None:
        request = await stream.recv_message()
        if request is None or len(request.container_requests) > MAX_CONTAINERS:
            raise GRPCError(Status.INVALID_ARGUMENT, f"allocate: expected at most {MAX_CONTAINERS} containers [DJ904]")
        try:
            answers = [self._allocate(self._offer, tuple(one.devices_ids)) for one in request.container_requests]
        except Malformed as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error
        except Unavailable as error:
            raise GRPCError(Status.UNAVAILABLE, str(error)) from error
        await stream.send_message(wire.AllocateResponse(container_responses=[_response(specs) for specs in answers]))


def _listing(offer: DeviceOffer) -> wire.ListAndWatchResponse:
    """No topology: the kubelet's topology manager takes an empty hint for a refusal (kubernetes issue 112234)."""
    health = HEALTHY if offer.healthy else UNHEALTHY
    return wire.ListAndWatchResponse(devices=[wire.Device(ID=name, health=health) for name in offer.ids])


def _response(specs: tuple[DeviceSpec, ...]) -> wire.ContainerAllocateResponse:
    return wire.ContainerAllocateResponse(
        devices=[
            wire.DeviceSpec(container_path=spec.container_path, host_path=spec.host_path, permissions=spec.permissions)
            for spec in specs
        ]
    )


async def register(*, kubelet_socket: Path, endpoint: str, resource: str) -> None:
    """Register a resource with the kubelet; raises `Unavailable` DJ030 when it does not answer, or not with a yes."""
    request = wire.RegisterRequest(
        version=API_VERSION, endpoint=endpoint, resource_name=resource, options=wire.DevicePluginOptions()
    )
    async with call_kubelet(kubelet_socket, code="DJ030", what="kubelet registration") as channel:
        await RegistrationStub(channel).Register(request)
