"""How often somebody may ask: so many requests a second, and a burst; each is known by the address, or by the name once proved.

The generic cell rate algorithm (ITU-T I.371): of everybody one number is kept, the moment at which the burst would be whole
again. Who has not asked for longer than that is forgotten, and of too many the one who asked longest ago.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from donjon.adapters.http.crowd import site

__all__ = ["BURST", "MAX_KNOWN", "Rate", "Rates", "site"]

MAX_KNOWN = 1 << 16  # askers, of some 200 bytes each
MAX_NAME = 64  # characters of a name that is kept; of a longer one, its digest
BURST = 2.0  # seconds' worth of requests at once

_ROUNDING = 1e-9  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Requests a second on average; a burst of two seconds' worth at once."""

    each_second: int


class Rates:
    """Counts the requests of each address and each caller, and says who has to wait."""

    def __init__(self, rate: Rate, seconds: Callable[[], float]) -> None:
        self._cost, self._seconds = 1 / rate.each_second, seconds
        self._whole: OrderedDict[str, float] = OrderedDict()

    def wait(self, who: str) -> float:
        """0 where one more request may come now, which is counted; else the seconds until one may."""
        if len(who) > MAX_NAME:
            who = hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()
        now = self._seconds()
        whole = max(self._whole.get(who, now), now) + self._cost
        over = whole - now - max(BURST, self._cost)
        if over > _ROUNDING:
            self._whole.move_to_end(who)
            return over
        self._whole[who] = whole
        self._whole.move_to_end(who)
        self._forget(now)
        return 0.0

    def __len__(self) -> int:
        return len(self._whole)

    def _forget(self, now: float) -> None:
        """Of the two that asked longest ago those that may be forgotten, so that more are forgotten than come."""
        for _ in range(2):
            oldest = next(iter(self._whole))
            if self._whole[oldest] <= now or len(self._whole) > MAX_KNOWN:
                del self._whole[oldest]
