"""A stand-in host is read back by the product's own reader, and says what the real machine said."""

import dataclasses
import stat
from pathlib import Path

import pytest

from donjon.adapters.linux.cpuid import read_cpuid
from donjon.errors import Misconfigured, Unavailable
from donjon.node.devices import DriverKind
from donjon.sgx.cpuid import SgxCpu, parse
from donjon.simulation import host

MIB = 1 << 20


def written(root: Path, described: host.Host) -> Path:
    try:
        host.write_host(root, described)
    except Unavailable as error:
        pytest.skip(f"needs root: {error}")
    return root


def cpu(root: Path) -> SgxCpu:
    reading, standin = read_cpuid(root)
    assert standin
    assert reading.value is not None, reading.problem
    return parse(reading.value)


def sysfs_epc(root: Path) -> dict[str, int]:
    found = (root / "sys/devices/system/node").glob("*/x86/sgx_total_bytes")
    return {path.parent.parent.name: int(path.read_text()) for path in found}


@pytest.mark.parametrize(
    ("name", "epc", "version", "nodes"),
    [
        ("dc1s-v2", 28 * MIB, 1, 1),
        ("dc2ds-v3", 8192 * MIB, 2, 1),
        ("alibaba-g7t", 23808 * MIB, 2, 1),
        ("phoenixnap-d2", 4064 * MIB, 2, 2),
        ("xeon-5315y", 65144 * MIB, 2, 1),
        ("xeon-e-2276g", 98041856, 1, 1),
    ],
)
def test_a_machine_has_the_memory_and_the_version_of_its_dump(
    tmp_path: Path, name: str, epc: int, version: int, nodes: int
) -> None:
    root = written(tmp_path, host.host(name))
    assert (cpu(root).epc, cpu(root).version, cpu(root).launch_control) == (epc, version, True)
    assert sum(sysfs_epc(root).values()) == epc
    assert len(sysfs_epc(root)) == nodes


def test_only_the_machine_that_was_seen_with_key_separation_has_it(tmp_path: Path) -> None:
    assert [name for name in host.MACHINES if cpu(written(tmp_path, host.host(name))).kss] == ["dc2ds-v3"]


def test_an_ordinary_machine_has_neither_sgx_nor_devices(tmp_path: Path) -> None:
    root = written(tmp_path, host.host("none"))
    assert not cpu(root).sgx
    assert sysfs_epc(root) == {}
    assert not [path for path in root.rglob("*") if path.is_char_device()]
    assert "sgx" not in (root / "proc/cpuinfo").read_text()


@pytest.mark.parametrize("driver", list(DriverKind))
def test_a_driver_brings_its_own_devices_and_module(tmp_path: Path, driver: DriverKind) -> None:
    root = written(tmp_path, host.host("dc1s-v2", driver))
    devices = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_char_device()}
    assert devices == set(host.DEVICES[driver])
    assert {path.parent.name for path in (root / "sys").glob("module/*/version")} == (
        {host.MODULES[driver][0]} if driver in host.MODULES else set()
    )
    assert bool(sysfs_epc(root)) == (driver is DriverKind.IN_TREE)


def test_the_old_driver_belongs_to_a_machine_without_launch_control(tmp_path: Path) -> None:
    assert not cpu(written(tmp_path, host.host("xeon-e-2276g", "isgx"))).launch_control


def test_writing_another_machine_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    written(tmp_path, dataclasses.replace(host.host("phoenixnap-d2", "dcap"), aesm=True, containerd="version = 3\n"))
    again = {str(path.relative_to(tmp_path)) for path in written(tmp_path, host.host("none")).rglob("*")}
    assert not {name for name in again if "sgx" in name or "aesm" in name or "containerd" in name or "node1" in name}


def test_writing_the_same_machine_twice_is_writing_it_once(tmp_path: Path) -> None:
    first = {path: path.stat().st_size for path in written(tmp_path, host.host("dc2ds-v3")).rglob("*")}
    assert {path: path.stat().st_size for path in written(tmp_path, host.host("dc2ds-v3")).rglob("*")} == first


def test_the_root_folder_itself_stays_as_it_may_be_mounted(tmp_path: Path) -> None:
    before = tmp_path.stat().st_ino
    assert written(tmp_path, host.host("dc2ds-v3")).stat().st_ino == before


def test_devices_can_be_taken_away_and_returned(tmp_path: Path) -> None:
    root = written(tmp_path, host.host("dc2ds-v3"))
    host.remove_devices(root)
    assert not list(root.glob("dev/sgx*"))
    host.return_devices(root, DriverKind.IN_TREE)
    assert stat.S_ISCHR((root / "dev/sgx_enclave").stat().st_mode)


def test_a_single_section_is_shared_out_to_two_numa_nodes(tmp_path: Path) -> None:
    root = written(tmp_path, dataclasses.replace(host.host("dc2ds-v3"), numa=2))
    assert sysfs_epc(root) == {"node0": 4096 * MIB, "node1": 4096 * MIB}
    assert [section.size for section in cpu(root).sections] == [4096 * MIB] * 2


def test_sysfs_can_differ_from_the_processor(tmp_path: Path) -> None:
    root = written(tmp_path, dataclasses.replace(host.host("dc2ds-v3"), sysfs_epc={0: 4096}))
    assert sysfs_epc(root) == {"node0": 4096}
    assert cpu(root).epc == 8192 * MIB


def test_the_cpuid_file_takes_little_room_although_it_seems_large(tmp_path: Path) -> None:
    status = (written(tmp_path, host.host("phoenixnap-d2")) / "dev/cpu/0/cpuid").stat()
    assert status.st_size > 1 << 32
    assert status.st_blocks * 512 < MIB


@pytest.mark.parametrize(("name", "driver"), [("dc9s-v9", "in-tree"), ("dc2ds-v3", "windows")])
def test_a_name_that_is_not_known_is_refused(name: str, driver: str) -> None:
    with pytest.raises(Misconfigured, match="expected one of"):
        host.host(name, driver)


def test_the_real_root_is_refused() -> None:
    with pytest.raises(Misconfigured, match="the real root"):
        host.write_host(Path("/"), host.host("none"))
