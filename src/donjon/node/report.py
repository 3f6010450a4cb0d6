"""Facts for people and programs: a name, a value and the place it was read from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from donjon.formats.json import Json
from donjon.kube.quantities import canonical
from donjon.node.facts import NodeFacts
from donjon.node.readings import FileKind, Reading
from donjon.sgx.cpuid import EpcSection

T = TypeVar("T")

VIRTUAL_LINE = "machine: virtual"
KERNEL_LINE = "kernel: release"
SECTIONS_LINE = "epc sections"
OWNERSHIP_LINE = "container runtime: device ownership"
"""Names of facts that others than people go by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLine:
    """One fact; `value` is `None` where it is unknown, and `problem` says why."""

    name: str
    value: Json
    text: str
    source: str
    problem: str = ""


def report(facts: NodeFacts) -> tuple[FactLine, ...]:
    """Every fact, in the order in which a person asks for them."""
    return tuple(_lines(facts))


def _lines(facts: NodeFacts) -> Iterator[FactLine]:
    cpu, flags = facts.cpu, facts.cpu_flags
    yield _line("cpu: sgx", cpu, None if cpu.value is None else cpu.value.sgx)
    yield _line("cpu: launch control (sgx_lc)", cpu, None if cpu.value is None else cpu.value.launch_control)
    yield _line("cpu: sgx version", cpu, None if cpu.value is None else cpu.value.version)
    yield _line("cpu: key separation (kss)", cpu, None if cpu.value is None else cpu.value.kss)
    kernel_flags: Json = None if flags.value is None else [flag for flag in ("sgx", "sgx_lc") if flag in flags.value]
    yield _line("kernel: cpu flags", flags, kernel_flags, "none of sgx, sgx_lc" if not kernel_flags else "")
    yield _line(VIRTUAL_LINE, flags, None if flags.value is None else facts.virtual)
    yield _line(KERNEL_LINE, facts.kernel, facts.kernel.value)
    sgx_option = facts.kernel_has_sgx
    yield _line("kernel: built with SGX", sgx_option, sgx_option.value)
    options = facts.kernel_options
    yield _line("kernel: nosgx on its command line", options, None if options.value is None else "nosgx" in options.value)
    yield _line("edmm", facts.edmm, facts.edmm.value)
    driver = facts.driver
    yield _line("driver", driver, None if driver.value is None else f"{driver.value.kind} {driver.value.version}".strip())
    for node in facts.devices:
        if node.kind is not FileKind.ABSENT:
            owner = f"{node.kind}, owner {node.uid}, group {node.gid}, mode {node.mode:04o}"
            link = f" to {node.target} ({node.behind})" if node.target else ""
            yield FactLine(name=f"device {node.path}", value=owner + link, text=owner + link, source=node.path)
    yield _line("epc", facts.epc, facts.epc.value, _bytes(facts.epc.value))
    yield _line(
        "epc by NUMA node", facts.numa_epc, _numa(facts), ", ".join(f"node {n}: {_bytes(a)}" for n, a in _numa_items(facts))
    )
    sections = facts.sections
    yield _line(SECTIONS_LINE, sections, None if sections.value is None else [_section(each) for each in sections.value])
    yield _line("/dev mounted noexec", facts.dev_noexec, facts.dev_noexec.value)
    yield _line("aesm", facts.aesm, None if facts.aesm.value is None else str(facts.aesm.value))
    yield _line(OWNERSHIP_LINE, facts.device_ownership, facts.device_ownership.value)


def _line(name: str, reading: Reading[T], value: Json, text: str = "") -> FactLine:
    return FactLine(name=name, value=value, text=text or _value_text(value), source=reading.source, problem=reading.problem)


def _value_text(value: Json) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_value_text, value)) or "none"
        case _:
            return str(value)


def _bytes(amount: int | None) -> str:
    return "" if amount is None else f"{canonical(amount)} ({amount} bytes)"


def _numa_items(facts: NodeFacts) -> list[tuple[int, int]]:
    return sorted((facts.numa_epc.value or {}).items())


def _numa(facts: NodeFacts) -> Json:
    return None if facts.numa_epc.value is None else {str(node): amount for node, amount in _numa_items(facts)}


def _section(section: EpcSection) -> str:
    protection = "" if section.integrity else " (confidentiality only)"
    return f"{canonical(section.size)} at {section.base:#x}{protection}"
