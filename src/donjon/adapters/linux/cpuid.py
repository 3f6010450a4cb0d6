"""CPUID: executed, for it needs no privilege; or read from a regular file that stands in for the processor.

The device /dev/cpu/0/cpuid is not used: an unprivileged container cannot open a device below a hostPath. The stand-in has the
device's layout (Linux Documentation: pread of 16 bytes at offset `subleaf << 32 | leaf` gives eax, ebx, ecx, edx).
"""

import ctypes
import mmap
import os
import platform
import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from donjon.node.readings import Reading
from donjon.sgx.cpuid import WANTED_LEAVES, Registers

_REGISTERS = struct.Struct("<4I")

# void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) in the System V calling convention.
_CPUID = bytes.fromhex(
    "53"  # push rbx, which the caller wants back
    "4989d0"  # mov r8, rdx
    "89f8"  # mov eax, edi
    "89f1"  # mov ecx, esi
    "0fa2"  # cpuid
    "418900"  # mov [r8], eax
    "41895804"  # mov [r8+4], ebx
    "41894808"  # mov [r8+8], ecx
    "4189500c"  # mov [r8+12], edx
    "5b"  # pop rbx
    "c3"  # ret
)

Leaves = Mapping[tuple[int, int], Registers]


def read_cpuid(root: Path) -> tuple[Reading[Leaves], bool]:
    """The leaves that speak of SGX, and whether a file stood in for the processor."""
    standin = root / "dev/cpu/0/cpuid"
    try:
        status = standin.lstat()
    except OSError:
        return _execute(), False
    return (_read(standin), True) if stat.S_ISREG(status.st_mode) else (_execute(), False)


def _read(standin: Path) -> Reading[Leaves]:
    source = f"stand-in file {standin}"
    try:
        descriptor = os.open(standin, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        return Reading[Leaves].unknown(f"{standin}: {error.strerror}", source=source)
    try:
        leaves = {(leaf, subleaf): _pread(descriptor, leaf, subleaf) for leaf, subleaf in WANTED_LEAVES}
    except OSError as error:
        return Reading[Leaves].unknown(f"{standin}: {error.strerror}", source=source)
    finally:
        os.close(descriptor)
    if not any(registers != Registers(0, 0, 0, 0) for registers in leaves.values()):
        return Reading[Leaves].unknown(f"{standin}: empty, expected 16 bytes at each leaf", source=source)
    return Reading.of(leaves, source=source)


def _pread(descriptor: int, leaf: int, subleaf: int) -> Registers:
    """The registers at a leaf; what lies past the end of the file is zero, as a hole in it is."""
    data = os.pread(descriptor, _REGISTERS.size, subleaf << 32 | leaf)
    return Registers(*_REGISTERS.unpack(data.ljust(_REGISTERS.size, b"\0")))


def _execute() -> Reading[Leaves]:
    source = "CPUID"
    if platform.machine() not in {"x86_64", "AMD64"}:
        return Reading[Leaves].of({}, source=f"processor {platform.machine()}, which has no CPUID")
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError as error:
        return Reading[Leaves].unknown(f"no executable memory for the instruction: {error.strerror}", source=source)
    page.write(_CPUID)
    anchor = ctypes.c_char.from_buffer(page)
    try:
        function = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(ctypes.addressof(anchor))
        return Reading.of({key: _call(function, *key) for key in WANTED_LEAVES}, source=source)
    finally:
        del anchor
        page.close()


def _call(function: Callable[..., None], leaf: int, subleaf: int) -> Registers:
    registers = (ctypes.c_uint32 * 4)()
    function(leaf, subleaf, ctypes.addressof(registers))
    return Registers(*registers)
