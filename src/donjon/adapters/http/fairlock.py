"""A lock that those who share a key take in line, the keys in turn: whoever comes most often does not keep others waiting.

What takes long on the event loop is done under it, one at a time, and whatever else waits goes between. A review of a hostile pod
takes a second or two: were all that have come answered in one go, nobody would answer the kubelet's probes meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Crowded(Exception):
    """Somebody of a site that takes less has come, and there was no room for both."""


class _Line:
    """Who waits under one key: of each site in the order in which they came, the sites in turn. There is always one."""

    def __init__(self) -> None:
        self._sites: dict[str, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._sites.values()))

    def add(self, site: str, mine: asyncio.Future[None]) -> None:
        self._sites.setdefault(site, deque()).append(mine)

    def first(self) -> asyncio.Future[None]:
        """Taken out; the site is the last from then on."""
        site = next(iter(self._sites))
        waiting = self._sites.pop(site)
        mine = waiting.popleft()
        if waiting:
            self._sites[site] = waiting
        return mine

    def newest_of_most(self, site: str) -> asyncio.Future[None] | None:
        """Taken out of the site that takes most, if it then still takes as much as this one would."""
        most = max(self._sites.values(), key=len)
        return most.pop() if len(most) > len(self._sites.get(site, ())) + 1 else None


class FairLock:
    """The lines of all keys: sites, or instances and their sites. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}
        self._busy = False

    def waiting(self, key: Hashable) -> int:
        """How many stand in that line."""
        return len(self._lines.get(key, ()))

    def make_room(self, key: Hashable, site: str) -> bool:
        """Turn the newest away of the site that takes most of a line; `False` where none takes more than this one would."""
        if (newest := self._lines[key].newest_of_most(site)) is None:
            return False
        if not newest.done():
            newest.set_exception(Crowded)
        return True

    @asynccontextmanager
    async def turn(self, key: Hashable, site: str = "") -> AsyncIterator[None]:
        """A block that runs alone; raises `Crowded` where `make_room` turned this one away."""
        if self._busy:
            await self._wait(key, site)
        self._busy = True
        try:
            yield
        finally:
            asyncio.get_running_loop().call_soon(self._pass_on)

    async def _wait(self, key: Hashable, site: str) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(key, _Line()).add(site, mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled() and mine.exception() is None:  # The turn has come, and nobody is there to take it.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """To the first in line of the key whose turn it is, which is the last key from then on."""
        self._busy = False
        while self._lines:
            key = next(iter(self._lines))
            line = self._lines.pop(key)
            mine = line.first()
            if line:
                self._lines[key] = line
            if not mine.done():
                self._busy = True
                mine.set_result(None)
                return
