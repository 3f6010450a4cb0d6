"""Whether the database does what is needed of it: asked beside everything else, so that nobody waits for one that does not."""

import asyncio
import logging

from donjon.adapters.logs import say
from donjon.adapters.storage.database import Database
from donjon.errors import Unavailable

LOG = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds
PATIENCE = 3.0  # seconds


class DatabaseHealth:
    """Whether the database answered last time; a service starts with one that has."""

    def __init__(self, database: Database, *, writing: bool) -> None:
        """`writing`: nothing is answered that cannot be recorded, so one that takes nothing is as good as none."""
        self._database, self._writing = database, writing
        self.trouble: Unavailable | None = None

    async def look(self) -> None:
        """Ask now; one that does not answer in time is away."""
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.to_thread(self._database.look, writing=self._writing)
        except Unavailable as error:
            self._update(error)
        except TimeoutError:
            self._update(Unavailable("DJ502", f"database: no answer within {PATIENCE:.0f} s"))
        else:
            self._update(None)

    async def look_now_and_then(self) -> None:
        """Ask every two seconds, for as long as the service runs."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    def _update(self, error: Unavailable | None) -> None:
        if error is not None and self.trouble is None:
            say(LOG, "database away", level=logging.ERROR, code=error.code, error=error.message)
        if error is None and self.trouble is not None:
            say(LOG, "database back")
        self.trouble = error
