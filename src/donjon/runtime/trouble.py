"""What goes wrong again and again is said once, and once that it is over."""

import logging

from donjon.adapters.logs import say
from donjon.errors import DonjonError

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
