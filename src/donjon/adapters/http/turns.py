"""What takes long on the event loop is done one at a time, the sites in turn, and whatever else waits goes between.

A review of a hostile pod takes a second or two. Were all that have come answered in one go, nobody would answer the kubelet's
probes meanwhile; were they answered as they came, whoever sends most would be answered most.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """The lines of all sites. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        self._busy = False

    @asynccontextmanager
    async def turn(self, site: str) -> AsyncIterator[None]:
        """A block that runs alone."""
        if self._busy:
            await self._wait(site)
        self._busy = True
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._pass_on)

    async def _wait(self, site: str) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(site, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # The turn has come, and nobody is there to take it.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """To the first of the site whose turn it is, which is the last site from then on."""
        self._busy = False
        while self._lines:
            site = next(iter(self._lines))
            line = self._lines.pop(site)
            mine = line.popleft()
            if line:
                self._lines[site] = line
            if not mine.done():
                self._busy = True
                mine.set_result(None)
                return
