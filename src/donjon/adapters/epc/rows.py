"""The rows that `meter.bpf.c` writes, and what they say together. Left out: how they are read.

A tenant chooses how many enclaves and holders there are, so what is kept of them is bounded: for each container, so that one that
has too many is known in part, and all others whole.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from heapq import heappop, heappush
from typing import NamedTuple

from donjon.errors import Unavailable
from donjon.node.enclaves import EnclaveHolder, EnclavePass, EnclaveReading, GuestReading
from donjon.sgx.epc import EnclaveFlag, EpcSource

MAX_ROWS = 1 << 22  # of one pass: 480 MiB, of which nothing is kept but what is below
MAX_ENCLAVES = 1 << 15  # and guests; each has at least two pages of EPC, and takes a kilobyte here
MAX_ENCLAVES_OF_ONE = 1 << 12  # of one container; what it has beyond is not counted, and the container is told
MAX_HOLDERS = 1 << 15  # processes of all enclaves together; beyond, each enclave's first is enough
MAX_HOLDERS_OF_ONE = 256  # of more, those that started first
MAX_UNREAD = 16  # processes of one container that are named where not all was counted: one tells whose it is

# fmt: off
_ROW = struct.Struct(
    "<"
    "I"    # kind
    "I"    # how: what could not be read
    "I"    # tgid, in the first PID namespace
    "I"    # the leader's pid in its own PID namespace
    "Q"    # its start, nanoseconds since boot
    "Q"    # inode of its folder in cgroup v2
    "Q"    # inode of its folder of the memory controller, cgroup v1
    "Q"    # the enclave: an address, used as a number
    "Q"    # base
    "Q"    # size
    "Q"    # flags
    "I"    # page_cnt
    "I"    # secs_child_cnt
    "I"    # 1 where the SECS is in EPC
    "I"    # pages of version arrays
    "Q"    # pages of a guest
    "q"    # free pages; -1 unknown
    "16s"  # the leader's name
)
# fmt: on


class RowKind(IntEnum):
    """What a row is about."""

    ENCLAVE = 1
    GUEST = 2
    END = 3  # of a pass; without it, it was cut short


class RowGap(IntFlag):
    """What of an enclave could not be read."""

    VERSION_ARRAYS = 1  # more of them than are counted
    LAYOUT = 2  # this kernel's structures have no such fields
    COUNTERS = 4
    GUEST = 8  # more pages than are counted
    MORE = 16  # the container has more rows than are written


class EnclaveRow(NamedTuple):
    """One row."""

    kind: int
    how: int
    pid: int
    inner_pid: int
    started: int
    cgroup: int
    memory_cgroup: int
    enclave: int
    base: int
    size: int
    flags: int
    existing: int
    children: int
    secs: int
    version_arrays: int
    guest_pages: int
    free: int
    command: bytes


class RowCutter:
    """Cuts what is read into rows, wherever a piece ends."""

    def __init__(self) -> None:
        self._rest = b""
        self._count = 0

    def feed(self, data: bytes) -> Iterator[EnclaveRow]:
        """The rows that end in this piece; raises `Unavailable` DJ706 where there are too many."""
        data = self._rest + data
        whole = len(data) - len(data) % _ROW.size
        self._rest = data[whole:]
        self._count += whole // _ROW.size
        if self._count > MAX_ROWS:
            last = EnclaveRow._make(_ROW.unpack_from(data, whole - _ROW.size))
            raise Unavailable(
                "DJ706",
                f"meter: more than {MAX_ROWS} rows in one pass: processes cut their enclaves into that many, or have them open "
                f"so often; the last row is of process {last.pid}",
            )
        return map(EnclaveRow._make, _ROW.iter_unpack(data[:whole]))

    def end(self) -> None:
        """No more will come; raises `Unavailable` DJ706 where a row is incomplete."""
        if self._rest:
            raise Unavailable("DJ706", f"meter: {len(self._rest)} bytes behind the last row, expected rows of {_ROW.size}")


@dataclass(slots=True)
class _Tally:
    """What is known so far of one enclave or guest; the last row is the newest."""

    row: EnclaveRow
    gaps: int = 0
    holders: set[EnclaveHolder] = field(default_factory=set)
    latest: list[tuple[int, int, EnclaveHolder]] = field(default_factory=list)  # a heap of them; who started last is first

    def hold(self, holder: EnclaveHolder, most: int) -> int:
        """Take a holder in; by how many there are more. Of more than so many, those stay that started first."""
        if holder in self.holders:
            return 0
        self.holders.add(holder)
        heappush(self.latest, (-holder.started, -holder.pid, holder))
        if len(self.holders) <= most:
            return 1
        self.holders.remove(heappop(self.latest)[2])
        return 0


class RowSum:
    """Rows of both iterators, put together: each enclave once, with all who hold it."""

    def __init__(self) -> None:
        self._tallies: dict[int, _Tally] = {}
        self._counts: Counter[int] = Counter()  # of enclaves, by container
        self._unread: dict[int, set[EnclaveHolder]] = {}  # by container
        self._holder_count = 0
        self._free: int | None = None

    def take(self, row: EnclaveRow) -> bool:
        """Take a row in; whether it is the last of its pass. Raises `Unavailable` DJ705 or DJ706."""
        if row.kind == RowKind.END:
            self._free = row.free if row.free >= 0 else self._free
            return True
        if row.how & RowGap.LAYOUT:
            raise Unavailable(
                "DJ705",
                "meter: this kernel's structures of enclaves have other fields than the meter knows "
                "(struct sgx_encl, of the in-tree driver): tell us its release, uname -r",
            )
        if row.how & RowGap.COUNTERS:
            raise Unavailable("DJ706", "meter: the kernel did not let the counters of an enclave be read")
        if row.how & RowGap.MORE:
            self.leave_out(_holder(row))
        else:
            self._add(row)
        return False

    def leave_out(self, holder: EnclaveHolder) -> None:
        """Keep that not all was counted of what this process holds."""
        some = self._unread.setdefault(_container(holder), set())
        if len(some) < MAX_UNREAD:
            some.add(holder)

    def total(self) -> EnclavePass:
        """All of it."""
        enclaves = {number: _enclave(each) for number, each in self._tallies.items() if each.row.kind == RowKind.ENCLAVE}
        guests = {number: _guest(each) for number, each in self._tallies.items() if each.row.kind == RowKind.GUEST}
        partly = tuple(tuple(sorted(each)) for each in self._unread.values())
        return EnclavePass(source=EpcSource.BPF, enclaves=enclaves, guests=guests, free=self._free, partly=partly)

    def _add(self, row: EnclaveRow) -> None:
        if not (row.existing or row.version_arrays or row.guest_pages):
            return  # Opened and no more: that is no enclave, and holds nothing.
        holder = _holder(row)
        tally = self._tallies.get(row.enclave) or self._first(row, holder)
        if tally is None:
            self.leave_out(holder)
            return
        tally.row, tally.gaps = row, tally.gaps | row.how
        room = MAX_HOLDERS_OF_ONE if self._holder_count < MAX_HOLDERS else max(len(tally.holders), 1)
        self._holder_count += tally.hold(holder, room)

    def _first(self, row: EnclaveRow, holder: EnclaveHolder) -> _Tally | None:
        """A tally of an enclave that was not seen before; `None` where its container has too many."""
        container = _container(holder)
        if self._counts[container] >= MAX_ENCLAVES_OF_ONE:
            return None
        if len(self._tallies) >= MAX_ENCLAVES:
            raise Unavailable("DJ706", f"meter: more than {MAX_ENCLAVES} enclaves on this node")
        self._counts[container] += 1
        self._tallies[row.enclave] = _Tally(row)
        return self._tallies[row.enclave]


def _container(holder: EnclaveHolder) -> int:
    """What stands for its container, as `meter.bpf.c` has it: a container may make folders below its own in cgroup v2."""
    return holder.memory_cgroup if holder.memory_cgroup > 1 else holder.cgroup


def _holder(row: EnclaveRow) -> EnclaveHolder:
    return EnclaveHolder(
        started=row.started,
        pid=row.pid,
        inner_pid=row.inner_pid,
        cgroup=row.cgroup,
        memory_cgroup=row.memory_cgroup,
        command=row.command.partition(b"\0")[0].decode("utf-8", errors="replace"),
    )


def _enclave(tally: _Tally) -> EnclaveReading:
    row = tally.row
    return EnclaveReading(
        base=row.base,
        size=row.size,
        flags=EnclaveFlag(row.flags),
        existing=row.existing,
        children=row.children,
        secs=row.secs,
        version_arrays=row.version_arrays,
        holders=tuple(sorted(tally.holders)),
        is_exact=not tally.gaps,
    )


def _guest(tally: _Tally) -> GuestReading:
    return GuestReading(pages=tally.row.guest_pages, holders=tuple(sorted(tally.holders)), is_exact=not tally.gaps)
