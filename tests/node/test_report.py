"""Facts for people and programs: every fact has a line with its place, and an unknown one its reason."""

from typing import Any

import pytest
from tests.node.world import GIB, cpuid, device, devices, facts, numa, unknown

from donjon.node.readings import FileKind, Reading
from donjon.node.report import report

LINKED = devices(device("/dev/sgx/enclave", FileKind.LINK, target="../sgx_enclave"))


def shown(**changed: Any) -> dict[str, str]:
    return {line.name: line.text for line in report(facts(**changed))}


def test_a_usual_host_reads_as_a_person_would_say_it() -> None:
    lines = shown()
    assert lines["cpu: sgx"] == "yes"
    assert lines["cpu: sgx version"] == "2"
    assert lines["kernel: cpu flags"] == "sgx, sgx_lc"
    assert lines["driver"] == "in-tree 6.8.0-1021-azure"
    assert lines["device /dev/sgx_enclave"] == "character device, owner 0, group 1001, mode 0666"
    assert lines["epc"] == f"8Gi ({8 * GIB} bytes)"
    assert lines["epc sections"] == "8Gi at 0x4c0000000"
    assert lines["edmm"] == "yes"


def test_every_line_says_where_it_was_read() -> None:
    assert [line.name for line in report(facts()) if not line.source] == []


def test_an_unknown_fact_has_no_value_and_a_reason() -> None:
    lines = {line.name: line for line in report(facts(cpuid=unknown("no x86"), numa_epc=unknown("no sysfs")))}
    for name in ("cpu: sgx", "cpu: sgx version", "epc", "epc by NUMA node", "epc sections", "edmm"):
        assert lines[name].value is None
        assert lines[name].problem


@pytest.mark.parametrize(
    ("changed", "name", "text"),
    [
        ({"numa_epc": numa(str(3 * GIB), str(5 * GIB))}, "epc by NUMA node", f"node 0: 3Gi ({3 * GIB} bytes), node 1: 5Gi"),
        ({"devices": LINKED}, "device /dev/sgx/enclave", "to ../sgx_enclave"),
        ({"cpuid": cpuid(epc=0), "numa_epc": numa("0")}, "epc sections", "none"),
        ({"cpuinfo": Reading.of("flags: fpu", source="x")}, "kernel: cpu flags", "none of sgx, sgx_lc"),
    ],
)
def test_what_is_less_usual_is_said_too(changed: dict[str, Any], name: str, text: str) -> None:
    assert text in shown(**changed)[name]
