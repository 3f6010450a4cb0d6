"""The meter's reader: what rows say together, and the programs loaded into the kernel that runs here."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from donjon.adapters.epc import reader, rows
from donjon.adapters.epc.kernel import BTF, require_host
from donjon.adapters.epc.reader import EnclaveReader
from donjon.adapters.epc.rows import EnclaveRow, RowCutter, RowGap, RowKind, RowSum
from donjon.errors import Unavailable
from donjon.node.enclaves import EnclavePass
from donjon.sgx.epc import EnclaveFlag, EpcSource

PROJECT = Path(__file__).parents[2]
TUN = (10, 200)  # a misc device of which every open file has its own private data, as of the enclave device
ZERO = (1, 5)

LOAD = """
import sys
from pathlib import Path
from donjon.adapters.epc.reader import EnclaveReader
EnclaveReader(object_path=Path(sys.argv[1]), enclaves=(1, 5))
"""

ROW = EnclaveRow(
    kind=RowKind.ENCLAVE,
    how=0,
    pid=70,
    inner_pid=1,
    started=5_000,
    cgroup=42,
    memory_cgroup=43,
    enclave=0xFFFF_8880_0000_1000,
    base=0x7000_0000_0000,
    size=1 << 30,
    flags=EnclaveFlag.CREATED | EnclaveFlag.INITIALIZED,
    existing=513,
    children=300,
    secs=1,
    version_arrays=2,
    guest_pages=0,
    free=-1,
    command=b"loader".ljust(16, b"\0"),
)
END = EnclaveRow._make((RowKind.END, *(0 for _ in range(15)), 77, b""))


def packed(*each: EnclaveRow) -> bytes:
    return b"".join(rows._ROW.pack(*row) for row in each)


def total(*each: EnclaveRow) -> EnclavePass:
    tally = RowSum()
    for row in each:
        tally.take(row)
    return tally.total()


@pytest.mark.parametrize("step", [1, 7, 119, 120, 121, 1000])
def test_rows_are_whole_wherever_a_piece_of_them_ends(step: int) -> None:
    data, cutter = packed(ROW, ROW._replace(pid=71), END), RowCutter()
    read = [row for start in range(0, len(data), step) for row in cutter.feed(data[start : start + step])]
    cutter.end()
    assert read == [ROW, ROW._replace(pid=71), END._replace(command=bytes(16))]


def test_a_row_that_is_incomplete_is_told() -> None:
    cutter = RowCutter()
    assert list(cutter.feed(packed(ROW)[:-1])) == []
    with pytest.raises(Unavailable, match="DJ706"):
        cutter.end()


def test_an_enclave_is_one_however_many_hold_it_and_its_newest_figures_count() -> None:
    measured = total(ROW, ROW._replace(pid=90, started=4_000), ROW._replace(children=301), END)
    (enclave,) = measured.enclaves.values()
    assert (enclave.existing, enclave.children, enclave.secs, enclave.version_arrays) == (513, 301, 1, 2)
    assert [(holder.pid, holder.command) for holder in enclave.holders] == [(90, "loader"), (70, "loader")]
    assert enclave.flags == EnclaveFlag.CREATED | EnclaveFlag.INITIALIZED
    assert (measured.source, measured.free) == (EpcSource.BPF, 77)
    assert enclave.is_exact


def test_guests_are_apart_from_enclaves() -> None:
    guest = ROW._replace(kind=RowKind.GUEST, enclave=1, existing=0, version_arrays=0, guest_pages=256)
    measured = total(ROW, guest, END)
    assert [each.pages for each in measured.guests.values()] == [256]
    assert len(measured.enclaves) == 1


def test_who_opened_the_device_and_made_no_enclave_holds_none() -> None:
    assert total(ROW._replace(existing=0, children=0, secs=0, version_arrays=0), END).enclaves == {}


def test_what_was_not_walked_to_its_end_is_not_exact() -> None:
    (enclave,) = total(ROW._replace(how=RowGap.VERSION_ARRAYS), ROW, END).enclaves.values()
    assert not enclave.is_exact


def test_of_very_many_holders_those_that_started_first_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_HOLDERS_OF_ONE", 3)
    (enclave,) = total(*(ROW._replace(pid=pid, started=1_000 - pid) for pid in range(10))).enclaves.values()
    assert [holder.pid for holder in enclave.holders] == [9, 8, 7]


def test_more_enclaves_than_the_meter_keeps_are_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ENCLAVES", 2)
    with pytest.raises(Unavailable, match="DJ706"):
        total(*(ROW._replace(enclave=number) for number in range(3)))


def test_of_a_container_with_too_many_enclaves_some_are_counted_and_of_others_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ENCLAVES_OF_ONE", 3)
    hostile = [ROW._replace(enclave=number, pid=100 + number, cgroup=number) for number in range(10)]
    others = [ROW._replace(enclave=50 + number, pid=number, memory_cgroup=77) for number in range(3)]
    measured = total(*hostile[:8], *others, *hostile[2:], END)
    assert sorted(measured.enclaves) == [0, 1, 2, 50, 51, 52]
    ((*some,),) = measured.partly
    assert {each.pid for each in some} == {103, 104, 105, 106, 107, 108, 109}


def test_where_there_is_no_memory_controller_containers_are_told_apart_by_cgroup_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ENCLAVES_OF_ONE", 1)
    for root in (0, 1):
        assert total(*(ROW._replace(enclave=each, cgroup=each, memory_cgroup=root) for each in range(1, 5)), END).partly == ()


def test_a_container_that_has_more_rows_than_are_written_is_told() -> None:
    marker = ROW._replace(pid=71, enclave=9, how=RowGap.MORE, existing=0, children=0, secs=0, version_arrays=0)
    measured = total(ROW, marker, ROW._replace(memory_cgroup=77, enclave=10), END)
    assert len(measured.enclaves) == 2
    assert [[each.pid for each in some] for some in measured.partly] == [[71]]


def test_processes_that_share_many_enclaves_leave_each_its_first_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    """257 enclaves in 256 processes were more than the pass kept, and cost 2 MiB of EPC."""
    monkeypatch.setattr(rows, "MAX_HOLDERS", 4)
    shared = [ROW._replace(enclave=each, pid=pid, started=1_000 - pid) for pid in range(4) for each in range(3)]
    measured = total(*shared, ROW._replace(enclave=99, pid=50), END)
    assert [[holder.pid for holder in each.holders] for each in measured.enclaves.values()] == [[3, 2], [3], [3], [50]]


def test_more_rows_than_a_pass_may_have_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROWS", 2)
    with pytest.raises(Unavailable, match="the last row is of process 4711") as error:
        list(RowCutter().feed(packed(ROW, ROW, ROW._replace(pid=4711)) + b"half a row"))
    assert error.value.code == "DJ706"


@pytest.mark.parametrize(("gap", "code"), [(RowGap.LAYOUT, "DJ705"), (RowGap.COUNTERS, "DJ706")])
def test_counters_that_could_not_be_read_are_no_zeros(gap: RowGap, code: str) -> None:
    with pytest.raises(Unavailable, match=code):
        total(ROW._replace(how=gap))


class ReadsOf(EnclaveReader):
    """A reader whose iterators give these pieces, one a read; over this process alone, others."""

    def __init__(self, *pieces: bytes, own: tuple[bytes, ...] = ()) -> None:
        self._pieces, self._own = pieces, own
        self._apart = 0
        self._object = self  # type: ignore[assignment]  # It is asked for nothing but iterators.
        self.asked: list[tuple[str, int]] = []

    def open_iterator(self, name: str) -> int:
        return self._giving(self._pieces if name == reader.AREAS or len(self._pieces) > reader.MAX_LONG[name] else (packed(END),))

    def open_iterator_over(self, name: str, thread: int) -> int:
        is_ours = thread == os.getpid()
        self.asked += [(name, thread)] if is_ours else []
        return self._giving(self._own if is_ours else (packed(END),))

    @staticmethod
    def _giving(pieces: tuple[bytes, ...]) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for piece in pieces:
            ours.send(piece)
        ours.close()
        return theirs.detach()


def test_a_pass_ends_at_its_last_row_however_many_processes_begin_meanwhile() -> None:
    """Linux 6.1 goes on with them where it is read again, and writes no last row a second time."""
    younger = ROW._replace(pid=71, enclave=ROW.enclave + 1)
    assert len(ReadsOf(packed(ROW, END), packed(younger)).read().enclaves) == 1


ENDLESS = (packed(ROW),) * reader.MAX_LONG[reader.AREAS]


def test_where_all_together_are_too_many_areas_one_process_after_the_other_is_read() -> None:
    meter = ReadsOf(*ENDLESS, own=(packed(ROW, ROW._replace(enclave=1), END),))
    measured = meter.read()
    assert (len(measured.enclaves), measured.partly) == (2, ())
    assert meter.asked == [("epc_vmas", os.getpid())]
    for _ in range(reader.APART):
        meter.read()
    meter._pieces = (packed(ROW, END),)
    assert len(meter.read().enclaves) == 1


def test_descriptors_without_end_are_no_pass() -> None:
    with pytest.raises(Unavailable, match="more than 40 million descriptors"):
        ReadsOf(*(packed(ROW),) * 60, own=(packed(END),)).read()


def test_a_process_that_has_too_many_areas_alone_is_told_and_keeps_nobodys_figures() -> None:
    measured = ReadsOf(*ENDLESS, own=(packed(ROW),) * reader.MAX_LONG_OF_ONE).read()
    assert len(measured.enclaves) == 1
    assert [[each.pid for each in some] for some in measured.partly] == [[os.getpid()]]


def test_a_pass_without_its_last_row_is_none() -> None:
    with pytest.raises(Unavailable, match="its last row did not come"):
        ReadsOf(packed(ROW)).read()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled programs, made for these tests from the source of this checkout."""
    if shutil.which("clang") is None:
        pytest.skip("no clang here: apt-get install clang llvm libbpf-dev")
    path = tmp_path_factory.mktemp("bpf") / "meter.bpf.o"
    subprocess.run([PROJECT / "deploy/bpf/build", path], check=True, capture_output=True, timeout=300)
    return path


