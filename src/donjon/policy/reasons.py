"""Why a decision is a no, as findings: every deny() that fired, every permit() that did not, or what could not be computed."""

from collections.abc import Iterable

from donjon.findings import Finding, Severity
from donjon.policy.decision import Entry, Look, Miss, Outcome
from donjon.policy.faults import printable
from donjon.policy.printing import comparison_text, expression_text, rule_text
from donjon.policy.syntax import Literal, Part, Property, Scalar, Verb

LONGEST = 100  # characters of a value that is told


def denied(trace: Iterable[Entry]) -> tuple[Finding, ...]:
    """One finding for each deny() that fired."""
    fired = (entry for entry in trace if entry.rule.action.verb is Verb.DENY and entry.outcome is Outcome.FIRED)
    return tuple(
        Finding(
            code="DJ410",
            severity=Severity.ERROR,
            subject=named(entry),
            found=printable(f"deny() fired: {rule_text(entry.rule)}"),
            why="one deny() refuses, whatever other rules permit",
            do="attest something that the rule does not fit, or change the rule",
        )
        for entry in fired
    )


def not_permitted(trace: Iterable[Entry]) -> tuple[Finding, ...]:
    """One finding for each permit() that did not fire, with the condition that did not hold; one if there is none at all."""
    permits = [entry for entry in trace if entry.rule.action.verb is Verb.PERMIT]
    if not permits:
        return (_nothing(Part.AUTHORIZATION, "has no rule that permits"),)
    return tuple(_nothing(named(entry), f"permit() did not fire: {why_not(entry)}") for entry in permits)


def _nothing(subject: str, found: str) -> Finding:
    return Finding(
        code="DJ411",
        severity=Severity.ERROR,
        subject=subject,
        found=printable(found),
        why="what no rule permits is refused",
        do="compare the claims with the rule, or permit them",
    )


def failed(trace: Iterable[Entry]) -> tuple[Finding, ...]:
    """The finding of the rule that could not be computed; its code is that of the reason."""
    return tuple(
        Finding(
            code=entry.code,
            severity=Severity.ERROR,
            subject=named(entry),
            found=printable(entry.found),
            why="what cannot be computed permits nothing",
            do="see what the rule is given: donjon policy explain",
        )
        for entry in trace
        if entry.outcome is Outcome.FAILED
    )


def named(entry: Entry) -> str:
    """A rule by its place."""
    return f"line {entry.rule.at.line}, rule {entry.number} of {entry.part}"


def why_not(entry: Entry) -> str:
    """The condition at which a rule stopped, in one sentence."""
    return "; ".join(_why_not(entry.looks[-1])) if entry.looks else "its conditions were not looked at"


def _why_not(look: Look) -> list[str]:
    if look.condition.absent:
        return [f"{claim_type} is there" for claim_type in dict.fromkeys(claim.type for claim in look.claims)]
    if look.misses:
        return [missed(miss) for miss in look.misses]
    wanted = [
        expression_text(comparison.expression)
        for comparison in look.condition.comparisons
        if comparison.property is Property.TYPE and isinstance(comparison.expression, Literal)
    ]
    return [f"no claim {' and '.join(wanted)}" if wanted else "no claim fits"]


def missed(miss: Miss) -> str:
    """A near miss: what the claim says, and what was expected."""
    said = f"{miss.claim.type} has {miss.comparison.property} {scalar(miss.claim.property(miss.comparison.property))}"
    if isinstance(miss.comparison.expression, Literal):
        return f"{said}, expected {comparison_text(miss.comparison)}"
    expected = ", ".join(map(scalar, miss.expected)) or "nothing"
    return f"{said}, expected {comparison_text(miss.comparison)}, which is {expected}"


def scalar(value: Scalar) -> str:
    """A value as a policy would write it, short."""
    written = expression_text(Literal(value=value))
    return written if len(written) <= LONGEST else f'{written[: LONGEST - 2]}…"'
