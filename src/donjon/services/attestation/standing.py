"""Whether the database answers: asked beside everything else, so that nobody waits for one that does not."""

import asyncio

from donjon.adapters.storage.database import Database

LOOK_EVERY = 2.0  # seconds
PATIENCE = 3.0  # seconds


class Standing:
    """What was found last; a service starts with a database that has answered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.good = True

    async def look(self) -> None:
        """Ask now; one that does not answer in time is away."""
        try:
            async with asyncio.timeout(PATIENCE):
                self.good = await asyncio.to_thread(self._database.answers)
        except TimeoutError:
            self.good = False

    async def look_now_and_then(self) -> None:
        """For as long as the service runs."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)
