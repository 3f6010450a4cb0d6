"""A valid host in values: an Azure DC2ds_v3 with the in-tree driver, of which a test changes one thing."""

from dataclasses import replace
from typing import Any

from donjon.node.devices import PATHS
from donjon.node.facts import NodeFacts, derive
from donjon.node.readings import (
    AesmState,
    ContainerRuntime,
    DeviceNode,
    FileKind,
    HostReadings,
    Reading,
    RuntimeConfiguration,
)
from donjon.sgx.cpuid import Registers

MIB = 1 << 20
GIB = 1 << 30

Leaves = dict[tuple[int, int], Registers]


def leaves(*, sgx: bool = True, sgx1: bool = True, sgx2: bool = True, launch_control: bool = True, epc: int = 8 * GIB) -> Leaves:
    found = {
        (0, 0): Registers(0x1B, 0, 0, 0),
        (7, 0): Registers(0, sgx << 2, launch_control << 30, 0),
        (0x12, 0): Registers(sgx1 | sgx2 << 1, 1, 0, 0x381F),
        (0x12, 1): Registers(0xB6, 0, 7, 0),
    }
    if epc:
        found[0x12, 2] = Registers(0xC0000001, 4, epc & 0xFFFFF000 | 1, epc >> 32)
    return found


def device(path: str, kind: FileKind = FileKind.CHARACTER, **said: Any) -> DeviceNode:
    return DeviceNode(path=path, kind=kind, **({"uid": 0, "gid": 1001, "mode": 0o666} | said))


def devices(*present: DeviceNode) -> tuple[DeviceNode, ...]:
    """What stands at each known path: the devices given, and nothing elsewhere."""
    there = {node.path: node for node in present}
    assert not set(there) - {known.path for known in PATHS}, "a path that no driver has"
    return tuple(there.get(known.path, DeviceNode(path=known.path, kind=FileKind.ABSENT)) for known in PATHS)


IN_TREE = devices(device("/dev/sgx_enclave"), device("/dev/sgx_provision"))
DCAP = devices(device("/dev/sgx/enclave"), device("/dev/sgx/provision"), device("/dev/sgx", FileKind.FOLDER))
OLD_DCAP = devices(device("/dev/sgx"), device("/dev/sgx_prv"))
ISGX = devices(device("/dev/isgx"))
NO_DEVICES = devices()


def told(value: str, *, node: int = 0) -> Reading[str]:
    return Reading.of(value, source=f"/sys/devices/system/node/node{node}/x86/sgx_total_bytes")


def numa(*texts: str | Reading[str]) -> Any:
    """What sysfs tells, NUMA node by NUMA node."""
    each = {
        node: told(text, node=node) if isinstance(text, str) else text
        for node, text in enumerate(texts)
    }  # fmt: skip
    return Reading.of(each, source="/sys/devices/system/node/node*/x86/sgx_total_bytes")


def unknown(problem: str = "Permission denied", source: str = "/somewhere") -> Any:
    return Reading[Any].unknown(problem, source=source)


def cpuid(**said: Any) -> Any:
    return Reading.of(leaves(**said), source="CPUID")


def cpuinfo(*flags: str) -> Any:
    return Reading.of(f"processor\t: 0\nflags\t\t: fpu {' '.join(flags)} aes", source="/proc/cpuinfo")


def text(value: str, source: str = "/somewhere") -> Any:
    return Reading.of(value, source=source)


CONTAINERD = "/etc/containerd/config.toml"
OWNERSHIP = "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\ndevice_ownership_from_security_context = true\n"


def containerd(*files: "str | Reading[str]", drop_ins: tuple[str, ...] = ()) -> RuntimeConfiguration:
    """Its files in their order, the first of them the usual one."""
    names = (CONTAINERD, *(f"/etc/containerd/{number}.toml" for number in range(1, len(files))))
    known = tuple(text(file, name) if isinstance(file, str) else file for file, name in zip(files, names, strict=True))
    beside = tuple(text(file, "/etc/containerd/conf.d/x.toml") for file in drop_ins)
    return RuntimeConfiguration(runtime=ContainerRuntime.CONTAINERD, files=known, drop_ins=beside)


def crio(*files: str) -> RuntimeConfiguration:
    known = tuple(text(file, f"/etc/crio/crio.conf.d/{number}") for number, file in enumerate(files))
    return RuntimeConfiguration(runtime=ContainerRuntime.CRIO, files=known)


USUAL = HostReadings(
    devices=IN_TREE,
    cpuid=cpuid(),
    cpu_standin=False,
    cpuinfo=cpuinfo("sgx", "sgx_lc"),
    kernel_release=text("6.8.0-1021-azure", "/proc/sys/kernel/osrelease"),
    numa_epc=numa(str(8 * GIB)),
    modules=Reading.of({}, source="/sys/module"),
    dev_options=Reading.of(frozenset({"rw", "nosuid"}), source="/proc/mounts"),
    aesm=Reading.of(AesmState.READY, source="/run/aesmd/aesm.socket"),
    kernel_command_line=text("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro", "/proc/cmdline"),
    kernel_build=text("CONFIG_X86=y\nCONFIG_X86_SGX=y\nCONFIG_X86_SGX_KVM=y\n", "/boot/config-6.8.0-1021-azure"),
    runtimes=(containerd("version = 3\n"),),
)


def readings(**changed: Any) -> HostReadings:
    return replace(USUAL, **changed)


def facts(**changed: Any) -> NodeFacts:
    return derive(readings(**changed))