@pytest.fixture
def loadable(programs: Path) -> Path:
    if os.geteuid() != 0 or not BTF.exists():
        pytest.skip("loading BPF programs takes root, and a kernel with BTF")
    return programs


@pytest.fixture
def tun(tmp_path: Path) -> Iterator[Path]:
    node = tmp_path / "tun"
    os.mknod(node, 0o20600, os.makedev(*TUN))
    yield node
    node.unlink()


def test_the_same_source_gives_the_same_bytes(programs: Path, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "deploy/bpf", tmp_path / "deploy/bpf")
    target = tmp_path / "src/donjon/adapters/epc"
    target.mkdir(parents=True)
    shutil.copy(PROJECT / "src/donjon/adapters/epc/meter.bpf.c", target)
    subprocess.run([tmp_path / "deploy/bpf/build"], check=True, capture_output=True, timeout=300)
    assert (target / "meter.bpf.o").read_bytes() == programs.read_bytes()
    assert str(PROJECT).encode() not in programs.read_bytes()


def test_the_kernel_takes_the_programs_and_passes_are_read_again_and_again(loadable: Path) -> None:
    meter = EnclaveReader(object_path=loadable, enclaves=ZERO, free_at=0)  # Its files have no private data, as no enclave's.
    assert [meter.read().enclaves for _ in range(3)] == [{}, {}, {}]
    meter.close()


