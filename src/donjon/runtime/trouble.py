"""What goes wrong again and again, or is amiss at every look, is said once, and once that it is over."""

import logging

from donjon.adapters.logs import say
from donjon.errors import DonjonError
from donjon.findings import Finding, Severity

LOG = logging.getLogger(__name__)


class Trouble:
    """Logs one line when something begins to fail and one when it works again."""

    def __init__(self, what: str) -> None:
        self._what, self._last_error = what, ""

    def report(self, error: DonjonError) -> None:
        """Log that it failed, unless the same error was logged already."""
        if str(error) != self._last_error:
            self._last_error = str(error)
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
