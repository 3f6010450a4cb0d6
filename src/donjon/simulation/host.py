"""Trees of files that stand in for a host with SGX: device nodes, CPUID, sysfs, procfs, as the node agent reads them.

The CPUID figures are real ones, printed by real machines; each says where. What the tree cannot do is run an enclave: its
device nodes are the kernel's zero device under another name.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from donjon.errors import Misconfigured, Unavailable
from donjon.node.devices import DriverKind

if TYPE_CHECKING:
    from collections.abc import Mapping

Leaf = tuple[int, int, int, int]
"""eax, ebx, ecx, edx."""

PAGE = 4096
_ZERO_DEVICE = os.makedev(1, 5)
"""Linux Documentation/admin-guide/devices.txt: character device 1:5 is /dev/zero, which opens, maps and reads anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as its CPUID describes it."""

    source: str
    capabilities: Leaf = (0, 0, 0, 0)
    """Leaf 12H sub-leaf 0: SGX1, SGX2, largest enclave."""
    sections: tuple[Leaf, ...] = ()
    """Leaf 12H sub-leaf 2 and on: EPC sections."""
    kss: bool = False
    launch_control: bool = True
    family: tuple[int, int, int] | None = None
    """Family, model and stepping, where the source tells them."""

    @property
    def sgx(self) -> bool:
        """Whether it has SGX at all."""
        return bool(self.capabilities[0] & 1)


MACHINES: Mapping[str, Machine] = MappingProxyType(
    {
        # SGX1 only; two sections of one socket, 26 MiB and 2 MiB: the 28 MiB of the size's data sheet.
        "dc1s-v2": Machine(
            source="Azure Standard_DC1s_v2, CPUID in public code, machine inferred from 906edh and 28 MiB",
            capabilities=(0x1, 0, 0, 0x241F),
            sections=((0xC0200001, 0x1, 0x1A00001, 0), (0xC1E00001, 0x1, 0x200001, 0)),
            family=(6, 158, 13),
        ),
        # 8 GiB; key separation as Gramine's is-sgx-available saw it on the same series (gsc issue 99).
        "dc2ds-v3": Machine(
            source="Azure Standard_DC2ds_v3, SGX-hardware issue 92",
            capabilities=(0x3, 0x1, 0, 0x381F),
            sections=((0xC0000001, 0x4, 0x1, 0x2),),
            kss=True,
            family=(6, 106, 6),
        ),
        # 23808 MiB.
        "alibaba-g7t": Machine(
            source="Alibaba 7th generation, SGX-hardware pull request 81",
            capabilities=(0x3, 0x1, 0, 0x381F),
            sections=((0x40000001, 0x6, 0xD0000002, 0x5),),
        ),
        # Two sockets, hence two NUMA nodes: 2028 MiB and 2036 MiB.
        "phoenixnap-d2": Machine(
            source="PhoenixNAP d2.m2.medium, SGX-hardware issue 99",
            capabilities=(0x403, 0x1, 0, 0x381F),
            sections=((0xC00001, 0x40, 0x7EC00002, 0), (0xC00001, 0x80, 0x7F400002, 0)),
        ),
        # 65144 MiB.
        "xeon-5315y": Machine(
            source="Xeon 5315Y, SGX-hardware pull request 87",
            capabilities=(0x403, 0x1, 0, 0x381F),
            sections=((0x18000001, 0x70, 0xE7800002, 0xF),),
        ),
        # SGX1 only, 93.5 MiB.
        "xeon-e-2276g": Machine(
            source="Xeon E-2276G, SGX-hardware pull request 88",
            capabilities=(0x1, 0, 0, 0x241F),
            sections=((0x70200001, 0, 0x5D80001, 0),),
        ),
        "none": Machine(source="a processor without SGX"),
    }
)

_TWO_SOCKETS = frozenset({"phoenixnap-d2"})

DEVICES: Mapping[DriverKind, tuple[str, ...]] = MappingProxyType(
    {
        DriverKind.IN_TREE: ("dev/sgx_enclave", "dev/sgx_provision"),
        DriverKind.DCAP: ("dev/sgx/enclave", "dev/sgx/provision"),
        DriverKind.ISGX: ("dev/isgx",),
    }
)
KERNELS: Mapping[DriverKind, str] = MappingProxyType(
    {
        DriverKind.IN_TREE: "6.8.0-1021-azure",
        # The FAQ's nodes: Ubuntu 18.04 with the DCAP driver 1.33.2.
        DriverKind.DCAP: "5.4.0-1056-azure",
        DriverKind.ISGX: "5.4.0-150-generic",
    }
)
"""The kernel release a host has unless told otherwise; out-of-tree drivers belong to kernels before the in-tree one (5.11)."""
MODULES: Mapping[DriverKind, tuple[str, str]] = MappingProxyType(
    {DriverKind.DCAP: ("intel_sgx", "1.33.2"), DriverKind.ISGX: ("isgx", "2.11.0")}
)
_OURS = ("dev/sgx_enclave", "dev/sgx_provision", "dev/sgx", "dev/isgx", "dev/cpu", "sys", "proc", "run/aesmd", "etc/containerd")
"""What a tree is made of: removed before it is written anew, so that nothing of another machine stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host to be written: a machine with what its firmware and operating system make of it."""

    machine: Machine
    driver: DriverKind | None = DriverKind.IN_TREE
    """None for a host whose driver is not loaded."""
    kernel: str = ""
    """The kernel release; empty for the driver's usual one."""
    numa: int = 1
    """NUMA nodes; sections are dealt to them in turn, and a single section is cut into equal parts first."""
    sysfs_epc: Mapping[int, int] = field(default_factory=dict)
    """Bytes that sysfs tells for a NUMA node where that differs from CPUID."""
    aesm: bool = False
    dev_noexec: bool = False
    containerd: str = ""
    """The text of the host's containerd configuration; empty for none."""


