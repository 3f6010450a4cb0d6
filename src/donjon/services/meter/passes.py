"""One pass after the other, each in a thread that may be left behind.

A process that sits on the lock of its memory map keeps whoever reads it waiting, as it keeps ps(1). The meter says so and answers
on; the next pass begins when that one has ended, since two at a time would share the state of their walks.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import TypeVar

from donjon.errors import Unavailable

T = TypeVar("T")


class PassThread:
    """Does one thing at a time beside the event loop; none of it holds up the program's end."""

    def __init__(self) -> None:
        self._is_over = Event()
        self._is_over.set()

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """What the work gives; raises `Unavailable` DJ707 where it takes longer, or what was begun before still runs."""
        if not self._is_over.is_set():
            raise Unavailable("DJ707", "meter: the last pass has not ended yet: a process keeps its memory map from being read")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        self._is_over.clear()
        Thread(target=self._work, args=(loop, outcome, work), name="pass", daemon=True).start()
        try:
            return await asyncio.wait_for(outcome, seconds)
        except TimeoutError as error:
            raise Unavailable("DJ707", f"meter: a pass takes longer than {seconds:g} s") from error

    def _work(self, loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T], work: Callable[[], T]) -> None:
        def tell(result: T | None, error: Exception | None) -> None:
            if outcome.done():
                return  # Nobody waits for it any more.
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)  # type: ignore[arg-type] # There is one where there is no error.

        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where it was waited for.
            failure = error
        self._is_over.set()
        with suppress(RuntimeError):  # The program ended meanwhile.
            loop.call_soon_threadsafe(tell, result, failure)
