"""How much an evaluation may do, and how it ends when that is used up or something cannot be computed."""

from dataclasses import dataclass

MAX_STEPS = 100_000  # comparisons, combinations of claims, values looked up, actions done
MAX_WORK = 20_000_000  # characters of text made, read or compared, and the steps of queries: `query` says what one weighs


class Stop(Exception):
    """The end of an evaluation that has no answer; inside this room only, `evaluate` makes a finding of it."""

    def __init__(self, code: str, found: str) -> None:
        super().__init__(found)
        self.code = code
        self.found = found


@dataclass(slots=True)
class Budget:
    """What is left."""

    steps: int = MAX_STEPS
    work: int = MAX_WORK

    @property
    def spent(self) -> float:
        """The share of it that is gone, 0 to 1."""
        return min(1.0, max(1 - self.steps / MAX_STEPS, 1 - self.work / MAX_WORK))

    def step(self, count: int = 1) -> None:
        """One comparison, or one action."""
        self.steps -= count
        if self.steps < 0:
            raise Stop("DJ413", f"more than {MAX_STEPS} steps")

    def spend(self, weight: int) -> None:
        """Text made, read or compared, or a step of a query."""
        self.work -= weight
        if self.work < 0:
            raise Stop("DJ413", "more work in functions than one evaluation may do")
