"""In the guest: what holds with either truth."""

import array
import os
import random
import resource
import socket
import threading
import time
from collections.abc import Callable

from tests.kernel.guest import memory
from tests.kernel.guest.comparison import Comparison, holders
from tests.kernel.guest.devices import Enclave
from tests.kernel.guest.harness import Child, eventually

from donjon.sgx.epc import EnclaveFlag

MANY = 700
ROWS = 70_000  # more than meter.bpf.c writes of one container (ROWS_OF_ONE)
STRETCHES, MOST_PASSES = 20, 1000
_CGROUPS = "/sys/fs/cgroup"
_OTHERS = ("cpu_dma_latency", "snapshot", "fuse", "vga_arbiter", "hpet", "mcelog", "udmabuf", "loop-control", "autofs",
           "sgx_provision", "tun", "net/tun", "rtc0", "null")  # fmt: skip


class Common:
    """Scenarios, each a method; `scenarios` lists them."""

    def __init__(self, comparison: Comparison) -> None:
        self.at, self.device, self.check = comparison, comparison.device, comparison.check

    def scenarios(self) -> tuple[Callable[[], None], ...]:
        """In this order."""
        return (self.nothing, self.built_and_not_mapped, self.flags, self.nothing_in_pagemap, self.shared_by_fork,
                self.main_thread_ended, self.passed_by_socket, self.kept_by_a_ring, self.short_lived,
                self.processes_in_cgroups, self.many_in_one_pass, self.too_many_rows, self.one_process_at_a_time,
                self.other_devices, self.namespaces)  # fmt: skip

    def enclave(self, number: int, pages: int, *, debug: bool = False) -> Enclave:
        """One with so many pages."""
        enclave = self.device.create(number, debug=debug)
        if pages:
            self.device.add(enclave, 0, pages)
        return enclave

    def gone(self, name: str) -> None:
        """Nothing is left, in truth and for the meter."""
        self.check(f"{name}: the truth is empty", eventually(lambda: self.device.truth().used == 0), self.device.truth())
        self.at.same(name)

    def nothing(self) -> None:
        self.at.same("no enclave at all")

    def built_and_not_mapped(self) -> None:
        opened = os.open("/dev/sgx_enclave", os.O_RDWR)
        self.check("opened and no more is no enclave", not self.at.same("opened and no more").enclaves)
        os.close(opened)
        enclave = self.device.create(1, pages=1 << 12)
        self.at.same("an enclave created, without pages")
        self.device.add(enclave, 0, 1000)
        read = self.at.only("1000 pages added by descriptor, nothing mapped")
        self.check("base and size", (read.base, read.size) == (enclave.base, enclave.size), read)
        self.check("its only holder is this process", holders(read) == {os.getpid()}, read.holders)
        enclave.close()
        self.gone("closed")

    def flags(self) -> None:
        enclave = self.enclave(1, 1)
        self.check("a created enclave", self.at.only("created").flags == EnclaveFlag.CREATED, self.at.reader.read())
        enclave.close()
        enclave = self.enclave(2, 1, debug=True)
        wanted = EnclaveFlag.CREATED | EnclaveFlag.DEBUG
        self.check("an enclave in debug mode", self.at.only("debug").flags == wanted, self.at.reader.read())
        enclave.close()

    def nothing_in_pagemap(self) -> None:
        enclave = self.enclave(1, 500)
        where = enclave.map(512)
        memory.touch(where, range(500))
        words = memory.pagemap(where, 512)
        self.check("pagemap shows no page of it", not any(word >> 62 or word & (1 << 55) - 1 for word in words), words[:8])
        self.check("mincore shows none", memory.incore(where, 512) == 0)
        with open("/proc/self/smaps") as file:
            area = file.read().partition(f"{where:x}-")[2].partition("VmFlags")[0]
        self.check("smaps says Rss 0", "Rss:                   0 kB" in area, area)
        self.at.only("500 pages mapped and touched")
        memory.unmap(where, 512)
        enclave.close()

    def shared_by_fork(self) -> None:
        enclave = self.enclave(1, 300)
        where = enclave.map(512)
        memory.touch(where, range(100))

        def live(child: Child) -> None:
            child.say()
            child.wait()
            memory.touch(where, range(100, 300))
            child.say()
            child.wait()
            enclave.close()

        child = Child(live)
        read = self.at.only("a forked child shares it")
        self.check("both hold it", holders(read) == {os.getpid(), child.pid}, read.holders)
        child.tell()
        self.at.only("the child touches more of it")
        child.tell()
        enclave.close()
        self.at.only("descriptors closed, mappings alone")
        memory.unmap(where, 512)
        read = self.at.only("unmapped here, held by the child")
        self.check("the child holds it alone", holders(read) == {child.pid}, read.holders)
        child.kill()
        self.gone("the child is killed")

    def main_thread_ended(self) -> None:
        """Then /proc/PID/maps is empty, and the leader has no memory that could be looked at."""

        def live(child: Child) -> None:
            enclave = self.enclave(3, 100)
            memory.touch(enclave.map(100), range(100))
            enclave.close()
            threading.Thread(target=lambda: _say_late(child)).start()
            memory.end_this_thread()

        child = Child(live)
        with open(f"/proc/{child.pid}/maps") as maps:
            self.check("/proc/PID/maps shows nothing", maps.read() == "")
        read = self.at.only("the main thread ended, another holds the enclave")
        self.check("its process is named", holders(read) == {child.pid}, read.holders)
        child.kill()
        self.gone("a process without its main thread is killed")

    def passed_by_socket(self) -> None:
        one, other = socket.socketpair()
        enclave = self.enclave(1, 200)
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [enclave.descriptor]))])
        enclave.close()
        self.at.hidden("a descriptor in a socket is nobody's", 200 + 1 + 1)

        def live(_: Child) -> None:
            other.recvmsg(1, socket.CMSG_SPACE(4))

        child = Child(live)
        read = self.at.only("received by another process")
        self.check("who received it holds it", holders(read) == {child.pid}, read.holders)
        one.close()
        other.close()
        child.kill()
        self.gone("passed on, and killed")

    def kept_by_a_ring(self) -> None:
        enclave = self.enclave(1, 100)
        ring = memory.ring_with(enclave.descriptor)
        enclave.close()
        self.at.hidden("an enclave that a ring of io_uring keeps is nobody's", 100 + 1 + 1)
        os.close(ring)
        self.gone("the ring is closed")

    def short_lived(self) -> None:
        """Processes with enclaves that come and go while they are read: no pass fails, and none makes up a page."""

        def live(child: Child) -> None:
            child.say()
            while True:
                if inner := os.fork():
                    os.waitpid(inner, 0)
                else:
                    enclave = self.enclave(1, 5)
                    memory.touch(enclave.map(5), range(5))
                    os._exit(0)

        child = Child(live)
        reads = [self.at.reader.read() for _ in range(60)]
        seen = [each for read in reads for each in read.enclaves.values()]
        self.check("some were seen", seen, len(reads))
        self.check("none is larger than it can be", all(each.children <= 5 and each.holders for each in seen), seen[:3])
        child.kill()
        self.gone("no more come")

    def processes_in_cgroups(self) -> None:
        pages: dict[int, int] = {}
        children = []
        for number in range(30):
            folder = f"{_CGROUPS}/{'AB'[number % 2]}"
            os.makedirs(folder, exist_ok=True)

            def live(_: Child, number: int = number, folder: str = folder) -> None:
                with open(f"{folder}/cgroup.procs", "w") as file:
                    file.write("0")
                memory.touch(self.enclave(number, 10 + number).map(64), range(10 + number))

            children.append(Child(live))
            pages[os.stat(folder).st_ino] = pages.get(os.stat(folder).st_ino, 0) + 10 + number
        read = self.at.same("30 processes in two cgroups")
        sums: dict[int, int] = {}
        for enclave in read.enclaves.values():
            sums[enclave.holders[0].cgroup] = sums.get(enclave.holders[0].cgroup, 0) + enclave.children
        self.check("each cgroup's pages", sums == pages, f"{sums} for {pages}")
        for child in children[:15]:
            child.kill()
        self.check("half of them are gone", eventually(lambda: len(self.device.truth().enclaves) == 15), self.device.truth())
        self.at.same("15 are killed")
        for child in children[15:]:
            child.kill()
        self.gone("all are killed")

    def many_in_one_pass(self) -> None:
        """More rows than one buffer of the kernel holds, 32 KiB: none is lost or empty."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        enclaves = [self.enclave(number, 1 + number % 3) for number in range(MANY)]
        read = self.at.same(f"{MANY} enclaves by descriptor")
        self.check("none is empty", all(enclave.children for enclave in read.enclaves.values()))
        for enclave in enclaves[::2]:
            enclave.map(3)
            enclave.close()
        read = self.at.same("half of them mapped only")
        self.check("all are there", len(read.enclaves) == MANY, len(read.enclaves))
        for enclave in enclaves[1::2]:
            enclave.close()
        for enclave in enclaves[::2]:
            memory.unmap(enclave.base, 3)
        self.gone(f"all {MANY} are gone")

    def too_many_rows(self) -> None:
        """Two enclaves in turn, a row for each descriptor: a cgroup has them up to a bound, and all others have theirs."""
        folder = f"{_CGROUPS}/rows"
        os.makedirs(folder, exist_ok=True)

        def live(child: Child) -> None:
            with open(f"{folder}/cgroup.procs", "w") as file:
                file.write("0")
            resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 17, 1 << 17))
            enclaves = [self.enclave(number, 3) for number in range(2)]
            for _ in range(ROWS // 2):
                for enclave in enclaves:
                    os.dup(enclave.descriptor)
            child.say()
            time.sleep(60)

        own = self.enclave(5, 7)
        child = Child(live)
        read = self.at.same(f"{ROWS} descriptors of two enclaves in turn")
        self.check("who has them is told", [[each.pid for each in some] for some in read.partly] == [[child.pid]], read.partly)
        child.kill()
        own.close()
        self.check("nobody has too many any more", self.at.same("who had them is killed").partly == ())

    def one_process_at_a_time(self) -> None:
        """As processes are read where all together have too many areas: what is found is the same."""

        def with_descriptors_of_its_own(child: Child) -> None:
            def live() -> None:
                memory.unshare(memory.OWN_DESCRIPTORS)
                self.enclave(2, 20)
                child.say()
                time.sleep(60)

            threading.Thread(target=live).start()
            time.sleep(60)

        def without_its_first_thread(child: Child) -> None:
            memory.touch(self.enclave(3, 30).map(30), range(30))
            threading.Thread(target=lambda: _say_late(child)).start()
            memory.end_this_thread()

        self.at.reader._apart = 1 << 10
        enclave = self.enclave(1, 10)
        enclave.map(10)
        enclave.close()
        children = [Child(with_descriptors_of_its_own), Child(without_its_first_thread)]
        read = self.at.same("one process at a time")
        pids = {holder.pid for each in read.enclaves.values() for holder in each.holders}
        self.check("each by its process", pids == {os.getpid(), *(child.pid for child in children)}, read.enclaves)
        self.check("none has too much", read.partly == (), read.partly)
        for child in children:
            child.kill()
        memory.unmap(enclave.base, 10)
        self.gone("all three")
        self.at.reader._apart = 0

    def other_devices(self) -> None:
        opened = []
        for name in _OTHERS:
            try:
                opened.append(os.open(f"/dev/{name}", os.O_RDWR))
            except OSError:
                continue
        self.check("some other device could be opened", len(opened) > 2, opened)
        self.at.same("other character devices are open")
        path = os.open("/dev/sgx_enclave", os.O_PATH)
        self.check("a path to the device is no enclave", not self.at.reader.read().enclaves)
        for descriptor in (*opened, path):
            os.close(descriptor)

    def namespaces(self) -> None:
        inside: list[int] = []

        def live(child: Child) -> None:
            enclave.close()
            memory.unshare(memory.NEW_PID_NAMESPACE)
            if inner := os.fork():
                child.say(str(inner).encode())
                os.waitpid(inner, 0)
            else:
                self._enclave_of_inner(child)

        enclave = self.enclave(8, 5)
        child = Child(live)
        eventually(lambda: len(self.device.truth().enclaves) == 2)
        read = self.at.same("a holder in a PID namespace of its own")
        inside = [holder.pid for reading in read.enclaves.values() for holder in reading.holders if holder.inner_pid == 1]
        self.check("it is named by both its numbers", len(inside) == 1, read.enclaves)
        said = child.tell()
        self.check("a reader in there sees its own alone", b"1 enclaves" in said, said)
        os.kill(inside[0], 9)
        child.kill()
        enclave.close()
        self.gone("namespaces gone")

    def _enclave_of_inner(self, child: Child) -> None:
        self.enclave(9, 50)
        child.wait()
        child.say(f"{len(self.at.reader.read().enclaves)} enclaves".encode())
        time.sleep(60)


def _say_late(child: Child) -> None:
    time.sleep(0.3)
    child.say()
    time.sleep(60)


def grow(comparison: Comparison, mapped: Callable[[], int], pages: int, slack: int) -> None:
    """A child touches page after page, a stretch for each word; while it does, passes are made.

    The truth before a pass is at most what it says, and that is at most the truth after it, but for pages in work.
    """

    def live(child: Child) -> None:
        where = mapped()
        child.say()
        for first in range(0, pages, pages // STRETCHES):
            child.wait()
            memory.touch(where, range(first, min(first + pages // STRETCHES, pages)))
        while child.wait():
            continue  # Words that came too late.

    child = Child(live)
    device, outside, passes, after = comparison.device, [], 0, 0
    while after < pages and passes < MOST_PASSES:
        child.say()
        before, read, after = device.truth().used, device.told(comparison.reader.read()).used, device.truth().used
        passes += 1
        outside += [] if before - slack <= read <= after + slack else [(before, read, after)]
    enough = after >= pages and passes >= STRETCHES
    comparison.check("an enclave that grows all the while", enough and not outside, (passes, after, outside[:3]))
    child.kill()
    comparison.check("what grew is gone", eventually(lambda: not device.truth().enclaves))


def scattered(seed: int, most: int, count: int) -> list[int]:
    """Some page numbers, the same at each run."""
    return random.Random(seed).sample(range(most), count)  # noqa: S311 - nothing secret.
