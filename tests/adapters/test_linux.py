"""Hosts read from trees of files: what is there, what is broken, and that nothing of it raises."""

import os
import platform
import shutil
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.trees import written, written_without_devices

from donjon.adapters.linux.cpuid import read_cpuid
from donjon.adapters.linux.files import MAX_FILE, look_at, read_text
from donjon.adapters.linux.host import read_devices, read_host
from donjon.node.devices import PATHS, DriverKind
from donjon.node.facts import derive
from donjon.node.readings import AesmState, FileKind
from donjon.simulation import host

GIB = 1 << 30
USUAL = host.host("dc2ds-v3")

needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs x86-64: CPUID is executed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: device nodes, other users")


@pytest.mark.parametrize("name", sorted(host.MACHINES))
@pytest.mark.parametrize("driver", list(DriverKind))
def test_a_stand_in_host_is_read_as_what_it_was_described_to_be(tmp_path: Path, name: str, driver: DriverKind) -> None:
    described = host.host(name, driver)
    facts = derive(read_host(written(tmp_path, described)))
    assert facts.has_sgx is described.machine.sgx
    assert facts.cpu_standin
    assert facts.cpu.value is not None
    assert facts.cpu.value.launch_control is (described.machine.sgx and described.machine.launch_control)
    assert facts.kernel.value == host.KERNELS[described.driver or DriverKind.IN_TREE]
    assert (facts.driver.value.kind if facts.driver.value else None) == described.driver
    assert (facts.enclave is not None) is (described.driver is not None)


def test_the_readings_say_where_they_were_read(tmp_path: Path) -> None:
    readings = read_host(written_without_devices(tmp_path, USUAL))
    assert readings.cpuid.source == f"stand-in file {tmp_path}/dev/cpu/0/cpuid"
    assert readings.cpuinfo.source == f"{tmp_path}/proc/cpuinfo"
    assert readings.numa_epc.source == f"{tmp_path}/sys/devices/system/node/node*/x86/sgx_total_bytes"
    assert readings.dev_options.source == f"{tmp_path}/proc/mounts"


def test_two_numa_nodes_are_read_one_by_one(tmp_path: Path) -> None:
    facts = derive(read_host(written_without_devices(tmp_path, host.host("phoenixnap-d2"))))
    assert facts.numa_epc.value == {0: 2126512128, 1: 2134900736}


@pytest.mark.parametrize(("noexec", "text"), [(True, True), (False, False)])
def test_noexec_is_read_from_the_hosts_mounts(tmp_path: Path, *, noexec: bool, text: bool) -> None:
    root = written_without_devices(tmp_path, replace(USUAL, dev_noexec=noexec))
    assert derive(read_host(root)).dev_noexec.value is text


def test_a_tree_with_nothing_in_it_is_a_host_of_which_little_is_known(tmp_path: Path) -> None:
    readings = read_host(tmp_path)
    assert {node.kind for node in readings.devices} == {FileKind.ABSENT}
    assert not readings.cpu_standin
    assert readings.numa_epc.value is None
    assert readings.runtimes == ()
    assert readings.aesm.value is AesmState.ABSENT
    assert readings.kernel_release.value == platform.release(), "the container's own /proc tells the host's kernel"


# What stands where a device should be.


def as_folder(path: Path) -> None:
    path.mkdir()


def as_file(path: Path) -> None:
    path.touch()


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.symlink_to("nowhere")


def as_loop(path: Path) -> None:
    path.symlink_to(path)


def as_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


SHAPES: list[tuple[Callable[[Path], None], FileKind]] = [
    (as_folder, FileKind.FOLDER),
    (as_file, FileKind.FILE),
    (as_pipe, FileKind.OTHER),
    (as_link, FileKind.LINK),
    (as_loop, FileKind.LINK),
    (as_socket, FileKind.SOCKET),
]


@pytest.mark.parametrize(("make", "kind"), SHAPES, ids=[make.__name__ for make, _ in SHAPES])
def test_a_path_is_told_for_what_it_is_and_links_are_not_followed(
    short: Path, make: Callable[[Path], None], kind: FileKind
) -> None:
    (short / "dev").mkdir()
    make(short / "dev" / "sgx_enclave")
    assert look_at(short, "/dev/sgx_enclave").kind is kind
    assert derive(read_host(short)).enclave is None


