"""In the guest: the system calls that Python has no function for."""

import ctypes
import fcntl
import os

PAGE = 4096
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS = 1, 2, 0x10, 0x20  # sys/mman.h
READ, WRITE = 1, 2
NEW_PID_NAMESPACE = 0x20000000
NEW_USER_NAMESPACE = 0x10000000
OWN_DESCRIPTORS = 0x400
_EXIT, _RING_SETUP, _RING_REGISTER = 60, 425, 427  # asm/unistd_64.h
_RING_FILES = 2  # linux/io_uring.h, IORING_REGISTER_FILES

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_FAILED = ctypes.c_void_p(-1).value


def map_at(descriptor: int, address: int, pages: int) -> None:
    """Map the start of a device at an address."""
    if _libc.mmap(address, pages * PAGE, READ | WRITE, _SHARED | _FIXED, descriptor, 0) == _FAILED:
        raise OSError(ctypes.get_errno(), f"mmap of {pages} pages at {address:#x}")


def anonymous(pages: int) -> int:
    """Memory of this process's own, at an address that stays."""
    address: int = _libc.mmap(None, pages * PAGE, READ | WRITE, _PRIVATE | _ANONYMOUS, -1, 0)
    return address


def fill(address: int, data: bytes) -> None:
    """Write there."""
    ctypes.memmove(address, data, len(data))


def unmap(address: int, pages: int) -> None:
    """Take a mapping away."""
    _done(_libc.munmap(address, pages * PAGE), "munmap")


def protect(address: int, pages: int, rights: int) -> None:
    """Change the rights of pages, which cuts areas in two."""
    _done(_libc.mprotect(address, pages * PAGE, rights), "mprotect")


def touch(address: int, pages: range | list[int]) -> None:
    """Write a byte to each of these pages."""
    for page in pages:
        ctypes.c_char.from_address(address + page * PAGE).value = b"x"


def unshare(flags: int) -> None:
    """Leave namespaces."""
    _done(_libc.unshare(flags), "unshare")


def ring_with(descriptor: int) -> int:
    """A ring of io_uring that keeps this file, whoever closes it."""
    parameters = (ctypes.c_uint8 * 120)()
    ring: int = _libc.syscall(_RING_SETUP, 1, parameters)
    files = (ctypes.c_int * 1)(descriptor)
    _done(min(ring, 0), "io_uring_setup")
    _done(_libc.syscall(_RING_REGISTER, ring, _RING_FILES, files, 1), "io_uring_register")
    return ring


def end_this_thread() -> None:
    """End this thread alone, be it the main one."""
    _libc.syscall(_EXIT, 0)


def control(descriptor: int, request: int, argument: bytearray | None = None) -> int:
    """ioctl on a structure that the kernel may write to, or without one."""
    return fcntl.ioctl(descriptor, request, 0 if argument is None else argument)


def incore(address: int, pages: int) -> int:
    """How many of these pages mincore(2) says are in memory."""
    vector = (ctypes.c_ubyte * pages)()
    _done(_libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(pages * PAGE), vector), "mincore")
    return sum(value & 1 for value in vector)


def pagemap(address: int, pages: int) -> list[int]:
    """The words of /proc/self/pagemap for these pages."""
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        data = os.pread(file.fileno(), pages * 8, address // PAGE * 8)
    return list(memoryview(data).cast("Q"))


def _done(code: int, name: str) -> None:
    if code != 0:
        raise OSError(ctypes.get_errno(), name)