def host(name: str, driver: str = DriverKind.IN_TREE) -> Host:
    """A usual host of that machine, by name; raises `Misconfigured` DJ920 for names that are not known."""
    if name not in MACHINES:
        raise Misconfigured("DJ920", f"machine {name!r}: not known, expected one of {', '.join(MACHINES)}")
    if driver not in set(DriverKind):
        raise Misconfigured("DJ920", f"driver {driver!r}: not known, expected one of {', '.join(DriverKind)}")
    machine = MACHINES[name]
    driver_kind = DriverKind(driver) if machine.sgx else None
    if driver_kind is DriverKind.ISGX:
        # That driver is for processors whose launch key cannot be set.
        machine = replace(machine, launch_control=False)
    return Host(machine=machine, driver=driver_kind, numa=2 if name in _TWO_SOCKETS else 1)


def write_host(root: Path, simulated_host: Host) -> None:
    """Write the tree; what an earlier one left there goes, the root folder itself stays (it may be mounted somewhere).

    Raises `Unavailable` DJ921 where device nodes cannot be made, which needs root.
    """
    if root.resolve() == Path("/"):
        raise Misconfigured("DJ920", f"{root}: the real root of this machine, expected a folder for stand-in files")
    for path in _OURS:
        _remove(root / path)
    sections = _sections(simulated_host)
    for folder in ("dev", "run", "etc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write_cpuid(root / "dev/cpu/0/cpuid", _leaves(simulated_host.machine, sections))
    for path, text in _texts(simulated_host, sections).items():
        _write(root / path, text)
    if simulated_host.aesm:
        (root / "run/aesmd").mkdir()
        # A socket file that nobody listens on: enough for those who look, silent for those who call.
        os.mknod(root / "run/aesmd/aesm.socket", stat.S_IFSOCK | 0o777)
    if simulated_host.driver is not None:
        return_devices(root, simulated_host.driver)


def return_devices(root: Path, driver: DriverKind = DriverKind.IN_TREE) -> None:
    """Make the driver's device nodes where they are not."""
    for path in DEVICES[driver]:
        make_device(root / path)


def remove_devices(root: Path) -> None:
    """Take every device node away, of whichever driver."""
    for path in _OURS[:4]:
        _remove(root / path)


def make_device(path: Path) -> None:
    """A character device at that path; one that is there is left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not path.is_char_device():
            os.mknod(path, stat.S_IFCHR | 0o660, _ZERO_DEVICE)
            path.chmod(0o660)
    except PermissionError as error:
        raise Unavailable("DJ921", f"{path}: a device node can only be made by root; run this as root") from error


def _sections(simulated_host: Host) -> tuple[Leaf, ...]:
    """The machine's sections; a single one in equal parts where there are more NUMA nodes."""
    sections = simulated_host.machine.sections
    if len(sections) != 1 or simulated_host.numa == 1:
        return sections
    base, size = _decode(sections[0])
    part = size // simulated_host.numa // PAGE * PAGE
    return tuple(_encode(base + part * index, part, sections[0][2] & 0xF) for index in range(simulated_host.numa))


def _decode(section: Leaf) -> tuple[int, int]:
    """Base and size in bytes (Intel SDM volume 3D, leaf 12H sub-leaf 2 and on)."""
    eax, ebx, ecx, edx = section
    return (ebx & 0xFFFFF) << 32 | eax & 0xFFFFF000, (edx & 0xFFFFF) << 32 | ecx & 0xFFFFF000


def _encode(base: int, size: int, protection: int) -> Leaf:
    return base & 0xFFFFF000 | 1, base >> 32, size & 0xFFFFF000 | protection, size >> 32


def _leaves(machine: Machine, sections: tuple[Leaf, ...]) -> dict[tuple[int, int], Leaf]:
    """Leaf and sub-leaf to registers, as far as SGX is concerned."""
    if not machine.sgx:
        return {(0, 0): (0xD, 0, 0, 0)}
    # SECS.ATTRIBUTES that may be set: DEBUG, MODE64BIT, PROVISIONKEY, EINITTOKENKEY, and KSS where the machine has it;
    # XFRM is x87, SSE and AVX. The dumps in public do not hold this sub-leaf: these are the bits that the architecture names.
    attributes = 0x36 | (0x80 if machine.kss else 0)
    return {
        (0, 0): (0x1B, 0, 0, 0),
        (7, 0): (0, 1 << 2, 1 << 30 if machine.launch_control else 0, 0),
        (0x12, 0): machine.capabilities,
        (0x12, 1): (attributes, 0, 0x7, 0),
        **{(0x12, subleaf): section for subleaf, section in enumerate(sections, start=2)},
    }


def _write_cpuid(path: Path, leaves: Mapping[tuple[int, int], Leaf]) -> None:
    """A sparse file to be read like /dev/cpu/0/cpuid: 16 bytes at offset `subleaf << 32 | leaf`.

    On the device every offset is a leaf of its own; in a file the 16 bytes of neighbours overlap. Hence only the registers that
    matter to SGX are set, and joined bit by bit: the highest leaf, SGX (7.EBX[2]), SGX_LC (7.ECX[30]), and leaf 12H in full.
    One bit is seen twice: SGX_LC shows as 12H.0.EAX[6] too, which concerns hypervisors only (ENCLS-C).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[int, int] = {}
    for (leaf, subleaf), registers in leaves.items():
        for index, byte in enumerate(struct.pack("<4I", *registers)):
            offset = (subleaf << 32 | leaf) + index
            content[offset] = content.get(offset, 0) | byte
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        for offset, byte in content.items():
            os.pwrite(descriptor, bytes((byte,)), offset)
        # The first sub-leaf that is no section reads as zeros, not as the end of the file.
        last = max(subleaf for _, subleaf in leaves) + 1
        os.truncate(descriptor, (last << 32) + 0x12 + 16)
    finally:
        os.close(descriptor)


def _texts(simulated_host: Host, sections: tuple[Leaf, ...]) -> dict[str, str]:
    """Every text file of the tree."""
    driver = simulated_host.driver
    kernel = simulated_host.kernel or KERNELS[driver or DriverKind.IN_TREE]
    options = "rw,nosuid,noexec" if simulated_host.dev_noexec else "rw,nosuid"
    texts = {
        "proc/cpuinfo": _cpuinfo(simulated_host.machine),
        "proc/sys/kernel/osrelease": f"{kernel}\n",
        "proc/mounts": f"/dev/root / ext4 rw,relatime 0 0\ndevtmpfs /dev devtmpfs {options},size=4096k,mode=755 0 0\n",
    }
    for node in range(simulated_host.numa):
        texts[f"sys/devices/system/node/node{node}/cpulist"] = f"{node}\n"
    if driver is DriverKind.IN_TREE:
        for node, amount in _epc(simulated_host, sections).items():
            texts[f"sys/devices/system/node/node{node}/x86/sgx_total_bytes"] = f"{amount}\n"
    elif driver is not None:
        module, version = MODULES[driver]
        texts[f"sys/module/{module}/version"] = f"{version}\n"
    if simulated_host.containerd:
        texts["etc/containerd/config.toml"] = simulated_host.containerd
    return texts


def _epc(simulated_host: Host, sections: tuple[Leaf, ...]) -> dict[int, int]:
    """Bytes of EPC that the in-tree driver manages on each NUMA node."""
    amounts: dict[int, int] = {}
    for index, section in enumerate(sections):
        node = index % simulated_host.numa
        amounts[node] = amounts.get(node, 0) + _decode(section)[1]
    return {**amounts, **simulated_host.sysfs_epc}


def _cpuinfo(machine: Machine) -> str:
    flags = ["fpu", "sse2", "lm", "constant_tsc", "avx", "aes"]
    flags += (["sgx"] if machine.sgx else []) + (["sgx_lc"] if machine.sgx and machine.launch_control else [])
    lines = ["processor\t: 0", "vendor_id\t: GenuineIntel"]
    if machine.family is not None:
        family, model, stepping = machine.family
        lines += [f"cpu family\t: {family}", f"model\t\t: {model}", f"stepping\t: {stepping}"]
    return "\n".join([*lines, f"flags\t\t: {' '.join(flags)}", "", ""])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
