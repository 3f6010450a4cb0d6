"""A host without an enclave device, and the one cause that is told of it."""

from typing import Any

import pytest
from tests.node.world import MIB, NO_DEVICES, cpuid, cpuinfo, device, devices, facts, numa, text, unknown

from donjon.findings import Severity
from donjon.node.readiness import assess
from donjon.node.readings import AesmState, FileKind, Reading

OLD, NEW = text("5.4.0-1056-azure"), text("6.8.0-1021-azure")
VEPC = devices(device("/dev/sgx_vepc"))
OFF = "# CONFIG_X86_SGX is not set\n"
VM = cpuinfo("hypervisor")


def module(name: str) -> Any:
    return Reading.of({name: "2.11.0"}, source="/sys/module")


BESIDE = {"DJ005", "DJ010", "DJ015"}
"""What is told beside a cause: things in a device's place, /dev mounted noexec, and that CPUID could not be read."""

CAUSES: list[tuple[str, dict[str, Any], str, str]] = [
    ("a processor without SGX", {"cpuid": cpuid(sgx=False), "cpuinfo": cpuinfo()}, "DJ001", "choose a processor with SGX"),
    ("a VM without SGX", {"cpuid": cpuid(sgx=False), "cpuinfo": VM}, "DJ001", "have the hypervisor pass it through"),
    ("KVM's EPC in a processor that shows no SGX", {"cpuid": cpuid(sgx=False), "devices": VEPC}, "DJ001", "processor"),
    ("firmware keeps SGX off", {"cpuid": cpuid(sgx1=False, epc=0), "cpuinfo": cpuinfo()}, "DJ002", "firmware's setup"),
    ("a hypervisor keeps SGX off", {"cpuid": cpuid(sgx1=False, epc=0), "cpuinfo": VM}, "DJ002", "in the hypervisor"),
    ("nosgx", {"kernel_command_line": text("ro nosgx quiet"), "cpuinfo": cpuinfo()}, "DJ035", "GRUB_CMDLINE_LINUX"),
    ("no launch control", {"cpuid": cpuid(launch_control=False), "cpuinfo": cpuinfo()}, "DJ003", "legacy driver isgx"),
    ("no launch control in a VM", {"cpuid": cpuid(launch_control=False), "cpuinfo": VM}, "DJ003", "sgxlc"),
    (
        "the DCAP driver on a processor without launch control",
        {"cpuid": cpuid(launch_control=False), "modules": module("intel_sgx"), "kernel_release": OLD},
        "DJ003",
        "legacy driver isgx",
    ),
    (
        "isgx without its device",
        {"modules": module("isgx"), "cpuid": cpuid(launch_control=False), "kernel_release": OLD, "cpuinfo": cpuinfo()},
        "DJ038",
        "modprobe isgx",
    ),
    (
        "the DCAP driver without its device",
        {"modules": module("intel_sgx"), "kernel_release": OLD},
        "DJ038",
        "modprobe intel_sgx",
    ),
    ("a kernel without the option", {"kernel_build": text(OFF), "cpuinfo": cpuinfo()}, "DJ036", "CONFIG_X86_SGX=y"),
    (
        "an old kernel",
        {"kernel_build": unknown(), "kernel_release": OLD, "cpuinfo": cpuinfo()},
        "DJ036",
        "or load the DCAP driver",
    ),
    ("locked, for guests alone", {"cpuinfo": cpuinfo("sgx"), "devices": VEPC}, "DJ034", "set launch control to unlocked"),
    ("locked", {"cpuinfo": cpuinfo()}, "DJ034", "set launch control to unlocked"),
    ("locked under a hypervisor", {"cpuinfo": VM}, "DJ034", "have the hypervisor leave launch control writable"),
    ("an old kernel to which SGX was ported, locked", {"kernel_release": OLD, "cpuinfo": cpuinfo("sgx")}, "DJ034", "unlocked"),
    ("KVM alone, nothing else known", {"cpuinfo": unknown(), "cpuid": unknown(), "devices": VEPC}, "DJ037", "unlocked"),
    ("no EPC", {"cpuid": cpuid(epc=0)}, "DJ006", "reserve EPC (PRMRR)"),
    ("no EPC in a VM", {"cpuid": cpuid(epc=0), "cpuinfo": VM}, "DJ006", "in the hypervisor"),
    ("nothing says why", {}, "DJ004", "dmesg"),
    (
        "nothing could be read",
        {"cpuid": unknown(), "cpuinfo": unknown(), "kernel_release": unknown()},
        "DJ004",
        "or load the DCAP",
    ),
]


@pytest.mark.parametrize(("changed", "code", "advice"), [row[1:] for row in CAUSES], ids=[row[0] for row in CAUSES])
def test_the_deepest_cause_is_told_first_and_nothing_that_follows_from_it(
    changed: dict[str, Any], code: str, advice: str
) -> None:
    verdict = assess(facts(**{"devices": NO_DEVICES, **changed}))
    first, *others = verdict.findings
    assert (first.code, first.severity, verdict.ready) == (code, Severity.ERROR, False)
    assert advice in first.do
    assert {each.code for each in others} <= BESIDE


