"""Why a decision is a no, as findings: every deny() that fired, every permit() that did not, or what could not be computed."""

from collections.abc import Iterable, Iterator, Sequence

from donjon.findings import Finding, Severity
from donjon.formats.words import printable
from donjon.policy.decision import Entry, Look, Miss, Outcome
from donjon.policy.printing import comparison_text, expression_text, rule_text
from donjon.policy.syntax import Literal, Part, Property, Scalar, Verb

LONGEST = 100  # characters of a value or a type that is told
MAX_FINDINGS = 100  # told at once; the last says how many more there are
MAX_EXPECTED = 5  # values that one comparison would have taken


def denied(trace: Iterable[Entry]) -> tuple[Finding, ...]:
    """One finding for each deny() that fired."""
    fired = [entry for entry in trace if entry.rule.action.verb is Verb.DENY and entry.outcome is Outcome.FIRED]
    return tuple(
        Finding(
            code="DJ410",
            severity=Severity.ERROR,
            subject=rule_name(entry),
            observation=printable(f"deny() fired: {rule_text(entry.rule)}{more}"),
            why="one deny() refuses, whatever other rules permit",
            do="attest something that the rule does not fit, or change the rule",
        )
        for entry, more in _first(fired)
    )


def not_permitted(trace: Iterable[Entry]) -> tuple[Finding, ...]:
    """One finding for each permit() that did not fire, with the condition that did not hold; one if there is none at all."""
    permits = [entry for entry in trace if entry.rule.action.verb is Verb.PERMIT]
    if not permits:
        return (_nothing(Part.AUTHORIZATION, "has no rule that permits"),)
    return tuple(_nothing(rule_name(entry), f"permit() did not fire: {why_not(entry)}{more}") for entry, more in _first(permits))


def _first(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """As many as are told, the last with how many are not."""
    for number, entry in enumerate(entries[:MAX_FINDINGS], 1):
        left = len(entries) - number if number == MAX_FINDINGS else 0
        yield entry, f" (and so for {left} rules more)" if left else ""


def _nothing(subject: str, observation: str) -> Finding:
    return Finding(
        code="DJ411",
        severity=Severity.ERROR,
        subject=subject,
        observation=printable(observation),
        why="what no rule permits is refused",
        do="compare the claims with the rule, or permit them",
    )


def failed(trace: Iterable[Entry]) -> tuple[Finding, ...]:
    """The finding of the rule that could not be computed; its code is that of the reason."""
    return tuple(
        Finding(
            code=entry.code,
            severity=Severity.ERROR,
            subject=rule_name(entry),
            observation=printable(entry.failure),
            why="what cannot be computed permits nothing",
            do="see what the rule is given: donjon policy explain",
        )
        for entry in trace
        if entry.outcome is Outcome.FAILED
    )


def rule_name(entry: Entry) -> str:
    """A rule as messages name it, by its line and its number in its section."""
    return f"line {entry.rule.at.line}, rule {entry.number} of {entry.part}"


def why_not(entry: Entry) -> str:
    """The condition at which a rule stopped, in one sentence."""
    return "; ".join(_why_not(entry.looks[-1])) if entry.looks else "its conditions were not looked at"


def _why_not(look: Look) -> list[str]:
    if look.condition.absent:
        return [
            f"{short(claim_type)} is there" for claim_type in dict.fromkeys(claim.type for claim in look.claims[:MAX_EXPECTED])
        ]
    if look.misses:
        return [missed(miss) for miss in look.misses]
    types = [
        expression_text(comparison.expression)
        for comparison in look.condition.comparisons
        if comparison.property is Property.TYPE and isinstance(comparison.expression, Literal)
    ]
    return [f"no claim {' and '.join(types)}" if types else "no claim fits"]


def missed(miss: Miss) -> str:
    """A near miss: what the claim says, and what was expected."""
    actual = f"{short(miss.claim.type)} has {miss.comparison.property} {scalar(miss.claim.property(miss.comparison.property))}"
    if isinstance(miss.comparison.expression, Literal):
        return f"{actual}, expected {comparison_text(miss.comparison)}"
    more = len(miss.expected) - MAX_EXPECTED
    expected = ", ".join(map(scalar, miss.expected[:MAX_EXPECTED])) or "nothing"
    expected += f" and {more} more" if more > 0 else ""
    return f"{actual}, expected {comparison_text(miss.comparison)}, which is {expected}"


def scalar(value: Scalar) -> str:
    """A value as a policy would write it, short."""
    text = expression_text(Literal(value=value[: LONGEST + 1] if isinstance(value, str) else value))
    return text if len(text) <= LONGEST else f'{text[: LONGEST - 2]}…"'


def short(name: str) -> str:
    """A claim's type, of which a policy may make a long one."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
