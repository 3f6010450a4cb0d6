"""Which serving certificate new connections are shown: what is amiss with it is told in the log once, and to whoever asks."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from donjon.adapters.http.folder import FolderContexts
from donjon.findings import Finding
from donjon.pki.serving import appraise
from donjon.runtime.probes import serving_caveat
from donjon.runtime.trouble import Caution

LOOK_EVERY = 5.0  # seconds


class CertificateWatch:
    """Looks at the folder's certificate, also while nobody connects."""

    def __init__(self, contexts: FolderContexts | None, now: Callable[[], datetime]) -> None:
        """There is none to look at without TLS."""
        self._contexts, self._now = contexts, now
        self._caution = Caution()

    def finding(self) -> Finding | None:
        """What is amiss with the dates of the one in use."""
        return None if self._contexts is None else appraise(self._contexts.window, self._now())

    def caveat(self) -> str:
        """The same for strangers, and whether other files wait that cannot be taken; nothing where all is well."""
        return "" if self._contexts is None else serving_caveat(self._contexts.fault, self.finding())

    def look(self) -> None:
        """Tell the log what is amiss, once."""
        self._caution.tell("certificate", self.finding())

    async def look_now_and_then(self) -> None:
        """Look for as long as the service runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()
