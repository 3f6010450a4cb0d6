"""One host a row, and every finding it gets."""

from typing import Any

import pytest
from tests.node.world import (
    GIB,
    IN_TREE,
    ISGX,
    NO_DEVICES,
    OLD_DCAP,
    OWNERSHIP,
    containerd,
    cpuid,
    cpuinfo,
    device,
    devices,
    facts,
    numa,
    text,
    unknown,
)

from donjon.findings import Severity
from donjon.node.readiness import CHECKS, assess
from donjon.node.readings import AesmState, FileKind, Reading

NO_EPC_FIGURES = unknown("no NUMA node tells sgx_total_bytes")


def aesm(state: AesmState) -> Any:
    return Reading.of(state, source="/run/aesmd/aesm.socket")


def linked(path: str, **said: Any) -> Any:
    """A link that leads to a character device."""
    return device(path, FileKind.LINK, target="char/10:125", behind=FileKind.CHARACTER, **said)


def enclave(**said: Any) -> Any:
    return devices(device("/dev/sgx_enclave", **said), device("/dev/sgx_provision"))


TABLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("a healthy host", {}, []),
    ("no SGX", {"cpuid": cpuid(sgx=False), "devices": NO_DEVICES, "cpuinfo": cpuinfo()}, ["DJ001"]),
    (
        "SGX off in the firmware",
        {"cpuid": cpuid(sgx1=False, sgx2=False, epc=0), "devices": NO_DEVICES, "cpuinfo": cpuinfo(), "numa_epc": NO_EPC_FIGURES},
        ["DJ002"],
    ),
    ("no launch control", {"cpuid": cpuid(launch_control=False)}, ["DJ003"]),
    ("no driver", {"devices": NO_DEVICES}, ["DJ004"]),
    ("a folder for a device", {"devices": devices(device("/dev/sgx_enclave", FileKind.FOLDER))}, ["DJ004", "DJ005"]),
    ("a file for a device", {"devices": devices(device("/dev/sgx_enclave", FileKind.FILE))}, ["DJ004", "DJ005"]),
    ("a socket for a device", {"devices": devices(device("/dev/isgx", FileKind.SOCKET))}, ["DJ004", "DJ005"]),
    ("a block device", {"devices": devices(device("/dev/isgx", FileKind.BLOCK))}, ["DJ004", "DJ005"]),
    ("a device that cannot be looked at", {"devices": devices(device("/dev/isgx", FileKind.UNREADABLE))}, ["DJ004", "DJ005"]),
    ("a link to nowhere", {"devices": devices(device("/dev/sgx_enclave", FileKind.LINK))}, ["DJ004", "DJ005"]),
    (
        "a link whose device is there",
        {"devices": devices(linked("/dev/sgx_enclave"), linked("/dev/sgx_provision"))},
        [],
    ),
    ("links beside good devices", {"devices": devices(*IN_TREE[:2], linked("/dev/sgx/enclave"))}, []),
    ("the legacy folder alone", {"devices": devices(device("/dev/sgx", FileKind.FOLDER))}, ["DJ004"]),
    (
        "a broken path beside good devices",
        {"devices": devices(device("/dev/sgx_enclave"), device("/dev/sgx_provision"), device("/dev/isgx", FileKind.FILE))},
        [],
    ),
    ("no EPC", {"numa_epc": numa("0"), "cpuid": cpuid(epc=0)}, ["DJ006"]),
    ("EPC unknown", {"numa_epc": NO_EPC_FIGURES, "cpuid": unknown()}, ["DJ006", "DJ015"]),
    ("the kernel has less", {"numa_epc": numa(str(4 * GIB))}, ["DJ007"]),
    ("the kernel claims more", {"numa_epc": numa(str(9 * GIB))}, ["DJ007"]),
    ("the kernel manages none", {"numa_epc": numa("0")}, ["DJ006", "DJ007"]),
    ("no provision device", {"devices": devices(device("/dev/sgx_enclave"))}, ["DJ008"]),
    (
        "a provision device that is a file",
        {"devices": devices(device("/dev/sgx_enclave"), device("/dev/sgx_provision", FileKind.FILE))},
        ["DJ008"],
    ),
    ("root only", {"devices": enclave(mode=0o600)}, ["DJ009"]),
    ("root and a group", {"devices": enclave(mode=0o660)}, ["DJ009"]),
    ("anybody may read only", {"devices": enclave(mode=0o664)}, ["DJ009"]),
    (
        "root only, but containerd hands it over",
        {"devices": enclave(mode=0o600), "runtimes": (containerd(OWNERSHIP),)},
        [],
    ),
    ("noexec", {"dev_options": Reading.of(frozenset({"noexec"}), source="/proc/mounts")}, ["DJ010"]),
    ("noexec unknown", {"dev_options": unknown()}, []),
    ("no AESM", {"aesm": aesm(AesmState.ABSENT)}, ["DJ011"]),
    ("a dead AESM", {"aesm": aesm(AesmState.SILENT)}, ["DJ011"]),
    ("a file for AESM's socket", {"aesm": aesm(AesmState.NO_SOCKET)}, ["DJ011"]),
    ("AESM unknown", {"aesm": unknown()}, []),
    ("SGX1 only", {"cpuid": cpuid(sgx2=False)}, ["DJ012"]),
    ("an old kernel", {"kernel_release": text("5.15.0-1")}, ["DJ012"]),
    ("the legacy driver", {"devices": ISGX, "cpuid": cpuid(launch_control=False)}, ["DJ003", "DJ013"]),
    (
        "root only, both devices",
        {"devices": devices(device("/dev/sgx_enclave", mode=0o600), device("/dev/sgx_provision", mode=0o600))},
        ["DJ009"],
    ),
    (
        "the provisioning device closed",
        {"devices": devices(device("/dev/sgx_enclave"), device("/dev/sgx_provision", mode=0o660))},
        ["DJ009"],
    ),
    ("the DCAP driver of old", {"devices": OLD_DCAP, "numa_epc": NO_EPC_FIGURES}, []),
    ("CPUID unknown", {"cpuid": unknown()}, ["DJ015"]),
    ("absurd sysfs", {"numa_epc": numa(str(2**64))}, ["DJ016"]),
    ("one of two NUMA nodes absurd", {"numa_epc": numa("-1", str(8 * GIB))}, ["DJ016"]),
    ("one of two NUMA nodes unreadable", {"numa_epc": numa(str(8 * GIB), unknown("node1: Input/output error"))}, ["DJ016"]),
    ("both NUMA nodes broken, each its way", {"numa_epc": numa("-1", unknown("node1: Input/output error"))}, ["DJ016"]),
    ("the kernel without the flag", {"cpuinfo": cpuinfo()}, ["DJ017"]),
    ("a stand-in for the processor", {"cpu_standin": True}, ["DJ019"]),
]


