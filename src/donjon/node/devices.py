"""The device paths of every SGX driver generation, in one table.

Sources: Linux Documentation/arch/x86/sgx.rst; intel/SGXDataCenterAttestationPrimitives driver/linux/README.md and
README.kernel.md; intel/linux-sgx-driver; AliyunContainerService/sgx-device-plugin.
"""

from dataclasses import dataclass
from enum import StrEnum


class DriverKind(StrEnum):
    """The driver families, by the names of the node label `donjon.dev/driver`."""

    IN_TREE = "in-tree"
    DCAP = "dcap"
    ISGX = "isgx"


class DeviceRole(StrEnum):
    """What a device is for."""

    ENCLAVE = "enclave"
    PROVISION = "provision"
    VIRTUAL_EPC = "virtual EPC for KVM guests"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class KnownPath:
    """A path at which a driver puts a device."""

    path: str
    driver: DriverKind | None
    role: DeviceRole


PATHS: tuple[KnownPath, ...] = (
    KnownPath("/dev/sgx_enclave", DriverKind.IN_TREE, DeviceRole.ENCLAVE),  # Linux 5.11 and later; DCAP 1.41 and later
    KnownPath("/dev/sgx_provision", DriverKind.IN_TREE, DeviceRole.PROVISION),
    KnownPath("/dev/sgx_vepc", DriverKind.IN_TREE, DeviceRole.VIRTUAL_EPC),  # Linux 5.13 and later, CONFIG_X86_SGX_KVM
    KnownPath("/dev/sgx/enclave", DriverKind.DCAP, DeviceRole.ENCLAVE),  # DCAP 1.32 to 1.36; elsewhere a link made by udev
    KnownPath("/dev/sgx/provision", DriverKind.DCAP, DeviceRole.PROVISION),
    KnownPath("/dev/sgx", DriverKind.DCAP, DeviceRole.ENCLAVE),  # DCAP up to 1.22; a folder with later drivers
    KnownPath("/dev/sgx_prv", DriverKind.DCAP, DeviceRole.PROVISION),
    KnownPath("/dev/isgx", DriverKind.ISGX, DeviceRole.ENCLAVE),  # the EPID driver, without launch control
    KnownPath("/dev/gsgx", None, DeviceRole.OTHER),  # Graphene's helper for FSGSBASE
)
"""In order of preference: of two enclave devices that work, the one further up is offered."""

CONTAINER_PATHS: dict[DeviceRole, tuple[str, ...]] = {
    DeviceRole.ENCLAVE: ("/dev/sgx_enclave", "/dev/sgx/enclave"),
    DeviceRole.PROVISION: ("/dev/sgx_provision", "/dev/sgx/provision"),
}
"""Where a container finds a device: at its in-tree and at its legacy path, whichever of the two the host's driver uses."""

_OWN_INTERFACE = frozenset({"/dev/sgx", "/dev/sgx_prv", "/dev/isgx"})
"""Devices whose drivers speak an interface of their own. An SDK picks the interface by the path (intel/linux-sgx
psw/urts/linux/edmm_utility.cpp, get_driver_type), so under another path it would speak the wrong one."""


def container_paths(role: DeviceRole, host_path: str) -> tuple[str, ...]:
    """Where a container finds the device of the host."""
    return (host_path,) if host_path in _OWN_INTERFACE else CONTAINER_PATHS[role]


MODULES: dict[str, DriverKind] = {"intel_sgx": DriverKind.DCAP, "isgx": DriverKind.ISGX}
"""Kernel modules of the out-of-tree drivers; the in-tree driver is built in and has none."""
