"""Memory that is free goes back to the system."""

import subprocess
import sys

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
