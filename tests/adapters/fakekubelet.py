"""A kubelet as far as device plugins know it: it registers them, lists their devices, asks for some, and accounts for them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Server, Stream

from donjon.adapters.kubelet.wire import deviceplugin_pb2 as wire
from donjon.adapters.kubelet.wire import podresources_pb2 as account
from donjon.adapters.kubelet.wire.deviceplugin_grpc import DevicePluginStub, RegistrationBase
from donjon.adapters.kubelet.wire.podresources_grpc import PodResourcesListerBase

Held = dict[tuple[str, str, str], Sequence[str]]


@dataclass(frozen=True)
class Registered:
    """One registration, as it came."""

    version: str
    endpoint: str
    resource: str


@dataclass
class FakeKubelet:
    """One kubelet process; another one is another object on the same folder."""

    folder: Path
    refusal: str = ""
    registrations: list[Registered] = field(default_factory=list)
    listed: dict[str, dict[str, str]] = field(default_factory=dict)  # resource to device id to health, as last told
    held: Held = field(default_factory=dict)  # what PodResources answers

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels: list[Channel] = []
        self._servers: list[Server] = []

    @property
    def plugins(self) -> Path:
        return self.folder / "device-plugins"

    async def start(self) -> None:
        """As the real one does: every socket of the folder goes, then its own appears."""
        for path in (self.plugins, self.folder / "pod-resources"):
            path.mkdir(parents=True, exist_ok=True)
            for socket in path.iterdir():
                socket.unlink()
        await self._serve(_Registration(self), self.plugins / "kubelet.sock")
        await self._serve(_Account(self), self.folder / "pod-resources" / "kubelet.sock")

    async def stop(self) -> None:
        """The process ends: its connections close, its socket files stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels:
            channel.close()
        for server in self._servers:
            server.close()

    async def allocate(self, resource: str, *containers: Sequence[str]) -> list[list[tuple[str, str, str]]]:
        """What each container is given: host path, container path, permissions."""
        endpoint = next(each.endpoint for each in reversed(self.registrations) if each.resource == resource)
        channel = self._channel(endpoint)
        asked = [wire.ContainerAllocateRequest(devices_ids=list(ids)) for ids in containers]
        answer = await DevicePluginStub(channel).Allocate(wire.AllocateRequest(container_requests=asked))
        return [
            [(device.host_path, device.container_path, device.permissions) for device in one.devices]
            for one in answer.container_responses
        ]

    def health(self, resource: str) -> set[str]:
        """Every health that some device of the resource has."""
        return set(self.listed.get(resource, {}).values())

    def register(self, request: wire.RegisterRequest) -> None:
        if self.refusal:
            raise GRPCError(Status.INVALID_ARGUMENT, self.refusal)
        self.registrations.append(Registered(version=request.version, endpoint=request.endpoint, resource=request.resource_name))
        task = asyncio.create_task(self._list(request.resource_name, request.endpoint))
        self._tasks.add(task)

    async def _list(self, resource: str, endpoint: str) -> None:
        """ListAndWatch until the plugin ends it; its devices then count as unhealthy."""
        with suppress(StreamTerminatedError, ConnectionError, GRPCError):
            async with DevicePluginStub(self._channel(endpoint)).ListAndWatch.open() as stream:
                await stream.send_message(wire.Empty(), end=True)
                while (told := await stream.recv_message()) is not None:
                    self.listed[resource] = {device.ID: device.health for device in told.devices}
        self.listed[resource] = dict.fromkeys(self.listed.get(resource, {}), "Unhealthy")

    def _channel(self, endpoint: str) -> Channel:
        channel = Channel(path=str(self.plugins / endpoint))
        self._channels.append(channel)
        return channel

    async def _serve(self, service: "_Registration | _Account", path: Path) -> None:
        server = Server([service])
        await server.start(path=str(path))
        self._servers.append(server)


class _Registration(RegistrationBase):  # type: ignore[misc]  # The generated base class has no types that mypy reads.
    def __init__(self, kubelet: FakeKubelet) -> None:
        self._kubelet = kubelet

    async def Register(self, stream: "Stream[wire.RegisterRequest, wire.Empty]") -> None:  # noqa: N802 - gRPC's name.
        request = await stream.recv_message()
        assert request is not None
        self._kubelet.register(request)
        await stream.send_message(wire.Empty())


class _Account(PodResourcesListerBase):  # type: ignore[misc]  # As above.
    def __init__(self, kubelet: FakeKubelet) -> None:
        self._kubelet = kubelet

    async def List(  # noqa: N802 - gRPC's name.
        self, stream: "Stream[account.ListPodResourcesRequest, account.ListPodResourcesResponse]"
    ) -> None:
        await stream.recv_message()
        pods = [
            account.PodResources(
                namespace=namespace,
                name=pod,
                containers=[
                    account.ContainerResources(
                        name=container, devices=[account.ContainerDevices(resource_name=name) for name in resources]
                    )
                ],
            )
            for (namespace, pod, container), resources in self._kubelet.held.items()
        ]
        await stream.send_message(account.ListPodResourcesResponse(pod_resources=pods))
