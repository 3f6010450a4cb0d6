"""What a host's readings mean. A fact is a `Reading` too: it keeps the place it came from, or says why it is unknown."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import starmap
from typing import TypeVar

from donjon.errors import DonjonError
from donjon.node.devices import MODULES, PATHS, DeviceRole, DriverKind, KnownPath
from donjon.node.readings import AesmState, DeviceNode, HostReadings, Reading
from donjon.node.runtimes import device_ownership
from donjon.sgx.cpuid import MAX_PHYSICAL_ADDRESS, EpcSection, SgxCpu
from donjon.sgx.cpuid import parse as parse_cpuid

T = TypeVar("T")
U = TypeVar("U")

IN_TREE_KERNEL = (5, 11)  # Linux 5.11 brought the in-tree driver.
EDMM_KERNEL = (6, 0)  # Linux 6.0 brought SGX_IOC_ENCLAVE_MODIFY_TYPES and its siblings.
_RELEASE = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_DECIMAL = re.compile(r"[0-9]{1,20}")
_BUILT_IN = re.compile(r"^CONFIG_X86_SGX=y$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """The SGX driver of a host; `version` is empty where none is told."""

    kind: DriverKind
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A host as far as SGX goes."""

    devices: tuple[DeviceNode, ...]
    enclave: DeviceNode | None  # the device that containers get, a character device
    provision: DeviceNode | None
    driver: Reading[Driver]
    cpu: Reading[SgxCpu]
    cpu_standin: bool
    cpu_flags: Reading[frozenset[str]]
    kernel: Reading[str]
    kernel_options: Reading[frozenset[str]]  # of its command line
    kernel_has_sgx: Reading[bool]  # whether it was built with the in-tree driver
    numa_epc: Reading[dict[int, int]]  # NUMA node to bytes, as the kernel manages them
    sections: Reading[tuple[EpcSection, ...]]
    epc: Reading[int]  # bytes
    edmm: Reading[bool]
    dev_noexec: Reading[bool]
    aesm: Reading[AesmState]
    device_ownership: Reading[bool]

    @property
    def has_sgx(self) -> bool:
        """Whether anything at all speaks of SGX here; a host that only could not be read counts as having it."""
        silent = self.cpu.value is not None and not self.cpu.value.sgx
        return not silent or any(node.is_device for node in self.devices)

    @property
    def kernel_version(self) -> tuple[int, int] | None:
        """The first two numbers of the kernel's release, where it has them."""
        return kernel_numbers(self.kernel.value or "")

    @property
    def virtual(self) -> bool:
        """Whether the kernel knows that it runs in a VM."""
        return "hypervisor" in (self.cpu_flags.value or ())

    @property
    def virtual_epc(self) -> DeviceNode | None:
        """The device from which KVM guests get EPC."""
        return _choose(self.devices, DeviceRole.VIRTUAL_EPC)


def kernel_numbers(release: str) -> tuple[int, int] | None:
    """The first two numbers of a kernel's release, where it has them."""
    numbers = _RELEASE.match(release)
    return None if numbers is None else (int(numbers[1]), int(numbers[2]))


def derive(readings: HostReadings) -> NodeFacts:
    """All facts that follow from the readings; whatever cannot be told is a fact marked unknown with its reason."""
    cpu = _map(readings.cpuid, parse_cpuid)
    numa_epc = _numa_epc(readings)
    sections = _map(cpu, lambda sgx_cpu: sgx_cpu.sections)
    return NodeFacts(
        devices=readings.devices,
        enclave=_choose(readings.devices, DeviceRole.ENCLAVE),
        provision=_choose(readings.devices, DeviceRole.PROVISION),
        driver=_driver(readings),
        cpu=cpu,
        cpu_standin=readings.cpu_standin,
        cpu_flags=_map(readings.cpuinfo, _flags),
        kernel=readings.kernel_release,
        kernel_options=_map(readings.kernel_command_line, lambda line: frozenset(line.split())),
        kernel_has_sgx=_map(readings.kernel_build, lambda options: _BUILT_IN.search(options) is not None),
        numa_epc=numa_epc,
        sections=sections,
        epc=_epc(numa_epc, sections),
        edmm=_edmm(cpu, readings.kernel_release),
        dev_noexec=_map(readings.dev_options, lambda options: "noexec" in options),
        aesm=readings.aesm,
        device_ownership=device_ownership(readings.runtimes),
    )


