"""What a node offers to pods: devices and EPC, from its facts and what the operator set."""

from dataclasses import dataclass, replace
from enum import StrEnum

from donjon.kube.names import ENCLAVE, PROVISION
from donjon.node.devices import DeviceRole, container_paths
from donjon.node.facts import NodeFacts
from donjon.node.readiness import Readiness
from donjon.node.readings import DeviceNode

DEFAULT_DEVICES = 110  # As many as a node holds pods by default; Intel's plugin has the same figure.
MAX_DEVICES = 10_000  # Ids of that many devices stay far below gRPC's 4 MiB a message.


class Advertise(StrEnum):
    """What the agent may tell the cluster; the rest is left to whoever else does (NFD, Intel's plugin)."""

    EPC = "epc"
    LABELS = "labels"
    DEVICES = "devices"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferSettings:
    """What the operator decides; amounts in bytes."""

    enclave_limit: int = DEFAULT_DEVICES
    provision_limit: int = DEFAULT_DEVICES
    epc_reserve: int = 0
    advertise: frozenset[Advertise] = frozenset(Advertise)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOffer:
    """One device of the host under one resource name, `count` times; gone for now where it is not `healthy`."""

    resource: str
    host_path: str  # on the host, without the place where its root is mounted
    container_paths: tuple[str, ...]
    count: int
    healthy: bool

    @property
    def ids(self) -> tuple[str, ...]:
        """The device ids that the kubelet hands out: sgx-enclave-0 and so on."""
        kind = self.resource.rpartition("/")[2]
        return tuple(f"sgx-{kind}-{number}" for number in range(self.count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """All that a node offers: its devices, and EPC in bytes."""

    devices: tuple[DeviceOffer, ...]
    epc: int


NOTHING = Offer(devices=(), epc=0)


def renew(previous: Offer, facts: NodeFacts, readiness: Readiness, settings: OfferSettings) -> Offer:
    """The offer that follows from the facts. A device that was offered before and is missing now stays, unhealthy."""
    if Advertise.DEVICES in settings.advertise:
        candidates = (
            _device(previous, ENCLAVE, DeviceRole.ENCLAVE, facts.enclave, settings.enclave_limit),
            _device(previous, PROVISION, DeviceRole.PROVISION, facts.provision, settings.provision_limit),
        )
        devices = tuple(device for device in candidates if device is not None)
    else:
        devices = ()
    epc = max(0, (facts.epc.value or 0) - settings.epc_reserve) if readiness.ready else 0
    return Offer(devices=devices, epc=epc)


def _device(previous: Offer, resource: str, role: DeviceRole, node: DeviceNode | None, count: int) -> DeviceOffer | None:
    if node is not None:
        paths = container_paths(role, node.path)
        return DeviceOffer(resource=resource, host_path=node.path, container_paths=paths, count=count, healthy=True)
    before = next((device for device in previous.devices if device.resource == resource), None)
    return None if before is None else replace(before, healthy=False)
