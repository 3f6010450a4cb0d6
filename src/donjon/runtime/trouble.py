"""What goes wrong again and again is said once, each minute while it lasts, and once that it is over; what is amiss, once."""

import logging

from donjon.adapters import clock
from donjon.adapters.logs import say
from donjon.errors import DonjonError
from donjon.findings import Finding, Severity

LOG = logging.getLogger(__name__)


AGAIN = 60.0  # seconds, so that the cause stands among the last lines of a log


class Trouble:
    """Logs one line when something begins to fail, the same each minute while it lasts, and one when it works again."""

    def __init__(self, what: str) -> None:
        self._what, self._last_error = what, ""
        self._said_at = 0.0

    def report(self, error: DonjonError) -> None:
        """Log that it failed, unless the same error was logged within the last minute."""
        now = clock.monotonic()
        if str(error) != self._last_error or now >= self._said_at + AGAIN:
            self._last_error, self._said_at = str(error), now
            say(LOG, f"{self._what}: trying again", level=logging.WARNING, code=error.code, error=error.message)

    def clear(self) -> None:
        """Log that it works again, if it failed before."""
        if self._last_error:
            self._last_error = ""
            say(LOG, f"{self._what}: works again")


class Caution:
    """Logs a finding of what is looked at again and again when it is a new one, and one line when there is none any more."""

    def __init__(self, instance: str | None = None) -> None:
        """The instance, where it is of one, stands in every line."""
        self._instance = instance
        self._latest: Finding | None = None

    def tell(self, subject: str, finding: Finding | None) -> None:
        """What a look at the subject found; the same finding as at the last look is not logged again."""
        before, self._latest = self._latest, finding
        if finding == before:
            return
        if finding is None:
            say(LOG, f"{subject}: good again", instance=self._instance)
        else:
            level = logging.ERROR if finding.severity is Severity.ERROR else logging.WARNING
            say(LOG, f"{subject}: not good", level=level, code=finding.code, error=finding.words(), instance=self._instance)
