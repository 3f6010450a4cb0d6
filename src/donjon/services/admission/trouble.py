"""What goes wrong again and again is said once, and once that it is over."""

import logging

from donjon.adapters.logs import say
from donjon.errors import DonjonError

LOG = logging.getLogger(__name__)


class Trouble:
    """The trouble with one thing."""

    def __init__(self, what: str) -> None:
        self._what, self._said = what, ""

    def tell(self, error: DonjonError) -> None:
        """It failed."""
        if str(error) != self._said:
            self._said = str(error)
            say(LOG, f"{self._what}: trying again", level=logging.WARNING, code=error.code, error=error.message)

    def over(self) -> None:
        """It works."""
        if self._said:
            self._said = ""
            say(LOG, f"{self._what}: works again")
