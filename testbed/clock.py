"""The clock of the testbed: waiting with a deadline, and the moment at which certificates are made."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

now = time.monotonic  # noqa: TID251 - this module is where the testbed meets the clock.
pause = time.sleep  # noqa: TID251 - the same.


def today() -> dt.datetime:
    """The present moment, in UTC."""
    return dt.datetime.now(dt.UTC)  # noqa: TID251 - the same.


def wait_until(holds: Callable[[], bool], *, seconds: float, every: float = 0.1) -> bool:
    """Whether `holds` came true within the deadline; it is asked at least once."""
    deadline = now() + seconds
    while not holds():
        if now() > deadline:
            return False
        pause(every)
    return True