HOG = """
import ctypes, mmap, threading, time
libc = ctypes.CDLL(None)
memory = mmap.mmap(-1, 60_000 * mmap.PAGESIZE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
for page in range(0, 60_000, 2):
    libc.mprotect(ctypes.c_void_p(start + page * mmap.PAGESIZE), mmap.PAGESIZE, mmap.PROT_READ)
def live():
    libc.unshare(0x400)  # CLONE_FILES, for which nobody needs a right
    time.sleep(60)
for _ in range(25):
    threading.Thread(target=live, daemon=True).start()
print("ready", flush=True)
time.sleep(60)
"""


def test_threads_that_come_to_millions_of_areas_do_not_keep_the_kernel_from_the_others(
    loadable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(reader.MAX_LONG, reader.AREAS, 1)
    meter = EnclaveReader(object_path=loadable, enclaves=ZERO, free_at=0)
    with subprocess.Popen([sys.executable, "-c", HOG], stdout=subprocess.PIPE) as hog:
        assert hog.stdout is not None
        assert hog.stdout.readline() == b"ready\n"
        assert meter.read().partly == ()
        assert meter._apart == reader.APART
        assert meter.read().partly == ()
        hog.kill()
    meter.close()


def test_a_kernel_without_the_structures_of_enclaves_is_told_from_one_without_enclaves(loadable: Path, tun: Path) -> None:
    if b"sgx_encl\0" in BTF.read_bytes():
        pytest.skip("this kernel has SGX")
    meter = EnclaveReader(object_path=loadable, enclaves=TUN, free_at=0)
    with tun.open("r+b", buffering=0), pytest.raises(Unavailable, match="DJ705"):
        meter.read()
    meter.close()


def test_without_a_driver_there_is_nothing_to_measure(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "misc_devices", dict)
    with pytest.raises(Unavailable, match="DJ700"):
        EnclaveReader(object_path=programs)


def test_an_installation_without_the_programs_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="DJ701"):
        EnclaveReader(object_path=tmp_path / "meter.bpf.o", enclaves=ZERO)


def test_a_kernel_without_btf_says_so(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BTF", tmp_path / "vmlinux")
    with pytest.raises(Unavailable, match="DJ702"):
        EnclaveReader(object_path=programs, enclaves=ZERO)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("-all", "lacks CAP_BPF and CAP_PERFMON"),
        ("-all,+bpf", "lacks CAP_PERFMON;"),
        ("-all,+perfmon", "lacks CAP_BPF;"),
        ("-all,+sys_ptrace,+net_admin", "lacks CAP_BPF and CAP_PERFMON"),
    ],
)
def test_without_one_of_its_two_capabilities_the_meter_is_refused_and_says_which(loadable: Path, own: str, words: str) -> None:
    # That both are enough is seen on a kernel that has the types of SGX: libbpf asks for more where it does not find them.
    limited = ["setpriv", "--bounding-set", own, "--inh-caps", "-all", sys.executable, "-c", LOAD, str(loadable)]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)
    assert "DJ703" in done.stderr
    assert words in done.stderr


def test_in_a_containers_own_pid_namespace_nothing_is_measured() -> None:
    if os.geteuid() != 0:
        pytest.skip("making a PID namespace takes root")
    code = "from donjon.adapters.epc.kernel import require_host; require_host()"
    alone = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    done = subprocess.run(alone, capture_output=True, text=True, timeout=60, check=False)
    assert "DJ710" in done.stderr
    require_host()
