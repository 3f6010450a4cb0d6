"""Memory that is free goes back to the system."""

import gc
import subprocess
import sys
from contextlib import suppress

from donjon.adapters.interpreter import pause_collection

PROGRAM = """
import ctypes, sys
from donjon.adapters.linux.memory import give_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
parts = []
for number in range(40_000):
    parts.append(libc.malloc(2000))
    ctypes.memset(parts[-1], 1, 2000)
for number, part in enumerate(parts):
    if number % 100:  # One of a hundred lives on.
        libc.free(part)
before = resident()
give_back()
print(before - resident())
"""


def test_what_lies_free_between_parts_that_live_goes_back() -> None:
    program = [sys.executable, "-c", "import ctypes\n" + PROGRAM]
    given = int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)
    assert given > 60 << 20  # Of 80 MB.


def test_nothing_is_looked_through_until_the_end_of_a_block_whatever_ends_it() -> None:
    looks: list[str] = []

    def look(phase: str, _info: dict[str, int]) -> None:
        looks.append(phase)

    gc.callbacks.append(look)
    try:
        with suppress(ZeroDivisionError), pause_collection():
            looks.clear()
            made = [[number] for number in range(100_000)]
            during = len(looks)
            _ = 1 / 0
        made += [[number] for number in range(10_000)]
    finally:
        gc.callbacks.remove(look)
    assert (during, len(looks) > 0) == (0, True)
