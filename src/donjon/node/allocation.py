"""Which devices a container gets for the device ids that the kubelet chose."""

from collections.abc import Sequence
from dataclasses import dataclass

from donjon.errors import Malformed, Unavailable
from donjon.node.offer import DeviceOffer

PERMISSIONS = "rw"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A device of the host at a path of the container, as the kubelet's device plugin API says it."""

    host_path: str
    container_path: str
    permissions: str


def allocate(device: DeviceOffer, ids: Sequence[str], *, host_prefix: str) -> tuple[DeviceSpec, ...]:
    """The device at each of its container paths; `host_prefix` is where the host's root is for the kubelet ("" for /).

    Raises `Malformed` DJ904 for an id that was never offered, `Unavailable` DJ905 while the device is missing.
    """
    foreign = sorted(set(ids) - set(device.ids))
    if foreign or not ids:
        raise Malformed("DJ904", f"{device.resource}: device id {', '.join(foreign)[:200] or '(none)'} was never offered")
    if not device.healthy:
        raise Unavailable("DJ905", f"{device.resource}: {device.host_path} is missing on this node; load the SGX driver again")
    return tuple(
        DeviceSpec(host_path=host_prefix + device.host_path, container_path=path, permissions=PERMISSIONS)
        for path in device.container_paths
    )
