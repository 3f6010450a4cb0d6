"""The kubelet's own account of which container holds which devices (PodResources v1).

It names every container of every pod of the node, so whoever makes pods chooses how long it is. It is read pod by pod, and only
what somebody asks about is kept.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Protocol

from grpclib.config import Configuration

from donjon.adapters.kubelet.channel import call_kubelet
from donjon.adapters.kubelet.wire import podresources_pb2 as wire
from donjon.adapters.kubelet.wire.podresources_grpc import PodResourcesListerStub
from donjon.errors import Unavailable
from donjon.node.truth import Assigned, ContainerName

WINDOW = 256 << 10  # bytes that the kubelet may send before we have read some
MAX_POD = 2 << 20  # bytes about one pod; etcd keeps no pod that large
_PREFIX = 5  # gRPC: one byte for compression, four for the length
_A_POD = 0x0A  # field 1, with its length before it
_VARINT = 5  # bytes of a length at most


class _Raw(Protocol):
    async def recv_data(self, size: int) -> bytes: ...


async def assigned_devices(socket: Path, about: Collection[ContainerName] | None = None) -> Assigned:
    """The resources of which each container holds a device; raises `Unavailable` DJ032 when the kubelet does not say.

    With `about`, containers that hold none are left out unless they are among these.
    """
    assigned: dict[ContainerName, frozenset[str]] = {}
    few = Configuration(http2_connection_window_size=WINDOW, http2_stream_window_size=WINDOW)
    async with (
        call_kubelet(socket, code="DJ032", what="pod resources", configuration=few) as channel,
        PodResourcesListerStub(channel).List.open() as call,
    ):
        await call.send_message(wire.ListPodResourcesRequest(), end=True)
        await call.recv_initial_metadata()
        # The library reads a message whole, however long it is; this one is read in pieces.
        async for pod in _pods(call._stream):  # noqa: SLF001 - it has no other way to the bytes.
            for container in pod.containers:
                name = (pod.namespace, pod.name, container.name)
                if container.devices or about is None or name in about:
                    assigned[name] = frozenset(device.resource_name for device in container.devices)
        await call.recv_trailing_metadata()
    return assigned


async def _pods(raw: _Raw) -> AsyncIterator[wire.PodResources]:
    """The pods of a ListPodResourcesResponse, one after the other."""
    prefix = await raw.recv_data(_PREFIX)
    left = int.from_bytes(prefix[1:])
    while left > 0:
        if (tag := await raw.recv_data(1)) != bytes([_A_POD]):
            raise Unavailable("DJ032", f"pod resources: the account has field {tag.hex()}, which is none of a pod")
        length, took = await _length(raw)
        if length > MAX_POD:
            raise Unavailable("DJ032", f"pod resources: {length} bytes about one pod, more than {MAX_POD} are not read")
        yield wire.PodResources.FromString(await raw.recv_data(length))
        left -= 1 + took + length
        await asyncio.sleep(0)


async def _length(raw: _Raw) -> tuple[int, int]:
    """A length as protobuf writes it (seven bits a byte, the least first), and how many bytes that took."""
    value = 0
    for place in range(_VARINT):
        (byte,) = await raw.recv_data(1)
        value |= (byte & 0x7F) << (7 * place)
        if byte < 1 << 7:
            return value, place + 1
    raise Unavailable("DJ032", "pod resources: the account holds a length that is none")
