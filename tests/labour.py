"""How long a computation takes, where a bound is held."""

from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path

from donjon.adapters import clock


def least_labour(work: Callable[[], object], enough: float) -> float:
    """The least seconds of the processor that it took, of three times, or of fewer if one of them was `enough`.

    The garbage of other tests is collected in one of them at most, and a processor that others share is slow now and then.
    """
    least = inf
    for _ in range(3):
        began = clock.labour()
        work()
        least = min(least, clock.labour() - began)
        if least < enough:
            break
    return least


def queued() -> float:
    """Seconds for which this process's threads could have run so far and did not, for others had the processors (proc(5))."""
    waited = 0
    for each in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # A thread may end while it is looked at.
            waited += int(each.read_text("ascii").split()[1])
    return waited / 1e9