MUCH_ELSE: dict[str, Any] = {
    "devices": devices(device("/dev/sgx_provision", mode=0o600), device("/dev/isgx", FileKind.FILE)),
    "aesm": Reading.of(AesmState.NO_SOCKET, source="/run/aesmd/aesm.socket"),
    "dev_options": Reading.of(frozenset({"noexec"}), source="/proc/mounts"),
}


@pytest.mark.parametrize("numa_epc", [numa(str(MIB)), numa("-1")], ids=["another amount of EPC", "no amount of EPC"])
@pytest.mark.parametrize(
    ("changed", "code"),
    [row[1:3] for row in CAUSES if "devices" not in row[1]],
    ids=[row[0] for row in CAUSES if "devices" not in row[1]],
)
def test_where_much_is_wrong_beside_the_cause_only_what_can_be_mended_by_itself_is_told(
    changed: dict[str, Any], code: str, numa_epc: Any
) -> None:
    first, *others = assess(facts(**{**MUCH_ELSE, "numa_epc": numa_epc, **changed})).findings
    assert first.code == code
    assert {each.code for each in others} <= BESIDE


USELESS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("a new kernel", {}, ("5.11", "DCAP driver")),
    ("a processor without SGX", {"cpuid": cpuid(sgx=False)}, ("driver", "dmesg", "CONFIG")),
    ("no launch control in the processor", {"cpuid": cpuid(launch_control=False)}, ("unlocked", "dmesg", "5.11", "firmware")),
    ("launch control locked", {"cpuinfo": cpuinfo()}, ("5.11", "DCAP driver", "isgx")),
    ("nosgx", {"kernel_command_line": text("nosgx")}, ("firmware", "driver", "dmesg")),
    ("a VM", {"cpuid": cpuid(sgx1=False), "cpuinfo": VM}, ("firmware",)),
]


@pytest.mark.parametrize(("changed", "words"), [row[1:] for row in USELESS], ids=[row[0] for row in USELESS])
def test_no_advice_that_a_fact_already_read_makes_useless(changed: dict[str, Any], words: tuple[str, ...]) -> None:
    advice = " ".join(each.do for each in assess(facts(**{"devices": NO_DEVICES, **changed})).findings)
    assert [word for word in words if word in advice] == []


def test_a_host_with_its_device_has_no_cause_whatever_else_is_odd() -> None:
    odd = {"cpuinfo": cpuinfo("sgx"), "kernel_command_line": text("nosgx"), "kernel_build": text(OFF)}
    assert assess(facts(**odd)).ready


@pytest.mark.parametrize(("launch_control", "advice"), [(True, "move to Linux 5.11"), (False, "move to a processor with launch")])
def test_the_legacy_driver_is_left_by_way_of_what_the_processor_has(*, launch_control: bool, advice: str) -> None:
    isgx = devices(device("/dev/isgx"))
    verdict = assess(facts(devices=isgx, cpuid=cpuid(launch_control=launch_control)))
    (legacy,) = (each for each in verdict.findings if each.code == "DJ013")
    assert legacy.do.startswith(advice)


def test_flags_that_a_kernel_never_shows_are_no_sign_of_a_lock() -> None:
    """A release that cannot be read, and no word of SGX: the kernel may be older than the flag."""
    said = {"kernel_release": unknown(), "kernel_build": unknown(), "cpuinfo": cpuinfo(), "devices": NO_DEVICES}
    assert assess(facts(**said)).findings[0].code == "DJ004"


def test_edmm_needs_what_is_lacking_and_no_more() -> None:
    (kernel,) = assess(facts(kernel_release=text("5.15.0"))).findings
    (processor,) = assess(facts(cpuid=cpuid(sgx2=False))).findings
    assert (kernel.do, processor.do) == ("for EDMM use Linux 6.0 or later", "for EDMM use a processor with SGX2")


@pytest.mark.parametrize(
    ("enclave", "provision", "advice"),
    [
        ((0o660, 1001), (0o660, 1002), "supplementalGroups: [1001, 1002]"),
        ((0o660, 1001), (0o660, 1001), "supplementalGroups: [1001]"),
        ((0o660, 1001), (0o600, 0), "supplementalGroups: [1001]; or let udev give /dev/sgx_provision a group"),
        ((0o666, 0), (0o660, 1002), "supplementalGroups: [1002]"),
        ((0o600, 0), (0o600, 0), "let udev give /dev/sgx_enclave, /dev/sgx_provision a group"),
    ],
)
def test_both_devices_and_their_groups_are_told(enclave: tuple[int, int], provision: tuple[int, int], advice: str) -> None:
    there = devices(
        device("/dev/sgx_enclave", mode=enclave[0], gid=enclave[1]),
        device("/dev/sgx_provision", mode=provision[0], gid=provision[1]),
    )
    (found,) = assess(facts(devices=there)).findings
    assert (found.code, advice in found.do) == ("DJ009", True)


def test_a_link_to_a_device_is_told_by_what_it_leads_to() -> None:
    """Mode and group are the device's, not the link's."""
    link = device("/dev/sgx_enclave", FileKind.LINK, target="x", behind=FileKind.CHARACTER, mode=0o660, gid=1003)
    closed = next(each for each in assess(facts(devices=devices(link))).findings if each.code == "DJ009")
    assert "supplementalGroups: [1003]" in closed.do
