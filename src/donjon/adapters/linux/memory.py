"""What a process keeps of the memory that it no longer uses."""

import ctypes


def give_back() -> None:
    """Free memory goes back to the system, a few milliseconds; other C libraries than glibc are left to themselves.

    glibc keeps what lies free between parts that live, and after a crowd of connections that is most of what they took
    (malloc_trim(3)).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