@needs_root
def test_a_device_is_told_with_its_owner_and_mode(tmp_path: Path) -> None:
    root = written(tmp_path, USUAL)
    os.chown(root / "dev/sgx_enclave", 12, 34)
    node = look_at(root, "/dev/sgx_enclave")
    assert (node.kind, node.uid, node.gid, node.mode) == (FileKind.CHARACTER, 12, 34, 0o660)


def test_a_link_is_told_with_its_target_even_where_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "isgx").symlink_to(os.fsdecode(b"\xff\xfe"))
    target = look_at(tmp_path, "/dev/isgx").target
    assert target == "\ufffd\ufffd"
    assert target.encode()


@pytest.mark.parametrize("target", ["sgx/enclave", "/dev/sgx/enclave", "../dev/sgx/enclave", "other"])
def test_a_link_says_what_it_leads_to_on_the_host(tmp_path: Path, target: str) -> None:
    """Whose root is elsewhere; mode and owner are those of the device."""
    root = written(tmp_path / "root", replace(USUAL, driver=DriverKind.DCAP))
    os.chown(root / "dev/sgx/enclave", 12, 34)
    (root / "dev/other").symlink_to("/dev/sgx/enclave")
    (root / "dev/sgx_enclave").symlink_to(target)
    node = look_at(root, "/dev/sgx_enclave")
    assert (node.kind, node.behind, node.uid, node.gid, node.is_device) == (FileKind.LINK, FileKind.CHARACTER, 12, 34, True)


def test_a_link_to_nothing_or_to_itself_leads_to_no_device(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/isgx").symlink_to("isgx")
    (tmp_path / "dev/sgx_enclave").symlink_to("nowhere")
    seen = [look_at(tmp_path, path) for path in ("/dev/isgx", "/dev/sgx_enclave")]
    assert [(node.behind, node.is_device) for node in seen] == [(FileKind.LINK, False), (FileKind.ABSENT, False)]


def test_a_file_on_the_way_means_absent(tmp_path: Path) -> None:
    (tmp_path / "dev").touch()
    assert {node.kind for node in read_devices(tmp_path)} == {FileKind.ABSENT}


def test_devices_come_in_the_order_of_the_table(tmp_path: Path) -> None:
    assert [node.path for node in read_devices(tmp_path)] == [known.path for known in PATHS]


# Text files.


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * MAX_FILE)
    assert read_text(path).value == "x" * MAX_FILE
    path.write_bytes(b"x" * (MAX_FILE + 1))
    assert read_text(path).value is None
    assert "longer than" in read_text(path).problem
    assert read_text(path, head=10).value == "x" * 10


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xff8589934592")
    assert read_text(path).value == "\ufffd8589934592"


@pytest.mark.parametrize("make", [as_folder, as_pipe, as_link, as_loop, as_socket], ids=lambda make: make.__name__)
def test_what_is_no_file_is_unknown_and_nobody_waits_for_it(short: Path, make: Callable[[Path], None]) -> None:
    make(short / "text")
    reading = read_text(short / "text")
    assert reading.value is None
    assert str(short / "text") in reading.problem


def test_an_endless_file_is_not_read_to_its_end() -> None:
    assert read_text(Path("/dev/zero")).problem.endswith("a device, expected a regular file")


# CPUID.


@needs_x86
def test_cpuid_is_executed_and_leaf_0_is_believable() -> None:
    reading, standin = read_cpuid(Path("/nowhere"))
    assert not standin
    assert reading.value is not None, reading.problem
    vendor = reading.value[0, 0]
    name = struct.pack("<3I", vendor.ebx, vendor.edx, vendor.ecx)
    assert name in {b"GenuineIntel", b"AuthenticAMD", b"HygonGenuine", b"CentaurHauls"}
    assert 0x7 <= vendor.eax < 0x100


