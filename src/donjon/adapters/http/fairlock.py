"""A lock that those who share a key take in line, the keys in turn: whoever comes most often does not keep others waiting.

What takes long on the event loop is done under it, one at a time, and whatever else waits goes between. A review of a hostile pod
takes a second or two: were all that have come answered in one go, nobody would answer the kubelet's probes meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairLock:
    """The lines of all keys: sites, or instances. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._busy = False

    def waiting(self, key: Hashable) -> int:
        """How many stand in that line."""
        return len(self._lines.get(key, ()))

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """A block that runs alone."""
        if self._busy:
            await self._wait(key)
        self._busy = True
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._pass_on)

    async def _wait(self, key: Hashable) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(key, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # The turn has come, and nobody is there to take it.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """To the first in line of the key whose turn it is, which is the last key from then on."""
        self._busy = False
        while self._lines:
            key = next(iter(self._lines))
            line = self._lines.pop(key)
            mine = line.popleft()
            if line:
                self._lines[key] = line
            if not mine.done():
                self._busy = True
                mine.set_result(None)
                return
