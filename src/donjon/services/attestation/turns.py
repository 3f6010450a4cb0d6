"""Work of instances that may take long (policies are read and evaluated), beside the event loop, each line of it in its turn.

One thread does it, a piece at a time: Python would not do two pieces faster, and whoever waits for the interpreter's lock then
waits for one thread only. Lines take turns, so that a flood in one of them delays a piece of another by one piece. Nothing else
is done there, the database's work least of all.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Generic, TypeVar, cast

from donjon.errors import Unavailable

MAX_WAITING = 64  # pieces in one line; each takes a fifth of a second at most

T = TypeVar("T")


class Line(StrEnum):
    """What an instance's work is for: who sets a policy does not wait behind those who have it applied."""

    ATTEST = "attest"
    DRAFT = "draft"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class _Piece(Generic[T]):
    """One that waits."""

    work: Callable[[], T]
    answer: asyncio.Future[T]


class Turns:
    """The lines of all instances. For the event loop's thread alone."""

    def __init__(self, executor: Executor | None = None) -> None:
        """`executor` does one piece at a time."""
        self._executor = executor or ThreadPoolExecutor(1, "policies")
        self._lines: dict[tuple[str, Line], deque[_Piece[object]]] = {}
        self._busy = False

    async def take(self, instance: str, line: Line, work: Callable[[], T]) -> T:
        """What the work returns or raises, when its turn has come; raises `Unavailable` DJ455 where too many wait in line."""
        waiting = self._lines.get((instance, line), ())
        if len(waiting) >= MAX_WAITING:
            raise Unavailable("DJ455", f"{instance}: {len(waiting)} wait for its policies to be read or evaluated; try again")
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._lines.setdefault((instance, line), deque()).append(_Piece(work, answer))
        self._go_on()
        return cast("T", await answer)

    def close(self) -> None:
        """Begin nothing more."""
        self._lines.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _go_on(self) -> None:
        if self._busy or (piece := self._next()) is None:
            return
        self._busy = True
        running = asyncio.get_running_loop().run_in_executor(self._executor, piece.work)
        running.add_done_callback(partial(self._pass_on, piece))

    def _next(self) -> _Piece[object] | None:
        """The first of the line whose turn it is, which is the last line from then on; whose caller has gone is passed over."""
        while self._lines:
            line = next(iter(self._lines))
            waiting = self._lines.pop(line)
            piece = waiting.popleft()
            if waiting:
                self._lines[line] = waiting
            if not piece.answer.done():
                return piece
        return None

    def _pass_on(self, piece: _Piece[object], done: asyncio.Future[object]) -> None:
        self._busy = False
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            piece.answer.cancel()
        elif not piece.answer.done():
            if error is None:
                piece.answer.set_result(done.result())
            else:
                piece.answer.set_exception(error)
        self._go_on()
