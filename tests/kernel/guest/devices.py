"""In the guest: enclaves made by either truth, and what it says of them, which no meter told it."""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.kernel.guest import memory
from tests.kernel.guest.memory import PAGE

from donjon.node.enclaves import EnclavePass

ENCLAVE, GUEST, PROVISION = "/dev/sgx_enclave", "/dev/sgx_vepc", "/dev/sgx_provision"
ROOM = 1 << 36
"""Each enclave has an address of its own, this far from the next."""


@dataclass(frozen=True, slots=True)
class Enclave:
    """One of the tests' own."""

    descriptor: int
    base: int
    size: int

    def map(self, pages: int) -> int:
        """Map its start; where it is."""
        memory.map_at(self.descriptor, self.base, pages)
        return self.base

    def close(self) -> None:
        """Close the descriptor; mappings stay."""
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Said:
    """What one of both says: of each enclave (by a key) pages in EPC and its SECS, of all together the rest."""

    enclaves: Mapping[int, tuple[int, int]]
    guests: Mapping[int, int]
    version_arrays: int
    evicted: int

    @property
    def used(self) -> int:
        """Pages of EPC."""
        held = sum(children + secs for children, secs in self.enclaves.values())
        return held + sum(self.guests.values()) + self.version_arrays


class Device(Protocol):
    """How enclaves are made, and the truth of them."""

    def create(self, number: int, pages: int = 1 << 16, *, debug: bool = False) -> Enclave:
        """An enclave that is created and has no page yet; its number makes its address."""

    def add(self, enclave: Enclave, first: int, pages: int) -> None:
        """Add pages to it."""

    pages: int  # of EPC

    def free_at(self) -> int:
        """Where the kernel keeps its counter of free pages."""

    def rests(self) -> bool:
        """Whether nothing goes on by itself, which keeps enclaves that no process has any more."""

    def truth(self) -> Said:
        """What there is now."""

    def told(self, read: EnclavePass) -> Said:
        """The same of what a meter read."""


def meter_said(read: EnclavePass, *, by_base: bool) -> Said:
    """What a meter read, each enclave under its address in the kernel or by its base."""
    return Said(
        enclaves={
            enclave.base if by_base else key: (enclave.children, enclave.secs)
            for key, enclave in read.enclaves.items()
            if not by_base or enclave.secs
        },
        guests={key: guest.pages for key, guest in read.guests.items() if guest.pages},
        version_arrays=sum(enclave.version_arrays for enclave in read.enclaves.values()),
        evicted=sum(enclave.existing - enclave.children - enclave.secs for enclave in read.enclaves.values()),
    )


class Standin:
    """Enclaves of `testbed/kernel/standin.c`: what leaves EPC does so at a word."""

    _CREATE, _ADD, _EVICT, _REMOVE = 0xE001, 0xE002, 0xE003, 0xE004
    pages = 1 << 20

    def free_at(self) -> int:
        return _symbols("sgx_nr_free_pages")[0]

    def rests(self) -> bool:
        return True

    def create(self, number: int, pages: int = 1 << 16, *, debug: bool = False) -> Enclave:
        enclave = Enclave(os.open(ENCLAVE, os.O_RDWR | os.O_CLOEXEC), (number + 1) * ROOM, pages * PAGE)
        self._ask(enclave.descriptor, self._CREATE, enclave.base, enclave.size + debug)
        return enclave

    def add(self, enclave: Enclave, first: int, pages: int) -> None:
        self._ask(enclave.descriptor, self._ADD, first, pages)

    def evict(self, enclave: Enclave, first: int, pages: int) -> None:
        """EWB."""
        self._ask(enclave.descriptor, self._EVICT, first, pages)

    def remove(self, descriptor: int, first: int, pages: int) -> None:
        """EREMOVE of an enclave's or a guest's pages."""
        self._ask(descriptor, self._REMOVE, first, pages)

    def truth(self) -> Said:
        enclaves: dict[int, tuple[int, int]] = {}
        guests: dict[int, int] = {}
        arrays = evicted = used = 0
        with open("/proc/sgx_standin") as file:
            for line in file:
                match line.split():
                    case ["used", pages]:
                        used = int(pages)
                    case [_, "vepc", inside, *_, address]:
                        guests |= {int(address, 16): int(inside)} if int(inside) else {}
                    case [_, "encl", _, _, "0", *_]:
                        continue  # Opened and no more: no enclave yet.
                    case [_, "encl", inside, out, own, secs, created, address]:
                        enclaves[int(address, 16)] = int(inside), int(secs)
                        arrays += int(own)
                        evicted += int(out) + int(created) - int(secs)
        said = Said(enclaves, guests, arrays, evicted)
        if said.used != used:
            raise AssertionError(f"the stand-in counts {used} and lists {said}")
        return said

    def told(self, read: EnclavePass) -> Said:
        return meter_said(read, by_base=False)

    @staticmethod
    def _ask(descriptor: int, request: int, first: int, second: int) -> None:
        memory.control(descriptor, request, bytearray(struct.pack("<QQ", first, second)))


