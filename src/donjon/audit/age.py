"""How old records are, by what the service itself has seen pass, and not by a clock alone: clocks jump.

What was seen to pass is what heads state. Between two of them there may be a long time in which nobody asked anything, in which
the service did not run, or which never was; so each gap counts for a part of the time that records are kept, at most.
"""

from collections.abc import Iterable
from datetime import timedelta

SILENCE = timedelta(days=1) // timedelta(microseconds=1)
"""After so long without a head nothing is dropped: the clock may have jumped."""

GAP = 4
"""A gap counts for a fourth of the time that records are kept, at most."""


def find_cutoff(heads: Iterable[int], moment: int, retention: int) -> int | None:
    """The moment before which records are old enough at that `moment`; `None` where it is not believed.

    All in microseconds; `heads` are the moments of heads. What they state of later moments counts for nothing.
    """
    past = sorted({each for each in heads if each <= moment}, reverse=True)
    if not past or moment - past[0] > SILENCE:
        return None
    rest, longest = retention, retention // GAP
    for each in past:
        share = min(moment - each, longest)
        if share >= rest:
            break
        rest, moment = rest - share, each
    return moment - rest if rest <= longest else None
