"""How much an evaluation may do, and how it ends when that is used up or something cannot be computed.

What is done is counted, so that one policy and one set of claims have one answer everywhere; and it is measured, where whoever
evaluates has a clock, so that the answer comes in time also where the counting is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

MAX_WORK = 20_000_000  # of some 10 ns each: characters made, read or compared, values, and the steps
MAX_STEPS = 50_000  # comparisons, combinations of claims, values looked up, actions done
MAX_SECONDS = 0.2  # of the processor's own time

STEP = MAX_WORK // MAX_STEPS  # what a step weighs as work
_EVERY = 100_000  # work between two looks at the clock: about a millisecond


class Stop(Exception):
    """The end of an evaluation that has no answer; inside this room only, `evaluate` makes a finding of it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What an evaluation may do at most: a share of the bounds, and by which clock its time is taken, if by any."""

    share: float = 1.0
    seconds: Callable[[], float] | None = None  # of the processor's own time, so that a busy machine makes no difference


WHOLE = Allowance()


@dataclass(slots=True)
class Budget:
    """What is left of an allowance."""

    allowance: Allowance = WHOLE
    exhausted: bool = False
    _work: int = field(init=False)
    _look_at: int = field(init=False)  # the work that is left when the clock is looked at next
    _until: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._work = int(MAX_WORK * self.allowance.share)
        self._look_at = max(0, self._work - _EVERY)
        if self.allowance.seconds is not None:
            self._until = self.allowance.seconds() + MAX_SECONDS * self.allowance.share

    @property
    def spent(self) -> float:
        """The share of the allowance that is gone, 0 to 1."""
        return 1.0 if self.exhausted else min(1.0, 1 - self._work / (MAX_WORK * self.allowance.share))

    def step(self, count: int = 1) -> None:
        """One comparison, or one action; raises `Stop` DJ413 where nothing is left."""
        self.spend(STEP * count)

    def spend(self, weight: int) -> None:
        """Text made, read or compared, or a step of a query; raises `Stop` DJ413 where nothing is left."""
        self._work -= weight
        if self._work < self._look_at:
            self._look()

    def _look(self) -> None:
        if self._work < 0:
            self.exhausted = True
            raise Stop("DJ413", f"more work than one evaluation may do: {MAX_STEPS} steps, or as much in functions")
        self._look_at = max(0, self._work - _EVERY)
        if self.allowance.seconds is not None and self.allowance.seconds() > self._until:
            self.exhausted = True
            raise Stop("DJ413", f"more than {MAX_SECONDS} s, which is what one evaluation may take")