def _symbols(name: str) -> list[int]:
    """Addresses in the kernel of that name: in its image, and in a module."""
    with open("/proc/kallsyms") as file:
        return [int(words[0], 16) for words in map(str.split, file) if words[2] == name]


def _request(number: int, size: int, direction: int = 3) -> int:
    """The number of an ioctl of uapi/asm/sgx.h."""
    return direction << 30 | size << 16 | 0xA4 << 8 | number


class Driver:
    """Enclaves of the kernel's own driver, over `testbed/kernel/epcm.c`."""

    _CREATE, _ADD, _INIT = _request(0, 8, 1), _request(1, 48), _request(2, 8, 1)
    _PROVISION, _TYPES, _REMOVE = _request(3, 8, 1), _request(6, 40), _request(7, 24)
    REMOVE_ALL = _request(4, 0, 0)  # of a guest's EPC
    _DEBUG, _64BIT, _REGULAR, _TRIM, _RIGHTS = 2, 4, 2 << 8, 4, 3
    _MOST = 256  # pages that are added at once

    pages = 4096

    def free_at(self) -> int:
        return _symbols("sgx_nr_free_pages")[1]  # The first is that of the kernel's image, which found no SGX.

    def __init__(self) -> None:
        self._reclaimer = next(stat for stat in Path("/proc").glob("[0-9]*/stat") if "(ksgxd)" in stat.read_text())
        self._sources, self._text = memory.anonymous(self._MOST), memory.anonymous(1)

    def rests(self) -> bool:
        return self._reclaimer.read_text().split()[2] == "S"

    def create(self, number: int, pages: int = 1 << 16, *, debug: bool = False) -> Enclave:
        enclave = Enclave(os.open(ENCLAVE, os.O_RDWR | os.O_CLOEXEC), (number + 1) * ROOM, pages * PAGE)
        attributes = self._64BIT | (self._DEBUG if debug else 0)
        secs = struct.pack("<QQII24xQQ", enclave.size, enclave.base, 1, 0, attributes, 3)
        memory.fill(self._text, secs.ljust(PAGE, b"\0"))
        memory.control(enclave.descriptor, self._CREATE, bytearray(struct.pack("<Q", self._text)))
        return enclave

    def add(self, enclave: Enclave, first: int, pages: int) -> None:
        memory.fill(self._text, struct.pack("<Q56x", self._REGULAR | self._RIGHTS))
        for page in range(first, first + pages, self._MOST):
            size = min(self._MOST, first + pages - page) * PAGE
            asked = struct.pack("<6Q", self._sources, page * PAGE, size, self._text, 0, 0)
            memory.control(enclave.descriptor, self._ADD, bytearray(asked))

    def initialise(self, enclave: Enclave) -> None:
        """EINIT, by a SIGSTRUCT of zeros: the software EPCM asks for no signature."""
        memory.fill(self._text, bytes(PAGE))
        memory.control(enclave.descriptor, self._INIT, bytearray(struct.pack("<Q", self._text)))

    def trim(self, enclave: Enclave, first: int, pages: int) -> None:
        """EMODT to PT_TRIM."""
        asked = struct.pack("<5Q", first * PAGE, pages * PAGE, self._TRIM, 0, 0)
        memory.control(enclave.descriptor, self._TYPES, bytearray(asked))

    def remove(self, enclave: Enclave, first: int, pages: int) -> None:
        """The enclave accepts what was trimmed, and the driver takes it away."""
        with open("/proc/sgx_epcm", "w") as file:
            file.write(f"{enclave.base:x} {first} {pages}")
        memory.control(enclave.descriptor, self._REMOVE, bytearray(struct.pack("<3Q", first * PAGE, pages * PAGE, 0)))

    def provision(self, enclave: Enclave, descriptor: int) -> None:
        """Allow the provision key, by a descriptor of its device."""
        memory.control(enclave.descriptor, self._PROVISION, bytearray(struct.pack("<Q", descriptor)))

    def truth(self) -> Said:
        enclaves: dict[int, tuple[int, int]] = {}
        guests: dict[int, int] = {}
        totals: dict[str, int] = {}
        for line in self._lines():
            match line.split():
                case ["enclave", base, children]:
                    enclaves[int(base, 16)] = int(children), 1
                case ["guest", address, pages]:
                    guests[int(address, 16)] = int(pages)
                case [name, count]:
                    totals[name] = int(count)
        said = Said(enclaves, guests, totals["va"], totals["evicted"])
        if said.used - sum(guests.values()) != totals["valid"]:
            raise AssertionError(f"the EPCM has {totals['valid']} valid pages and lists {said}")
        return said

    def counted(self, leaf: str) -> int:
        """How often a leaf of ENCLS succeeded."""
        return next(int(line.split()[1]) for line in self._lines() if line.startswith(f"{leaf} "))

    def told(self, read: EnclavePass) -> Said:
        return meter_said(read, by_base=True)

    @staticmethod
    def _lines() -> list[str]:
        with open("/proc/sgx_epcm") as file:
            return file.read().splitlines()
