"""Work of instances that may take long (policies are read and evaluated), beside the event loop, each line of it in its turn.

One thread does it, a piece at a time: Python would not do two pieces faster, and whoever waits for the interpreter's lock then
waits for one thread only. Lines take turns, so that a flood in one of them delays a piece of another by one piece; so do the
sites in a line, and where it is full, the one that takes most of it gives way. Nothing else is done there, the database's work
least of all.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import TypeVar

from donjon.adapters.http.fairlock import Crowded, FairLock
from donjon.adapters.interpreter import pause_collection
from donjon.errors import Unavailable

MAX_WAITING = 64  # pieces in one line; each takes a fifth of a second at most, or most of one where the largest policy is read

T = TypeVar("T")


class Line(StrEnum):
    """What an instance's work is for: who sets a policy does not wait behind those who have it applied."""

    ATTEST = "attest"
    DRAFT = "draft"
    CHANGE = "change"


class Turns:
    """The lines of all instances. For the event loop's thread alone."""

    def __init__(self, executor: Executor | None = None) -> None:
        """`executor` does one piece at a time."""
        self._executor = executor or ThreadPoolExecutor(1, "policies")
        self._lock = FairLock()

    async def take(self, instance: str, line: Line, work: Callable[[], T], site: str = "") -> T:
        """What the work returns or raises, when its turn has come; raises `Unavailable` DJ455 where too many wait in line.

        `site` is where it was asked for, as addresses are counted, if anybody may ask for it.
        """
        key = instance, line
        if self._lock.waiting(key) >= MAX_WAITING and not self._lock.make_room(key, site):
            raise _full(instance)
        try:
            async with self._lock.turn(key, site):
                return await asyncio.get_running_loop().run_in_executor(self._executor, partial(_run_uncollected, work))
        except Crowded as error:
            raise _full(instance) from error

    def close(self) -> None:
        """Stop: no piece of work begins any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _run_uncollected(work: Callable[[], T]) -> T:
    with pause_collection():
        return work()


def _full(instance: str) -> Unavailable:
    return Unavailable("DJ455", f"{instance}: {MAX_WAITING} wait for its policies to be read or evaluated; try again")