@needs_x86
def test_cpuid_agrees_with_the_kernel_about_a_flag() -> None:
    """Leaf 7 EBX bit 5 is AVX2, which the kernel shows unless it was told not to."""
    reading, _ = read_cpuid(Path("/nowhere"))
    assert reading.value is not None
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].split()
    if "avx2" not in flags:
        pytest.skip("needs a processor with AVX2, to have something to agree about")
    assert reading.value[7, 0].ebx >> 5 & 1


def test_a_stand_in_goes_before_the_processor(tmp_path: Path) -> None:
    reading, standin = read_cpuid(written_without_devices(tmp_path, USUAL))
    assert standin
    assert reading.value is not None
    assert reading.value[0x12, 2].eax == 0xC0000001


def as_link_to_a_good_file(path: Path) -> None:
    good = path.with_name("good")
    path.rename(good)
    path.symlink_to(good)


def as_folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_device_instead(path: Path) -> None:
    path.unlink()
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


@needs_x86
@pytest.mark.parametrize(
    "make",
    [as_link_to_a_good_file, as_folder_instead, pytest.param(as_device_instead, marks=needs_root)],
    ids=lambda make: make.__name__,
)
def test_only_a_regular_file_stands_in_for_the_processor(tmp_path: Path, make: Callable[[Path], None]) -> None:
    root = written_without_devices(tmp_path, USUAL)
    make(root / "dev/cpu/0/cpuid")
    reading, standin = read_cpuid(root)
    assert not standin
    assert reading.source == "CPUID"


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 4096])
def test_a_stand_in_without_a_leaf_is_unknown_and_not_a_processor_without_sgx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dev/cpu/0/cpuid"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    reading, standin = read_cpuid(tmp_path)
    assert standin
    assert reading.value is None
    assert "empty" in reading.problem


# AESM.


def test_aesm_answers_where_somebody_listens(short: Path) -> None:
    path = short / "run/aesmd/aesm.socket"
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert read_host(short).aesm.value is AesmState.SILENT
        listening.listen()
        assert read_host(short).aesm.value is AesmState.READY
    path.unlink()
    path.touch()
    assert read_host(short).aesm.value is AesmState.NO_SOCKET
    shutil.rmtree(path.parent)
    assert read_host(short).aesm.value is AesmState.ABSENT


def test_an_aesm_socket_whose_path_is_too_long_is_unknown(short: Path) -> None:
    path = short / "run/aesmd/aesm.socket"
    path.parent.mkdir(parents=True)
    as_socket(path)
    far = short / ("x" * 100)
    far.symlink_to(short)
    reading = read_host(far).aesm
    assert reading.value is None
    assert "longer than a socket path may be" in reading.problem


# Hosts that cannot be read.


@needs_root
def test_an_unprivileged_reader_of_closed_folders_gets_unknown_facts_and_no_error(short: Path) -> None:
    """Root may look anywhere, so another user looks."""
    root = written(short / "host", USUAL)
    for folder in ("sys/devices/system/node/node0/x86", "sys/module", "dev", "run", "etc", "proc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder).chmod(0)
    short.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from donjon.adapters.linux.host import read_host; "
        "from donjon.node.facts import derive; "
        f"os.setgid(65534); os.setuid(65534); seen = read_host(Path({str(root)!r})); "
        "owned = derive(seen).device_ownership.value; "
        "print({node.kind.value for node in seen.devices}, seen.modules.value, owned, seen.aesm.value)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'unreadable'} None None None"


def test_a_root_whose_name_is_too_long_for_any_path_is_unreadable_and_raises_nothing() -> None:
    readings = read_host(Path("/") / ("x" * 300))
    assert {node.kind for node in readings.devices} == {FileKind.UNREADABLE}
    assert readings.modules.value is None


@pytest.mark.parametrize("make", [as_folder, as_pipe, as_link, as_loop, as_socket], ids=lambda make: make.__name__)
def test_sysfs_that_is_no_file_leaves_the_processors_figure(short: Path, make: Callable[[Path], None]) -> None:
    root = written_without_devices(short, USUAL)
    path = root / "sys/devices/system/node/node0/x86/sgx_total_bytes"
    path.unlink()
    make(path)
    facts = derive(read_host(root))
    assert facts.numa_epc.value is None
    assert facts.epc.value == 8 * GIB
