"""What one pass of the meter takes, beside reading /proc/*/maps: 1,000 processes with some 100,000 areas, in the same run.

On a kernel without SGX the programs run all the same, over all areas and descriptors, with the number of a device that nobody
has: what is measured is the walk. With enclaves, a row is added for each and each of its processes. Needs root.
"""

import ctypes
import os
import resource
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from donjon.adapters.epc.reader import EnclaveReader

PROCESSES, FILES = 1_000, 10  # Each has some hundred areas of its own, as any program of Python has.
NOBODYS = (10, 255)  # MISC_DYNAMIC_MINOR, which no device bears
ROUNDS = 9
EVERY = 15.0  # seconds between passes
CHUNK = 1 << 20
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Print times, their ratio, and memory."""
    start = time.perf_counter()  # noqa: TID251 - this is what is measured.
    reader = EnclaveReader(enclaves=NOBODYS, guests=NOBODYS, free_at=0)
    load = time.perf_counter() - start  # noqa: TID251 - this is what is measured.
    with crowd():
        times, processor = [], []
        for _ in range(ROUNDS):
            own_start = time.process_time()
            times.append(seconds(reader.read))
            processor.append(time.process_time() - own_start)
        peer = [seconds(read_maps) for _ in range(ROUNDS)]
        count = read_maps()
    reader.close()
    meter, maps, share = statistics.median(times), statistics.median(peer), statistics.median(processor) / EVERY
    print(f"{processes()} processes, then with {PROCESSES} more: {count} areas")
    print(f"load            {load * 1e3:7.1f} ms   goal: at most 100")
    print(f"pass            {meter * 1e3:7.1f} ms   {min(times) * 1e3:.1f} to {max(times) * 1e3:.1f}")
    print(f"/proc/*/maps    {maps * 1e3:7.1f} ms   {min(peer) * 1e3:.1f} to {max(peer) * 1e3:.1f}, read and not parsed")
    print(f"ratio           {meter / maps:7.2f}      goal: at most 0.5")
    print(f"of one core     {share * 100:7.2f} %    at a pass in {EVERY:g} s; goal: at most 0.5")
    print(f"memory          {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.1f} MiB  the reader alone, at its peak")


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()  # noqa: TID251 - this is what is measured.
    work()
    return time.perf_counter() - start  # noqa: TID251 - this is what is measured.


def read_maps() -> int:
    """All areas of all processes, as whoever looks for the device's name has to read them."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                descriptor = os.open(f"/proc/{entry.name}/maps", os.O_RDONLY)
            except OSError:
                continue
            try:
                while data := os.read(descriptor, CHUNK):
                    count += data.count(b"\n")
            except OSError:
                pass  # It ended meanwhile.
            finally:
                os.close(descriptor)
    return count


def processes() -> int:
    """How many there are."""
    return sum(path.name.isdecimal() for path in Path("/proc").iterdir())


@contextmanager
def crowd() -> Iterator[None]:
    """Processes of this one, each with so many areas of its own and some open files."""
    reading, writing = os.pipe()
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            live(writing)
        children.append(child)
    for _ in children:
        os.read(reading, 1)
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


def live(writing: int) -> None:
    """A child: some files, and nothing to do."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for _ in range(FILES):
        os.dup(writing)
    os.write(writing, b"x")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
