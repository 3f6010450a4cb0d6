"""In the guest: the product's meter beside the truth."""

from collections.abc import Collection

from tests.kernel.guest.devices import Device, Said
from tests.kernel.guest.harness import Checks, eventually

from donjon.adapters.epc.reader import EnclaveReader
from donjon.node.enclaves import EnclavePass, EnclaveReading, GuestReading

_TIMES = 100


class Comparison:
    """A reader, loaded once, and the truth that it is held against."""

    def __init__(self, checks: Checks, device: Device) -> None:
        self.check, self.device = checks.check, device
        self.reader = EnclaveReader(free_at=device.free_at())

    def same(self, name: str) -> EnclavePass:
        """The meter equals the truth, enclave by enclave and in sum."""
        truth, read = self._at_rest()
        said = self.device.told(read)
        self.check(name, said == truth and self._exact(read), _difference(said, truth) or "not exact")
        self.check(f"{name}: free pages", read.free == self.device.pages - truth.used, f"{read.free}, used {truth.used}")
        return read

    def _at_rest(self) -> tuple[Said, EnclavePass]:
        """The truth, and a pass during which it did not change: ksgxd works by itself."""
        for _ in range(_TIMES):
            rests = eventually(self.device.rests)
            truth, read = self.device.truth(), self.reader.read()
            if rests and self.device.rests() and self.device.truth() == truth:
                break
        return truth, read

    def settle(self) -> bool:
        """Wait until nothing is left of a scenario: an enclave that was mapped is given back a while after its process."""
        return eventually(lambda: self.device.truth().used == 0)

    def only(self, name: str) -> EnclaveReading:
        """The same, of the one enclave that there is."""
        enclaves = tuple(self.same(name).enclaves.values())
        self.check(f"{name}: one enclave", len(enclaves) == 1, enclaves)
        return enclaves[0]

    def hidden(self, name: str, pages: int) -> None:
        """So many pages are nobody's, and the meter says nothing of them."""
        truth, said = self.device.truth(), self.device.told(self.reader.read())
        self.check(name, truth.used - said.used == pages, _difference(said, truth))

    @staticmethod
    def _exact(read: EnclavePass) -> bool:
        readings: tuple[EnclaveReading | GuestReading, ...] = (*read.enclaves.values(), *read.guests.values())
        return all(reading.is_exact and reading.holders for reading in readings)


def holders(reading: EnclaveReading) -> Collection[int]:
    """The processes that hold it."""
    return {holder.pid for holder in reading.holders}


def _difference(said: Said, truth: Said) -> str:
    """What is not the same, briefly."""
    enclaves = {
        f"{key:#x}": (said.enclaves.get(key), truth.enclaves.get(key))
        for key in sorted(said.enclaves.keys() | truth.enclaves.keys())
        if said.enclaves.get(key) != truth.enclaves.get(key)
    }
    rest = [
        f"{name}: {own} for {true}"
        for name, own, true in (
            ("guests", said.guests, truth.guests),
            ("version arrays", said.version_arrays, truth.version_arrays),
            ("evicted", said.evicted, truth.evicted),
        )
        if own != true
    ]
    return f"meter and truth differ: {dict(list(enclaves.items())[:4])} of {len(enclaves)} {rest}" if enclaves or rest else ""
