"""The kubelet's own account of which container holds which devices (PodResources v1)."""

from pathlib import Path

from donjon.adapters.kubelet.channel import call_kubelet
from donjon.adapters.kubelet.wire import podresources_pb2 as wire
from donjon.adapters.kubelet.wire.podresources_grpc import PodResourcesListerStub
from donjon.node.truth import Assigned


async def assigned_devices(socket: Path) -> Assigned:
    """The resources of which each container holds a device; raises `Unavailable` DJ032 when the kubelet does not say."""
    async with call_kubelet(socket, code="DJ032", what="pod resources") as channel:
        listed = await PodResourcesListerStub(channel).List(wire.ListPodResourcesRequest())
    return {
        (pod.namespace, pod.name, container.name): frozenset(device.resource_name for device in container.devices)
        for pod in listed.pod_resources
        for container in pod.containers
    }
