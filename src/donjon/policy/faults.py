"""What is wrong with a policy's text: where, what was found and what was expected there."""

from donjon.errors import Malformed
from donjon.policy.syntax import Place


class Fault(Malformed):
    """A policy that is none; `others` are the further faults of the same text."""

    def __init__(self, code: str, at: Place, problem: str, expected: str) -> None:
        super().__init__(code, f"policy: {at}: {problem}; expected {expected}")
        self.at = at
        self.problem = problem
        self.expected = expected
        self.others: tuple[Fault, ...] = ()
