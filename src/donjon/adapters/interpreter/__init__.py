"""What is set of the Python that runs us, so that what threads do keeps an event loop waiting as little as it allows."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH = 1e-3  # seconds after which a thread that computes lets others go on


def spare_the_loop() -> None:
    """For a program that has imported all that it needs: a full collection would look at that again and again, 120 ms each."""
    sys.setswitchinterval(SWITCH)
    gc.freeze()


@contextmanager
def pause_collection() -> Iterator[None]:
    """Nothing is looked through for cycles until the end of the block, which takes at most a second.

    Whoever makes a hundred thousand objects in a thread makes Python look at all of them, 90 ms in which no thread goes on, the
    event loop's neither; and what they leave is found as well afterwards.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
