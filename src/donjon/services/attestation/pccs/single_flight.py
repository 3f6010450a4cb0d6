"""What is being fetched, each thing once however many want it; what failed a moment ago is left alone for a while."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from donjon.collateral.plan import Absent
from donjon.errors import DonjonError, Unavailable

AGAIN, AGAIN_ABSENT = 5.0, 60.0  # seconds until an upstream that failed, or that had none, is asked again for the same
MAX_FAILURES = 4096  # as many are remembered
MAX_UNDER_WAY = 256  # things that nobody asked for before; the upstream is asked for a few of them at once

T = TypeVar("T")


class Fetches(Generic[T]):
    """The fetches of one kind of thing, by the name of each."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        """The clock is one that only goes on."""
        self._seconds = seconds
        self._failures: dict[str, tuple[float, DonjonError]] = {}  # until when
        self._under_way: dict[str, asyncio.Task[T]] = {}

    async def wait(self, name: str, fetch: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What is fetched; raises what fetching raises, or raised a moment ago."""
        if (failure := self.failure(name)) is not None:
            raise _without_trace(failure)
        return await asyncio.shield(self.begin(name, fetch))

    def check_room(self, name: str) -> None:
        """Raises `Unavailable` DJ518 where too much is under way to begin with something new."""
        if len(self._under_way) >= MAX_UNDER_WAY and name not in self._under_way and self.failure(name) is None:
            raise Unavailable("DJ518", f"collateral: {MAX_UNDER_WAY} things are being fetched already; try again")

    def failure(self, name: str) -> DonjonError | None:
        """The error with which it failed a moment ago, if it did."""
        until, error = self._failures.get(name, (0.0, None))
        return error if until > self._seconds() else None

    def begin(self, name: str, fetch: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The task that fetches it, begun unless it is under way."""
        if name not in self._under_way:
            task = asyncio.create_task(self._fetch_remembering(name, fetch))
            task.add_done_callback(lambda finished: self._finish(name, finished))
            self._under_way[name] = task
        return self._under_way[name]

    def forget(self, name: str | None = None) -> None:
        """Forget how it failed, or how anything did, so that it is fetched again at once."""
        if name is None:
            self._failures.clear()
        else:
            self._failures.pop(name, None)

    async def close(self) -> None:
        """Cancel the fetches that are under way."""
        for task in tuple(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _fetch_remembering(self, name: str, fetch: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await fetch()
        except DonjonError as error:
            self._failures.pop(name, None)
            while len(self._failures) >= MAX_FAILURES:
                del self._failures[next(iter(self._failures))]
            until = self._seconds() + (AGAIN_ABSENT if isinstance(error, Absent) else AGAIN)
            self._failures[name] = until, _without_trace(error)
            raise

    def _finish(self, name: str, task: asyncio.Task[T]) -> None:
        self._under_way.pop(name, None)
        if not task.cancelled():
            task.exception()  # Whoever waits has it; where nobody does, it was told already.


def _without_trace(error: DonjonError) -> DonjonError:
    """The same without its trace, which holds the whole exchange with the upstream: 20 KiB of each that strangers make fail."""
    return type(error)(error.code, error.message)
