"""What an evaluation answers: a verdict, what the token would say, and the trace of how it came to that."""

from dataclasses import dataclass, field
from enum import StrEnum

from donjon.findings import Finding
from donjon.policy.claims import Claim
from donjon.policy.syntax import Comparison, Condition, Part, Rule, Scalar


class PolicyVerdict(StrEnum):
    """How it ends; all but the first are a no."""

    PERMITTED = "permitted"
    DENIED = "denied"  # a deny() fired, whatever was permitted
    NOT_PERMITTED = "not permitted"  # no permit() fired
    FAILED = "failed"  # something could not be computed, or not within the bounds


class Outcome(StrEnum):
    """What became of a rule."""

    FIRED = "fired"
    DID_NOT_FIRE = "did not fire"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A claim of the right type that a condition did not take: the comparison that did not hold, and what was expected there."""

    claim: Claim
    comparison: Comparison
    expected: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A condition, and the claims that fit it; where none did, those that nearly did."""

    condition: Condition
    holds: bool
    claims: tuple[Claim, ...]
    misses: tuple[Miss, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One rule in the trace. `looks` end with the first condition that does not hold."""

    part: Part
    number: int  # within its section, from 1
    rule: Rule
    outcome: Outcome
    looks: tuple[Look, ...] = ()
    produced: tuple[Claim, ...] = ()
    failure: str = ""  # why it failed, and the code of that
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer for one policy and one set of claims. `issued` and `properties` are empty unless permitted."""

    verdict: PolicyVerdict
    findings: tuple[Finding, ...]  # every reason of a no, none for a yes
    issued: tuple[Claim, ...]
    properties: tuple[Claim, ...]
    trace: tuple[Entry, ...]  # every rule of the policy, in order
    effort: float = field(default=0.0, compare=False)  # 0 to 1, of what the evaluation was allowed to do
    exhausted: bool = field(default=False, compare=False)  # whether that was too little

    @property
    def permitted(self) -> bool:
        """Whether a token may be made."""
        return self.verdict is PolicyVerdict.PERMITTED
