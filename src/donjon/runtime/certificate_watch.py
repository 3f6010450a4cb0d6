"""Which serving certificate new connections are shown: what is amiss with it is told in the log once, and to whoever asks."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from donjon.errors import DonjonError
from donjon.findings import Finding
from donjon.pki.intel import Window
from donjon.pki.serving import appraise
from donjon.runtime.trouble import Caution

LOOK_EVERY = 5.0  # seconds


class CertificateSource(Protocol):
    """Whence the certificate comes."""

    @property
    def window(self) -> Window | None:
        """From when until when the one in use is good; `None` while there is none."""

    @property
    def fault(self) -> DonjonError | None:
        """Why a newer one is not taken; nothing where the newest is in use."""


class CertificateWatch:
    """Looks at the certificate in use, also while nobody connects."""

    def __init__(self, source: CertificateSource | None, now: Callable[[], datetime]) -> None:
        """There is none to look at without TLS."""
        self._source, self._now = source, now
        self._caution = Caution()

    def caveat(self) -> str:
        """What is amiss, for strangers: with its dates, and that other files cannot be taken; nothing where all is well."""
        if self._source is None:
            return ""
        finding, fault = self._finding(), self._source.fault
        newer = (
            "" if fault is None else f"serving certificate: the new one is not taken [{fault.code}]; the log has its own words"
        )
        return "; ".join(filter(None, ("" if finding is None else finding.sentence(), newer)))

    def look(self) -> None:
        """Tell the log what is amiss with its dates, once."""
        self._caution.tell("certificate", self._finding())

    async def look_now_and_then(self) -> None:
        """Look for as long as the program runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()

    def _finding(self) -> Finding | None:
        window = None if self._source is None else self._source.window
        return None if window is None else appraise(window, self._now())
