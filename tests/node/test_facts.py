"""Readings become facts; what cannot be believed becomes unknown, with its reason, and never a number."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.node.world import (
    DCAP,
    GIB,
    IN_TREE,
    ISGX,
    NO_DEVICES,
    OLD_DCAP,
    containerd,
    cpuid,
    cpuinfo,
    device,
    devices,
    facts,
    leaves,
    numa,
    text,
    unknown,
)

from donjon.node.devices import DriverKind
from donjon.node.readings import AesmState, FileKind, Reading

MODULES = "/sys/module"


def modules(**loaded: str) -> Any:
    return Reading.of(loaded, source=MODULES)


@pytest.mark.parametrize(
    ("found", "loaded", "kind", "version", "enclave", "provision"),
    [
        (IN_TREE, {}, DriverKind.IN_TREE, "6.8.0-1021-azure", "/dev/sgx_enclave", "/dev/sgx_provision"),
        (DCAP, {}, DriverKind.DCAP, "", "/dev/sgx/enclave", "/dev/sgx/provision"),
        (DCAP, {"intel_sgx": "1.33.2"}, DriverKind.DCAP, "1.33.2", "/dev/sgx/enclave", "/dev/sgx/provision"),
        (OLD_DCAP, {"intel_sgx": "1.22"}, DriverKind.DCAP, "1.22", "/dev/sgx", "/dev/sgx_prv"),
        # DCAP 1.41 moved to the in-tree paths; the module tells them apart.
        (IN_TREE, {"intel_sgx": "1.41"}, DriverKind.DCAP, "1.41", "/dev/sgx_enclave", "/dev/sgx_provision"),
        (ISGX, {"isgx": "2.11.0"}, DriverKind.ISGX, "2.11.0", "/dev/isgx", None),
        (ISGX, {}, DriverKind.ISGX, "", "/dev/isgx", None),
    ],
)
def test_each_driver_generation_is_known_by_its_devices_and_module(
    *, found: Any, loaded: dict[str, str], kind: DriverKind, version: str, enclave: str, provision: str | None
) -> None:
    known = facts(devices=found, modules=modules(**loaded))
    assert known.driver.value is not None
    assert (known.driver.value.kind, known.driver.value.version) == (kind, version)
    assert known.enclave is not None
    assert known.enclave.path == enclave
    assert (known.provision.path if known.provision else None) == provision


def test_no_device_and_no_module_is_an_unknown_driver() -> None:
    known = facts(devices=NO_DEVICES)
    assert (known.driver.value, known.driver.problem) == (None, "no enclave device")


def test_of_two_working_devices_the_in_tree_one_is_offered() -> None:
    both = devices(device("/dev/sgx_enclave"), device("/dev/sgx/enclave"), device("/dev/isgx"))
    known = facts(devices=both).enclave
    assert known is not None
    assert known.path == "/dev/sgx_enclave"


def test_udevs_links_beside_the_devices_change_nothing() -> None:
    linked = devices(
        device("/dev/sgx_enclave"),
        device("/dev/sgx_provision"),
        device("/dev/sgx", FileKind.FOLDER),
        device("/dev/sgx/enclave", FileKind.LINK, target="../sgx_enclave"),
        device("/dev/sgx/provision", FileKind.LINK, target="../sgx_provision"),
    )
    known, usual = facts(devices=linked), facts()
    assert (known.enclave, known.provision, known.driver) == (usual.enclave, usual.provision, usual.driver)


@pytest.mark.parametrize("kind", [kind for kind in FileKind if kind is not FileKind.CHARACTER])
def test_whatever_is_no_character_device_is_not_offered(kind: FileKind) -> None:
    assert facts(devices=devices(device("/dev/sgx_enclave", kind))).enclave is None


def test_a_broken_in_tree_path_leaves_a_working_legacy_one() -> None:
    known = facts(devices=devices(device("/dev/sgx_enclave", FileKind.FOLDER), device("/dev/sgx/enclave"))).enclave
    assert known is not None
    assert known.path == "/dev/sgx/enclave"


@pytest.mark.parametrize(
    ("kernel", "processor", "offered"),
    [
        (8 * GIB, 8 * GIB, 8 * GIB),
        (6 * GIB, 8 * GIB, 6 * GIB),
        (9 * GIB, 8 * GIB, 8 * GIB),
        (0, 8 * GIB, 0),
        (8 * GIB, 0, 0),
    ],
)
def test_of_two_figures_the_lesser_is_promised(kernel: int, processor: int, offered: int) -> None:
    assert facts(numa_epc=numa(str(kernel)), cpuid=cpuid(epc=processor)).epc.value == offered


def test_one_figure_is_enough() -> None:
    by_kernel = facts(cpuid=unknown("no x86"))
    by_processor = facts(numa_epc=unknown("no sysfs"))
    assert (by_kernel.epc.value, by_processor.epc.value) == (8 * GIB, 8 * GIB)
    assert by_processor.epc.source == "CPUID"


def test_no_figure_is_unknown_with_both_reasons() -> None:
    epc = facts(cpuid=unknown("no x86"), numa_epc=unknown("no sysfs")).epc
    assert epc.value is None
    assert epc.problem == "no sysfs; no x86"


def test_numa_nodes_add_up() -> None:
    known = facts(numa_epc=numa(str(3 * GIB), str(5 * GIB)))
    assert (known.numa_epc.value, known.epc.value) == ({0: 3 * GIB, 1: 5 * GIB}, 8 * GIB)


@pytest.mark.parametrize(
    "absurd",
    [
        "",
        "\n",
        "-1",
        "-8589934592",
        "+8589934592",
        "8589934592 bytes",
        "8 589 934 592",
        "0x200000000",
        "8e9",
        "8589934592.0",
        "NaN",
        str(2**64),
        str(2**64 - 1),
        str(2**52 + 1),
        "9" * 1000,
        "\x00" * 8,
        "٨٥٨٩٩٣٤٥٩٢",  # Digits, but not the kernel's.
        "\ufffd\ufffd",
    ],
)
def test_absurd_sysfs_is_unknown_and_the_processor_speaks_alone(absurd: str) -> None:
    known = facts(numa_epc=numa(absurd))
    assert known.numa_epc.value is None
    assert "[DJ903]" in known.numa_epc.problem
    assert len(known.numa_epc.problem) < 300
    assert known.epc.value == 8 * GIB
    assert facts(numa_epc=numa(absurd), cpuid=unknown()).epc.value is None


@pytest.mark.parametrize("fine", ["8589934592", "8589934592\n", "0", str(2**52)])
def test_what_the_kernel_can_say_is_taken(fine: str) -> None:
    assert facts(numa_epc=numa(fine), cpuid=unknown()).epc.value == int(fine)


@pytest.mark.parametrize("broken", ["nonsense", unknown("node1: Input/output error")])
@pytest.mark.parametrize("first", [True, False])
def test_one_broken_numa_node_of_two_leaves_no_half_sum(*, broken: Any, first: bool) -> None:
    good = str(4 * GIB)
    known = facts(numa_epc=numa(*([broken, good] if first else [good, broken])))
    assert known.numa_epc.value is None
    assert known.numa_epc.problem.endswith("[DJ903]")
    assert known.epc.value == 8 * GIB
    assert known.epc.source == "CPUID"


@pytest.mark.parametrize(
    ("release", "sgx2", "edmm"),
    [
        ("6.0.0", True, True),
        ("6.0", True, True),
        ("5.19.17-generic", True, False),
        ("5.4.0-1056-azure", True, False),
        ("6.8.0-1021-azure", False, False),
        ("10.1", True, True),
        ("nonsense", True, None),
        ("", True, None),
        ("6", True, None),
    ],
)
def test_edmm_needs_sgx2_and_linux_6(release: str, *, sgx2: bool, edmm: bool | None) -> None:
    assert facts(kernel_release=text(release), cpuid=cpuid(sgx2=sgx2)).edmm.value is edmm


def test_unknown_stays_unknown_with_the_reason_it_had() -> None:
    silent = facts(
        cpuid=unknown("no x86"),
        cpuinfo=unknown("no proc"),
        kernel_release=unknown("no proc"),
        numa_epc=unknown("no sysfs"),
        dev_options=unknown("no mounts"),
        aesm=unknown("no run"),
        runtimes=(containerd(unknown("no etc")),),
        kernel_command_line=unknown("no proc"),
        kernel_build=unknown("no boot"),
    )
    problems = {
        "cpu": silent.cpu.problem,
        "flags": silent.cpu_flags.problem,
        "sections": silent.sections.problem,
        "edmm": silent.edmm.problem,
        "noexec": silent.dev_noexec.problem,
        "aesm": silent.aesm.problem,
        "ownership": silent.device_ownership.problem,
    }
    assert problems == {
        "cpu": "no x86",
        "flags": "no proc",
        "sections": "no x86",
        "edmm": "no x86",
        "noexec": "no mounts",
        "aesm": "no run",
        "ownership": "no etc",
    }
    assert all(
        reading.value is None for reading in (silent.cpu, silent.cpu_flags, silent.sections, silent.edmm, silent.dev_noexec)
    )


def test_cpuid_that_cannot_be_is_unknown_and_says_why() -> None:
    overlapping = leaves() | {(0x12, 3): leaves()[0x12, 2]}
    known = facts(cpuid=Reading.of(overlapping, source="CPUID"))
    assert (known.cpu.value, known.sections.value) == (None, None)
    assert "overlap" in known.cpu.problem
    assert known.epc.value == 8 * GIB


def test_a_host_that_could_not_be_read_counts_as_one_with_sgx() -> None:
    assert facts(cpuid=unknown(), devices=NO_DEVICES).has_sgx
    assert not facts(cpuid=cpuid(sgx=False), devices=NO_DEVICES).has_sgx
    assert facts(cpuid=cpuid(sgx=False), devices=IN_TREE).has_sgx


@pytest.mark.parametrize(("flags", "seen"), [(("sgx", "sgx_lc"), {"sgx", "sgx_lc"}), (("sgxx",), set()), ((), set())])
def test_flags_are_whole_words(flags: tuple[str, ...], seen: set[str]) -> None:
    known = facts(cpuinfo=cpuinfo(*flags)).cpu_flags.value
    assert known is not None
    assert known & {"sgx", "sgx_lc"} == seen


def test_noexec_and_aesm_are_told_as_they_were_read() -> None:
    known = facts(
        dev_options=Reading.of(frozenset({"rw", "noexec"}), source="/proc/mounts"),
        aesm=Reading.of(AesmState.SILENT, source="/run/aesmd/aesm.socket"),
    )
    assert (known.dev_noexec.value, known.aesm.value) == (True, AesmState.SILENT)
    assert known.dev_noexec.source == "/proc/mounts"


@given(
    sysfs=st.lists(st.one_of(st.text(max_size=40), st.integers().map(str)), min_size=1, max_size=4),
    release=st.text(max_size=40),
    info=st.text(max_size=200),
    config=st.text(max_size=200),
)
def test_no_text_at_all_makes_a_fact_raise_or_a_number_too_large(sysfs: list[str], release: str, info: str, config: str) -> None:
    known = facts(
        numa_epc=numa(*sysfs),
        kernel_release=text(release),
        cpuinfo=text(info),
        runtimes=(containerd(config),),
        kernel_build=text(config),
    )
    assert known.epc.value is not None
    assert 0 <= known.epc.value <= 8 * GIB
