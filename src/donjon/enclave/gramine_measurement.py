"""MRENCLAVE of an enclave of Gramine: its libpal.so, its manifest, and the pages that its loader makes beside them.

Source: gramineproject/gramine v1.9, `python/graminelibos/sgx_sign.py` (its signer) and `pal/src/host/linux-sgx/host_main.c` (its
loader), `pal_linux_defs.h`, `pal_tcb.h`; both build alike from v1.6 on.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from donjon.enclave.building import EXECUTE, READ, REGULAR, TCS, WRITE, EnclavePage, pages_of
from donjon.enclave.elf import ElfProgram, read_elf
from donjon.enclave.linkage import read_links
from donjon.enclave.measurement import MAX_CONTENT_PAGES, PAGE, Measurement
from donjon.errors import Malformed

MAX_THREADS = 4096
MAX_SIZE = 1 << 41

V1_9: Mapping[str, int] = {
    "SSA_FRAME_SIZE": 4 * PAGE,
    "SSA_FRAME_NUM": 2,
    "ENCLAVE_STACK_SIZE": 64 * PAGE,
    "ENCLAVE_SIG_STACK_SIZE": 16 * PAGE,
    "MMAP_MIN_ADDR": 0x10000,  # where the heap begins
    "DEFAULT_ENCLAVE_BASE": 0,
    "SGX_GPR_SIZE": 0xB8,
    "STACK_PROTECTOR_CANARY_DEFAULT": 0xBADBADBADBAD,
    "SGX_COMMON_SELF": 0,  # from here on, places within a thread's own page
    "SGX_COMMON_STACK_PROTECTOR_CANARY": 8,
    "SGX_ENCLAVE_SIZE": 0x110,
    "SGX_TCS_OFFSET": 0x118,
    "SGX_INITIAL_STACK_ADDR": 0x120,
    "SGX_SIG_STACK_LOW": 0x130,
    "SGX_SIG_STACK_HIGH": 0x138,
    "SGX_SSA": 0x148,
    "SGX_GPR": 0x150,
    "SGX_MANIFEST_SIZE": 0x1A0,
    "SGX_HEAP_MIN": 0x1A8,
    "SGX_HEAP_MAX": 0x1B0,
}
"""What Gramine v1.6 to v1.9 build with; a build writes its own down in `_graminelibos_offsets.py`."""
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*) = (0x[0-9a-f]{1,16})$", re.MULTILINE | re.ASCII)
_TCS = struct.Struct("<16xQIIQ8xQQII")  # OSSA, CSSA, NSSA, OENTRY, OFSBASE, OGSBASE and the two limits
_LIMIT = 0xFFF
_RW = READ | WRITE | REGULAR


@dataclass(frozen=True, slots=True, kw_only=True)
class GramineEnclave:
    """What decides an enclave's size and shape."""

    size: int  # bytes
    threads: int
    edmm: bool  # its heap's pages are added later, and no record of them is measured


def read_offsets(text: str) -> Mapping[str, int]:
    """What a build of Gramine wrote down; raises `Malformed` DJ398 where it lacks something, or says what cannot be."""
    there = {name: int(number, 16) for name, number in _LINE.findall(text)}
    lacks = sorted(set(V1_9) - set(there))
    if lacks:
        raise Malformed("DJ398", f"Gramine's offsets lack {lacks[0]}: it is of a version that Donjon does not know")
    offsets = {name: there[name] for name in V1_9}
    sizes = [offsets[name] for name in ("SSA_FRAME_SIZE", "ENCLAVE_STACK_SIZE", "ENCLAVE_SIG_STACK_SIZE")]
    within = [number for name, number in offsets.items() if name.startswith("SGX_")]
    if any(each % PAGE or each > MAX_SIZE for each in sizes) or max(within) > PAGE - 8 or not 0 < offsets["SSA_FRAME_NUM"] < PAGE:
        raise Malformed("DJ398", "Gramine's offsets say sizes that no enclave has")
    return offsets


