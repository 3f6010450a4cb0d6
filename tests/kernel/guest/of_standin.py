"""In the guest: what only the stand-in does at a word: pages leave EPC and come back, in any order."""

import os
import random
import resource
import time
from collections.abc import Callable

from tests.kernel.guest import memory
from tests.kernel.guest.common import grow, scattered
from tests.kernel.guest.comparison import Comparison
from tests.kernel.guest.devices import GUEST, Standin
from tests.kernel.guest.harness import Child

_GUEST_PAGES = 1 << 20
_TURNS, _ARRAYS = 2000, 20_000
_GROWN = 1 << 14


class OfStandin:
    """Scenarios, each a method."""

    def __init__(self, comparison: Comparison, device: Standin) -> None:
        self.at, self.device, self.check = comparison, device, comparison.check

    def scenarios(self) -> tuple[Callable[[], None], ...]:
        """In this order."""
        return (
            self.evicted_and_loaded,
            self.version_arrays,
            self.version_arrays_without_end,
            self.random_walk,
            self.many_areas,
            self.guest,
            self.growing,
            self.churn,
        )

    def evicted_and_loaded(self) -> None:
        enclave = self.device.create(1)
        where = enclave.map(4096)
        memory.touch(where, range(3000))
        self.at.only("3000 pages by faults")
        self.device.evict(enclave, 0, 700)
        read = self.at.only("700 of them evicted")
        self.check("they still exist", read.existing - read.children == 701, read)
        memory.touch(where, range(100))
        self.at.only("100 loaded again")
        self.device.remove(enclave.descriptor, 2000, 1000)
        self.at.only("1000 removed")
        self.device.evict(enclave, 0, 4096)
        read = self.at.only("all evicted, the SECS with them")
        self.check("nothing in EPC but version arrays", (read.children, read.secs) == (0, 0) and read.version_arrays, read)
        memory.touch(where, range(10))
        self.check("the SECS came back with ten pages", self.at.only("10 loaded again").secs == 1)
        memory.unmap(where, 4096)

    def version_arrays(self) -> None:
        enclave = self.device.create(1)
        self.device.add(enclave, 0, 511)
        for _ in range(20):
            self.device.add(enclave, 600, 1)
            self.device.remove(enclave.descriptor, 600, 1)
        read = self.at.only("a page added and removed 20 times at the edge of 512")
        self.check("a version array each time", (read.existing, read.version_arrays) == (512, 21), read)

    def version_arrays_without_end(self) -> None:
        """A list of them as long as EPC is large is walked once in a pass, however many rows its enclave has."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 17, 1 << 17))
        enclaves = [self.device.create(number) for number in range(2)]
        for enclave in enclaves:
            self.device.add(enclave, 0, 511)
        opened = [os.dup(each.descriptor) for _ in range(_TURNS) for each in enclaves]
        self.at.same("two enclaves in turn")
        short = self._seconds()
        for enclave in enclaves:
            for _ in range(_ARRAYS):
                self.device.add(enclave, 600, 1)
                self.device.remove(enclave.descriptor, 600, 1)
        read = self.at.same("the same with very many version arrays")
        self.check("as many as that", all(each.version_arrays > _ARRAYS for each in read.enclaves.values()), read.enclaves)
        seconds = self._seconds()
        self.check("a pass takes no longer by them", seconds < 3 * short + 0.5, (seconds, short))
        for descriptor in opened:
            os.close(descriptor)
        for enclave in enclaves:
            enclave.close()

    def _seconds(self) -> float:
        began = time.monotonic()
        self.at.reader.read()
        return time.monotonic() - began

    def random_walk(self) -> None:
        chance = random.Random(5)  # noqa: S311 - nothing secret.
        enclave = self.device.create(1)
        where = enclave.map(4096)
        for step in range(1, 61):
            first, count = chance.randrange(4000), chance.randrange(1, 96)
            match chance.randrange(4):
                case 0:
                    memory.touch(where, range(first, first + count))
                case 1:
                    self.device.add(enclave, first, count)
                case 2:
                    self.device.evict(enclave, first, count)
                case _:
                    self.device.remove(enclave.descriptor, first, count)
            if step % 10 == 0:
                self.at.only(f"step {step} of a random walk")
        memory.unmap(where, 4096)

    def many_areas(self) -> None:
        enclave = self.device.create(1)
        where = enclave.map(4096)
        memory.touch(where, range(200))
        for page in range(0, 4096, 2):
            memory.protect(where + page * memory.PAGE, 1, memory.READ)
        self.at.only("one enclave in 4096 areas")
        memory.unmap(where, 4096)

    def guest(self) -> None:
        guest = os.open(GUEST, os.O_RDWR)
        self.at.same("a guest's EPC, opened")
        where = 1 << 40
        memory.map_at(guest, where, _GUEST_PAGES)
        edges = [63, 64, 4095, 4096, 262143, 262144, _GUEST_PAGES - 1]
        for name, pages in (("its first page", [0]), ("pages at the edges of each level", edges),
                            ("3000 pages scattered over 4 GiB", scattered(1, _GUEST_PAGES, 3000)),
                            ("20000 pages in a row", range(500000, 520000))):  # fmt: skip
            memory.touch(where, pages)
            self.at.same(f"a guest's EPC: {name}")
        child = Child(lambda _: None)
        read = self.at.same("a guest's EPC, shared by fork")
        held = [{holder.pid for holder in reading.holders} for reading in read.guests.values()]
        self.check("both hold it", held == [{os.getpid(), child.pid}], held)
        child.kill()
        self.device.remove(guest, 0, _GUEST_PAGES)
        self.at.same("a guest's EPC, all removed")
        memory.unmap(where, _GUEST_PAGES)
        os.close(guest)
        self.at.same("a guest's EPC, closed")

    def growing(self) -> None:
        grow(self.at, lambda: self.device.create(2).map(_GROWN), _GROWN, slack=0)

    def churn(self) -> None:
        def live(child: Child) -> None:
            enclave = self.device.create(2)
            self.device.add(enclave, 0, 5000)
            child.say()
            while True:
                self.device.evict(enclave, 0, 50)
                self.device.add(enclave, 0, 50)
                self.device.remove(enclave.descriptor, 4000, 900)
                self.device.add(enclave, 4000, 900)

        child = Child(live)
        seen = [sum(enclave.children for enclave in self.at.reader.read().enclaves.values()) for _ in range(40)]
        self.check("an enclave that shrinks and grows", all(4050 <= pages <= 5000 for pages in seen), (min(seen), max(seen)))
        child.kill()
