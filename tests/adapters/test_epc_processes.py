"""What /proc says of processes: their areas of the device, their cgroups, and the kernel's thread that evicts pages."""

import mmap
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from donjon.adapters.epc import maps, processes
from donjon.adapters.epc.kernel import Capability, capabilities
from donjon.adapters.epc.maps import AreaReader
from donjon.adapters.epc.processes import cgroups_of, find_reclaimer, holder_of, processor_seconds
from donjon.errors import Unavailable
from donjon.node.enclaves import AreaReading
from donjon.sgx.epc import EpcSource

OWN = os.getpid()
SIZE = 1 << 20
ZERO = os.makedev(1, 5)  # Its private mappings keep their file, as those of the enclave device do.

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or Capability.CAP_SYS_PTRACE not in capabilities(), reason="making devices and reading others takes root"
)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    os.mknod(tmp_path / "dev/sgx_enclave", 0o20600, ZERO)
    return tmp_path


@pytest.fixture
def own_proc(tmp_path: Path) -> Path:
    """A /proc in which nobody is but this process."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / str(OWN)).symlink_to(f"/proc/{OWN}")
    (proc / "self").symlink_to("/proc/self")
    return proc


class Mapping:
    """A private mapping of a file, as a loader makes one of the enclave device."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        with path.open("r+b", buffering=0) as file:
            self.area = mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE)


@pytest.fixture
def mapping(host: Path) -> Iterator[Mapping]:
    mapping = Mapping(host / "dev/sgx_enclave")
    yield mapping
    mapping.area.close()


def areas(host: Path, proc: Path) -> tuple[AreaReading, ...]:
    return AreaReader(host, proc).read().areas


def test_the_areas_of_the_device_are_read_with_who_maps_them(host: Path, own_proc: Path, mapping: Mapping) -> None:
    reading = AreaReader(host, own_proc).read()
    assert reading.source is EpcSource.MAPS
    assert [(area.size, area.holder.pid) for area in reading.areas] == [(SIZE, OWN)]
    assert (reading.enclaves, reading.guests, reading.unreadable, reading.free) == ({}, {}, 0, None)
    assert mapping.area[:1] == b"\0"


def test_all_processes_of_this_machine_are_read(host: Path, mapping: Mapping) -> None:
    assert [area.size for area in areas(host, Path("/proc")) if area.holder.pid == OWN] == [SIZE]
    assert mapping.area[:1] == b"\0"


def test_a_file_that_only_has_the_devices_name_is_none(host: Path, own_proc: Path) -> None:
    (host / "there").mkdir()
    file = host / "there/sgx_enclave"
    file.write_bytes(bytes(SIZE))
    forged = Mapping(file)
    assert areas(host, own_proc) == ()
    file.unlink()
    os.mknod(file, 0o20600, ZERO)  # What was mapped is another file than what stands there now.
    assert areas(host, own_proc) == ()
    forged.area.close()


def test_the_device_counts_under_any_name(host: Path, own_proc: Path) -> None:
    os.mknod(odd := host / "a name\nof two lines", 0o20600, ZERO)
    mapping = Mapping(odd)
    assert [area.size for area in areas(host, own_proc)] == [SIZE]
    mapping.area.close()


def test_another_device_is_none(host: Path, own_proc: Path) -> None:
    (host / "dev/sgx_enclave").unlink()
    os.mknod(host / "dev/sgx_enclave", 0o20600, os.makedev(10, 125))
    os.mknod(other := host / "dev/other", 0o20600, ZERO)
    mapping = Mapping(other)
    assert areas(host, own_proc) == ()
    mapping.area.close()


def test_a_process_with_more_areas_than_are_read_is_counted_and_not_guessed(
    host: Path, own_proc: Path, mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "MAX_PROCESS", 100)
    reading = AreaReader(host, own_proc).read()
    assert (reading.areas, reading.unreadable) == ((), 1)
    assert reading.obstacle == f"process {os.getpid()}: more than 100 bytes of areas"
    assert mapping.area[:1] == b"\0"


def test_a_pass_reads_so_much_and_no_more(host: Path, own_proc: Path, mapping: Mapping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "MAX_PASS", 100)
    assert AreaReader(host, own_proc).read().unreadable == 1
    assert mapping.area[:1] == b"\0"


def test_who_is_gone_is_nobody(host: Path, own_proc: Path) -> None:
    (own_proc / "4000000").mkdir()
    reading = AreaReader(host, own_proc).read()
    assert (reading.areas, reading.unreadable) == ((), 0)


def test_without_a_device_there_is_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="DJ700"):
        AreaReader(tmp_path)


def test_without_the_right_to_read_others_there_is_no_figure(host: Path, tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("CapEff:\t000000c000000000\n")
    with pytest.raises(Unavailable, match="DJ709"):
        AreaReader(host, tmp_path / "proc")


def test_the_cgroups_of_a_process_are_read_while_it_is_the_one_that_was_meant() -> None:
    holder = holder_of(OWN)
    assert cgroups_of(holder) == Path("/proc/self/cgroup").read_text()
    assert cgroups_of(replace(holder, started=holder.started + processes.NANOSECONDS)) is None
    assert cgroups_of(replace(holder, pid=4_000_000)) is None


def test_nanoseconds_of_the_kernel_and_its_ticks_name_the_same_start() -> None:
    holder = holder_of(OWN)
    assert cgroups_of(replace(holder, started=holder.started + 9_999_999)) is not None
    assert cgroups_of(replace(holder, started=holder.started - 1)) is None


@pytest.mark.parametrize(("flags", "expected"), [(0x0020_0040, 7), (0x40, None)])
def test_only_a_thread_of_the_kernel_is_the_reclaimer(tmp_path: Path, flags: int, expected: int | None) -> None:
    (tmp_path / "7").mkdir()
    rest = " ".join(["S", "2", "0", "0", "0", "-1", str(flags), *["0"] * 4, "150", "50", *["0"] * 6, "9"])
    (tmp_path / "7/stat").write_text(f"7 (ksgxd) {rest} 0 0\n")
    assert find_reclaimer(tmp_path) == expected
    assert processor_seconds(7, tmp_path) == 200 / processes.TICKS


def test_a_command_may_hold_brackets(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text("7 (a) (b)) " + " ".join(str(number) for number in range(3, 53)))
    assert holder_of(7, tmp_path).command == "a) (b)"
    assert processor_seconds(8, tmp_path) is None
