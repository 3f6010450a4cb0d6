"""In the guest: what the kernel's own driver does by itself: ksgxd, ELDU, EAUG, EDMM, guests' EPC."""

import os
from collections.abc import Callable

from tests.kernel.guest import memory
from tests.kernel.guest.common import grow
from tests.kernel.guest.comparison import Comparison, holders
from tests.kernel.guest.devices import GUEST, PROVISION, Driver, Enclave
from tests.kernel.guest.harness import Child

from donjon.node.enclaves import EnclaveReading
from donjon.sgx.epc import EnclaveFlag

_TOO_MANY = 6000  # pages, where EPC has 4096
_GROWN = 2000


class OfDriver:
    """Scenarios, each a method."""

    def __init__(self, comparison: Comparison, device: Driver) -> None:
        self.at, self.device, self.check = comparison, device, comparison.check

    def scenarios(self) -> tuple[Callable[[], None], ...]:
        """In this order."""
        return (self.built_larger_than_epc, self.loaded_again, self.secs_evicted, self.grows_by_faults, self.shrinks_by_edmm,
                self.provision, self.guest, self.guest_beside_enclaves, self.growing)  # fmt: skip

    def _initialised(self, number: int, pages: int) -> Enclave:
        enclave = self.device.create(number)
        self.device.add(enclave, 0, pages)
        self.device.initialise(enclave)
        return enclave

    def _reading(self, name: str, enclave: Enclave) -> EnclaveReading:
        found = [each for each in self.at.same(name).enclaves.values() if each.base == enclave.base]
        return found[0]

    def built_larger_than_epc(self) -> None:
        before = self.device.counted("EWB")
        enclave = self.device.create(1)
        self.device.add(enclave, 0, _TOO_MANY)
        read = self.at.only("an enclave larger than EPC")
        self.check("the driver evicted pages of it", self.device.counted("EWB") - before > 1000, self.device.counted("EWB"))
        self.check("all its pages exist", read.existing == _TOO_MANY + 1, read)
        self.check("not all are in EPC", read.children < 4096 - 12, read)
        enclave.close()
        self.at.same("larger than EPC, and closed")

    def loaded_again(self) -> None:
        enclave = self._initialised(1, _TOO_MANY)
        where = enclave.map(_TOO_MANY)
        before = self.device.counted("ELDU")
        for first in range(0, _TOO_MANY, 1500):
            memory.touch(where, range(first, first + 1500))
            self.at.only(f"pages from {first} on touched")
        self.check("pages were loaded back", self.device.counted("ELDU") - before > 1000, self.device.counted("ELDU"))
        child = Child(lambda _: memory.touch(where, range(0, _TOO_MANY, 7)))
        read = self.at.only("a forked child touches them")
        self.check("both hold it", holders(read) == {os.getpid(), child.pid}, read.holders)
        memory.unmap(where, _TOO_MANY)

    def secs_evicted(self) -> None:
        quiet = self._initialised(1, 10)
        loud = self._initialised(2, _TOO_MANY)
        read = self._reading("one enclave drives another out", quiet)
        self.check("nothing of it is in EPC but a version array",
                   (read.children, read.secs, read.version_arrays, read.existing) == (0, 0, 1, 11), read)  # fmt: skip
        loud.close()
        where = quiet.map(10)
        memory.touch(where, [3])
        read = self._reading("one of its pages is touched", quiet)
        self.check("that page and the SECS are back", (read.children, read.secs) == (1, 1), read)
        memory.unmap(where, 10)

    def grows_by_faults(self) -> None:
        enclave = self._initialised(1, 10)
        self.check("it is initialised", self.at.only("initialised").flags == EnclaveFlag.CREATED | EnclaveFlag.INITIALIZED)
        where = enclave.map(2000)
        before = self.device.counted("EAUG")
        memory.touch(where, range(1000))
        read = self.at.only("990 pages by EAUG")
        self.check("by EAUG", self.device.counted("EAUG") - before == 990 and read.children == 1000, read)
        memory.unmap(where, 2000)

    def shrinks_by_edmm(self) -> None:
        enclave = self._initialised(1, 1100)
        before = self.at.only("before it shrinks")
        self.device.trim(enclave, 100, 600)
        self.check("trimmed pages are still in EPC", self.at.only("600 trimmed").children == 1100)
        self.device.remove(enclave, 100, 600)
        after = self.at.only("600 removed")
        self.check("they are no more", (after.existing, after.children) == (501, 500), after)
        self.check("version arrays stay", after.version_arrays == before.version_arrays == 3, after)

    def provision(self) -> None:
        enclave = self.device.create(1)
        descriptor = os.open(PROVISION, os.O_RDONLY)
        self.device.provision(enclave, descriptor)
        self.at.only("the provision device is open, too")
        os.close(descriptor)

    def guest(self) -> None:
        guest = os.open(GUEST, os.O_RDWR)
        self.at.same("a guest's EPC, opened")
        where = 1 << 40
        memory.map_at(guest, where, 2000)
        for count in (1, 64, 65, 1900):
            memory.touch(where, range(count))
            self.at.same(f"a guest's EPC: {count} pages")
        child = Child(lambda _: None)
        held = [{holder.pid for holder in each.holders} for each in self.at.same("a guest's EPC, forked").guests.values()]
        self.check("both hold it", held == [{os.getpid(), child.pid}], held)
        child.kill()
        memory.control(guest, self.device.REMOVE_ALL)
        self.at.same("a guest's EPC, its enclaves removed")
        memory.unmap(where, 2000)
        os.close(guest)
        self.at.same("a guest's EPC, closed")

    def guest_beside_enclaves(self) -> None:
        """What a guest has stays, so the enclaves are driven out."""
        guest = os.open(GUEST, os.O_RDWR)
        enclave = self._initialised(1, 3000)
        memory.map_at(guest, 1 << 40, 2500)
        memory.touch(1 << 40, range(2500))
        read = self._reading("a guest drives an enclave out", enclave)
        self.check("it exists, and is not in EPC whole", read.existing == 3001 and read.children < 1600, read)
        memory.unmap(1 << 40, 2500)
        os.close(guest)

    def growing(self) -> None:
        grow(self.at, lambda: self._initialised(2, 10).map(_GROWN), _GROWN, slack=2)
