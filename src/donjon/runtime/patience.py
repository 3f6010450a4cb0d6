"""Going on while the API server or the kubelet is away: tried again within two seconds, logged once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from donjon.errors import Unavailable
from donjon.runtime.trouble import Trouble

LOG = logging.getLogger(__name__)

PAUSE = 30.0  # seconds


class Patience(Trouble):
    """Does again and again what may fail, and logs one line when it begins to fail and one when it works again."""

    async def forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work again and again, whether it ended or failed."""
        while True:
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(Unavailable),
                wait=wait_exponential_jitter(multiplier=0.2, max=2, jitter=0.2),
                before_sleep=lambda state: self.report(_unavailable(state.outcome.exception() if state.outcome else None)),
            )
            async for attempt in retrying:
                with attempt:
                    await work()


async def beside(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work as long as the agent runs, with a pause after every failure of whatever kind.

    For work that the agent can do without: what fails in it must not take the rest with it.
    """
    while True:
        try:
            await work()
        except Exception:
            LOG.exception("%s failed; it is begun anew in %.0f s, and the rest goes on", what, PAUSE)
        await asyncio.sleep(PAUSE)


def _unavailable(error: BaseException | None) -> Unavailable:
    return error if isinstance(error, Unavailable) else Unavailable("DJ041", "gone")