def _map(reading: Reading[T], meaning: Callable[[T], U]) -> Reading[U]:
    """The meaning of a known reading at the same source; unknown stays unknown, and a broken promise becomes a reason."""
    if reading.value is None:
        return Reading[U].unknown(reading.problem, source=reading.source)
    try:
        return Reading.of(meaning(reading.value), source=reading.source)
    except DonjonError as error:
        return Reading[U].unknown(str(error), source=reading.source)


def _paths_with_nodes(devices: Iterable[DeviceNode]) -> Iterable[tuple[KnownPath, DeviceNode]]:
    return zip(PATHS, devices, strict=True)


def _choose(devices: tuple[DeviceNode, ...], role: DeviceRole) -> DeviceNode | None:
    """The first device of that role in the order of the table."""
    return next((node for known_path, node in _paths_with_nodes(devices) if known_path.role is role and node.is_device), None)


def _driver(readings: HostReadings) -> Reading[Driver]:
    """The driver by the path of its enclave device; a loaded out-of-tree module says it better (DCAP 1.41 uses in-tree paths)."""
    modules = readings.modules.value or {}
    for name, kind in MODULES.items():
        if name in modules:
            return Reading.of(Driver(kind=kind, version=modules[name]), source=f"module {name}")
    for known_path, node in _paths_with_nodes(readings.devices):
        if known_path.role is DeviceRole.ENCLAVE and known_path.driver is not None and node.is_device:
            version = readings.kernel_release.value if known_path.driver is DriverKind.IN_TREE else ""
            return Reading.of(Driver(kind=known_path.driver, version=version or ""), source=node.path)
    return Reading[Driver].unknown("no enclave device", source="/dev")


def _flags(cpuinfo: str) -> frozenset[str]:
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return frozenset(next((flags.split() for name, _, flags in lines if name.strip() == "flags"), ()))


def _numa_epc(readings: HostReadings) -> Reading[dict[int, int]]:
    """Bytes of EPC a NUMA node; unknown as a whole when one node's figure cannot be believed, so that no sum is made up."""
    source = readings.numa_epc.source
    if readings.numa_epc.value is None:
        return Reading[dict[int, int]].unknown(readings.numa_epc.problem, source=source)
    amounts = list(starmap(_numa_amount, sorted(readings.numa_epc.value.items())))
    problems = [amount.problem for _, amount in amounts if amount.value is None]
    if problems or not amounts:
        return Reading[dict[int, int]].unknown("; ".join(problems) or "no NUMA node tells sgx_total_bytes", source=source)
    return Reading.of({node: amount.value for node, amount in amounts if amount.value is not None}, source=source)


def _numa_amount(node: int, text: Reading[str]) -> tuple[int, Reading[int]]:
    if text.value is None:
        return node, Reading[int].unknown(f"{text.problem} [DJ903]", source=text.source)
    digits = text.value.strip()
    if not _DECIMAL.fullmatch(digits) or int(digits) > MAX_PHYSICAL_ADDRESS:
        problem = f"{text.source}: {digits[:40]!r}, expected bytes in decimal, at most {MAX_PHYSICAL_ADDRESS} [DJ903]"
        return node, Reading[int].unknown(problem, source=text.source)
    return node, Reading.of(int(digits), source=text.source)


def _epc(numa: Reading[dict[int, int]], sections: Reading[tuple[EpcSection, ...]]) -> Reading[int]:
    """The EPC that may be promised: the kernel's figure, never more than the processor has; one where only one speaks."""
    if numa.value is not None and sections.value is not None:
        return Reading.of(
            min(sum(numa.value.values()), sum(section.size for section in sections.value)),
            source=f"{numa.source}, {sections.source}",
        )
    if numa.value is not None:
        return Reading.of(sum(numa.value.values()), source=numa.source)
    if sections.value is not None:
        return Reading.of(sum(section.size for section in sections.value), source=sections.source)
    return Reading[int].unknown(f"{numa.problem}; {sections.problem}", source=f"{numa.source}, {sections.source}")


def _edmm(cpu: Reading[SgxCpu], kernel: Reading[str]) -> Reading[bool]:
    """Enclave Dynamic Memory Management: SGX2 in the processor and a kernel that can use it."""
    source = f"{cpu.source}, {kernel.source}"
    if cpu.value is None or kernel.value is None:
        return Reading[bool].unknown(cpu.problem or kernel.problem, source=source)
    numbers = kernel_numbers(kernel.value)
    if numbers is None:
        return Reading[bool].unknown(f"kernel release {kernel.value[:40]!r} has no number", source=source)
    return Reading.of(cpu.value.sgx2 and numbers >= EDMM_KERNEL, source=source)
