"""How long a computation takes, where a bound is held."""

from collections.abc import Callable
from math import inf

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
