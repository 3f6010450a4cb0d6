"""How long all calls for one image may take."""

from collections.abc import Callable
from threading import Event, Timer

from donjon.errors import Unavailable


class TimeLimit:
    """Ends after so many seconds, and closes what waits: a socket knows only how long it waits for the next byte."""

    def __init__(self, seconds: float, what: str, end: Callable[[], None]) -> None:
        self._seconds, self._what, self._end = seconds, what, end
        self._event = Event()
        self._timer = Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self._event.set()
        self._end()

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises `Unavailable` DJ330 where it ended."""
        if self.over:
            raise Unavailable("DJ330", f"{self._what}: not read within {self._seconds:g} s")

    def close(self) -> None:
        """It is not needed any more."""
        self._timer.cancel()