@pytest.mark.parametrize(("changed", "codes"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_host_gets_exactly_the_findings_of_what_it_is(changed: dict[str, Any], codes: list[str]) -> None:
    assert [finding.code for finding in assess(facts(**changed)).findings] == codes


def test_everything_that_is_wrong_and_no_consequence_of_the_cause_is_said_at_once() -> None:
    verdict = assess(
        facts(
            devices=devices(device("/dev/sgx_enclave", FileKind.FILE)),
            cpuid=cpuid(launch_control=False, sgx2=False, epc=0),
            numa_epc=numa("0"),
            cpuinfo=cpuinfo(),
            dev_options=Reading.of(frozenset({"noexec"}), source="/proc/mounts"),
            aesm=aesm(AesmState.SILENT),
            cpu_standin=True,
        )
    )
    assert {finding.code for finding in verdict.findings} == {*("DJ003", "DJ005", "DJ010", "DJ019")}
    assert not verdict.ready


def test_errors_come_first_and_notes_last() -> None:
    noexec = Reading.of(frozenset({"noexec"}), source="/proc/mounts")
    found = assess(facts(devices=NO_DEVICES, dev_options=noexec, cpu_standin=True)).findings
    assert [finding.severity for finding in found] == [Severity.ERROR, Severity.WARNING, Severity.INFO]


@pytest.mark.parametrize(
    ("changed", "ready"),
    [
        ({}, True),
        ({"cpuid": cpuid(launch_control=False)}, True),
        ({"devices": enclave(mode=0o600)}, True),
        ({"numa_epc": numa(str(4 * GIB))}, True),
        ({"devices": NO_DEVICES}, False),
        ({"numa_epc": numa("0")}, False),
        ({"cpuid": cpuid(sgx=False), "devices": NO_DEVICES}, False),
    ],
)
def test_only_an_error_makes_a_host_not_ready(changed: dict[str, Any], *, ready: bool) -> None:
    assert assess(facts(**changed)).ready is ready


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ({"mode": 0o660, "gid": 1001}, "supplementalGroups: [1001]"),
        ({"mode": 0o660, "gid": 0}, "let udev give /dev/sgx_enclave a group"),
        ({"mode": 0o600, "gid": 1001}, "let udev give /dev/sgx_enclave a group"),
    ],
)
def test_non_root_containers_are_told_the_group_that_would_help(said: dict[str, int], advice: str) -> None:
    (found,) = assess(facts(devices=enclave(**said))).findings
    assert advice in found.do
    assert "device_ownership_from_security_context" in found.do


def test_which_of_two_epc_figures_is_the_lesser_changes_what_is_said() -> None:
    (less,) = assess(facts(numa_epc=numa(str(4 * GIB)))).findings
    (more,) = assess(facts(numa_epc=numa(str(9 * GIB)))).findings
    assert "left part of the EPC unused" in less.why
    assert "which cannot be" in more.why
    assert str(4 * GIB) in less.observation
    assert str(9 * GIB) in more.observation


def test_every_check_speaks_in_some_row_of_the_table() -> None:
    rows = [facts(**changed) for _, changed, _ in TABLE]
    assert [check.__name__ for check in CHECKS if not any(list(check(row)) for row in rows)] == []


@pytest.mark.parametrize("changed", [row[1] for row in TABLE], ids=[row[0] for row in TABLE])
def test_every_finding_says_why_and_what_to_do(changed: dict[str, Any]) -> None:
    for finding in assess(facts(**changed)).findings:
        assert finding.subject
        assert finding.observation
        assert finding.why
        assert finding.do
        assert finding.sentence().count("\n") == 0