def measure_gramine(manifest: bytes, pal: bytes, enclave: GramineEnclave, offsets: Mapping[str, int] = V1_9) -> bytes:
    """MRENCLAVE as Gramine's signer and its loader make it; raises `Malformed` DJ398 for what neither takes, and DJ310."""
    if not 0 < enclave.threads <= MAX_THREADS or not 0 < enclave.size <= MAX_SIZE or enclave.size & (enclave.size - 1):
        raise Malformed("DJ398", f"an enclave of {enclave.size} bytes and {enclave.threads} threads")
    places = _Places(manifest + b"\0", read_elf(pal), read_links(pal).entry, enclave, offsets)
    measurement = Measurement(enclave.size, offsets["SSA_FRAME_SIZE"] // PAGE)
    for page in places.pages(pal):
        measurement.add(page.offset, page.flags, page.content, times=page.times, extend=page.extend)
    return measurement.mr_enclave


class _Places:
    """Where everything is: from the enclave's end downwards, libpal.so last; between it and the beginning is the heap."""

    def __init__(
        self, manifest: bytes, program: ElfProgram, entry: int, enclave: GramineEnclave, offsets: Mapping[str, int]
    ) -> None:
        self.manifest, self.program, self.entry, self.enclave, self.of = manifest, program, entry, enclave, offsets
        self.base = offsets["DEFAULT_ENCLAVE_BASE"]
        self.end = self.base + enclave.size
        threads, self.frames = enclave.threads, offsets["SSA_FRAME_SIZE"] * offsets["SSA_FRAME_NUM"]
        self.manifest_at = self._take(len(manifest))
        self.ssa = self._take(threads * self.frames)
        self.tcs = self._take(threads * PAGE)
        self.tls = self._take(threads * PAGE)
        self.stacks = [self._take(offsets["ENCLAVE_STACK_SIZE"]) for _ in range(threads)]
        self.sig_stacks = [self._take(offsets["ENCLAVE_SIG_STACK_SIZE"]) for _ in range(threads)]
        low = min((each.address // PAGE * PAGE for each in program.segments), default=0)
        high = max((each.address + each.size for each in program.segments), default=0)
        if low:
            raise Malformed("DJ398", f"a libpal.so that is linked to the address {low:#x}, which none of Gramine's is")
        self.pal = self._take(high)
        if self.end < offsets["MMAP_MIN_ADDR"] or sum(each.size for each in program.segments) > enclave.size:
            raise Malformed("DJ398", f"an enclave of {enclave.size} bytes is too small for Gramine, its threads and its manifest")
        if self.base + enclave.size - self.end > MAX_CONTENT_PAGES * PAGE:
            raise Malformed("DJ398", f"Gramine, its threads and its manifest take more than {MAX_CONTENT_PAGES} pages")

    def _take(self, size: int) -> int:
        self.end -= -(-size // PAGE) * PAGE
        return self.end

    def pages(self, pal: bytes) -> Iterator[EnclavePage]:
        """Every page in the order in which it is added."""
        yield from pages_of(self.manifest, self.manifest_at - self.base, 0, READ | REGULAR)
        yield from self._zeros(self.ssa, self.enclave.threads * self.frames)
        for thread in range(self.enclave.threads):
            yield EnclavePage(self.tcs - self.base + thread * PAGE, TCS, self._control(thread))
        for thread in range(self.enclave.threads):
            yield EnclavePage(self.tls - self.base + thread * PAGE, _RW, self._local(thread))
        for stacks, size in ((self.stacks, self.of["ENCLAVE_STACK_SIZE"]), (self.sig_stacks, self.of["ENCLAVE_SIG_STACK_SIZE"])):
            for stack in stacks:
                yield from self._zeros(stack, size)
        for segment in self.program.segments:
            flags = REGULAR | READ * segment.readable | WRITE * segment.writable | EXECUTE * segment.executable
            data = pal[segment.offset : segment.offset + segment.file_size]
            yield from pages_of(data, self.pal + segment.address - self.base, segment.size, flags)
        if not self.enclave.edmm:
            heap = self.of["MMAP_MIN_ADDR"]
            yield from self._zeros(heap, self.end - heap, READ | WRITE | EXECUTE | REGULAR, extend=False)

    def _zeros(self, address: int, size: int, flags: int = _RW, *, extend: bool = True) -> Iterator[EnclavePage]:
        if size:
            yield EnclavePage(address - self.base, flags, extend=extend, times=-(-size // PAGE))

    def _control(self, thread: int) -> bytes:
        ssa, tls = (self.ssa - self.base + thread * self.frames, self.tls - self.base + thread * PAGE)
        entry = self.pal + self.entry - self.base
        return _TCS.pack(ssa, 0, self.of["SSA_FRAME_NUM"], entry, 0, tls, _LIMIT, _LIMIT).ljust(PAGE, b"\0")

    def _local(self, thread: int) -> bytes:
        """A thread's own page: where its stacks, its frames, the manifest and the heap are."""
        ssa = self.ssa + thread * self.frames
        fields = {
            "SGX_COMMON_SELF": self.tls + thread * PAGE,
            "SGX_COMMON_STACK_PROTECTOR_CANARY": self.of["STACK_PROTECTOR_CANARY_DEFAULT"],
            "SGX_ENCLAVE_SIZE": self.enclave.size,
            "SGX_TCS_OFFSET": self.tcs - self.base + thread * PAGE,
            "SGX_INITIAL_STACK_ADDR": self.stacks[thread] + self.of["ENCLAVE_STACK_SIZE"],
            "SGX_SIG_STACK_LOW": self.sig_stacks[thread],
            "SGX_SIG_STACK_HIGH": self.sig_stacks[thread] + self.of["ENCLAVE_SIG_STACK_SIZE"],
            "SGX_SSA": ssa,
            "SGX_GPR": ssa + self.of["SSA_FRAME_SIZE"] - self.of["SGX_GPR_SIZE"],
            "SGX_MANIFEST_SIZE": len(self.manifest),
            "SGX_HEAP_MIN": self.of["MMAP_MIN_ADDR"],
            "SGX_HEAP_MAX": self.pal,
        }
        page = bytearray(PAGE)
        for name, value in fields.items():
            struct.pack_into("<Q", page, self.of[name], value)
        return bytes(page)
