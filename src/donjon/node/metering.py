"""By what the meter of this machine would read EPC in use, and why; said before anything is loaded."""

from collections.abc import Callable
from dataclasses import dataclass

from donjon.node.readings import Reading
from donjon.node.report import FactLine
from donjon.sgx.epc import EpcSource

DRIVERS = frozenset({"sgx_enclave", "sgx_vepc"})
"""Names of the in-tree driver's misc devices (arch/x86/kernel/cpu/sgx/driver.c, virt.c)."""
STRUCTURE = b"sgx_encl\0"  # in the kernel's description of its types

_CONFIDENTIALITY = "[confidentiality]"  # as the kernel marks the mode that it is in


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelOutlook:
    """What decides whether the meter's BPF programs can be loaded."""

    misc: Reading[frozenset[str]]  # names of the kernel's misc devices
    types: Reading[bool]  # whether its types are described, and those of enclaves among them
    lockdown: Reading[str]  # /sys/kernel/security/lockdown


def metering(outlook: KernelOutlook, *, has_device: bool) -> FactLine:
    """The fact for people and programs; the source is none where no enclave can be made."""
    if not has_device:
        return _line(None, "no enclave device, so nothing to measure", outlook.misc)
    for obstacle in _OBSTACLES:
        if (hindrance := obstacle(outlook)) is not None:
            return _line(EpcSource.MAPS, hindrance[1], hindrance[0])
    return _line(EpcSource.BPF, "the kernel's own counters; needs CAP_BPF and CAP_PERFMON, and Linux 5.12", outlook.types)


def _line(source: EpcSource | None, reason: str, reading: Reading[frozenset[str]] | Reading[bool] | Reading[str]) -> FactLine:
    name = "none" if source is None else source.value
    bound = ", so an upper bound by areas, with CAP_SYS_PTRACE (chart: node.meter.maps)" if source is EpcSource.MAPS else ""
    return FactLine(name="epc metering", value=name, text=f"{name}: {reason}{bound}", source=reading.source)


Obstacle = tuple[Reading[frozenset[str]] | Reading[bool] | Reading[str], str]


def _driver(outlook: KernelOutlook) -> Obstacle | None:
    if outlook.misc.value is not None and not outlook.misc.value & DRIVERS:
        return outlook.misc, "the kernel has no SGX driver of its own"
    return None


def _types(outlook: KernelOutlook) -> Obstacle | None:
    if outlook.types.value is None:
        return outlook.types, "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)"
    return None if outlook.types.value else (outlook.types, "the kernel's types have no enclaves")


def _lockdown(outlook: KernelOutlook) -> Obstacle | None:
    if _CONFIDENTIALITY in (outlook.lockdown.value or ""):
        return outlook.lockdown, "the kernel is in lockdown mode confidentiality"
    return None


_OBSTACLES: tuple[Callable[[KernelOutlook], Obstacle | None], ...] = (_driver, _types, _lockdown)
