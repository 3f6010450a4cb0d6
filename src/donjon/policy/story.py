"""A decision as a story, line by line: the verdict and its reasons, what the token says, then every rule in order."""

from collections.abc import Iterator

from donjon.formats.words import printable
from donjon.policy.claims import Claim, Issuer, values_by_type
from donjon.policy.decision import Decision, Entry, Look, Outcome, PolicyVerdict
from donjon.policy.printing import condition_text, rule_text
from donjon.policy.reasons import missed, scalar
from donjon.policy.syntax import Part

MAX_SHOWN = 10  # claims of one condition

_HEADS = {
    PolicyVerdict.PERMITTED: "PERMITTED: a token may be made.",
    PolicyVerdict.DENIED: "DENIED: a deny() fired.",
    PolicyVerdict.NOT_PERMITTED: "NOT PERMITTED: no permit() fired.",
    PolicyVerdict.FAILED: "FAILED: a rule could not be computed, so nothing is permitted.",
}


def story(decision: Decision) -> Iterator[str]:
    """The lines of it, with nothing in them that a terminal would obey."""
    yield from map(printable, _lines(decision))


def _lines(decision: Decision) -> Iterator[str]:
    yield _HEADS[decision.verdict]
    yield from (f"  {finding.sentence()}" for finding in decision.findings)
    if decision.permitted:
        yield from _claim_lines("The policy adds to the token", decision.issued)
        yield from _claim_lines("Properties", decision.properties)
    for part in Part:
        entries = [entry for entry in decision.trace if entry.part is part]
        yield from ("", str(part)) if entries else ()
        for entry in entries:
            yield from _entry(entry)


def _claim_lines(head: str, claims: tuple[Claim, ...]) -> Iterator[str]:
    values = values_by_type(claims)
    yield f"{head}:" if values else f"{head}: nothing."
    for name, members in values.items():
        yield f"  {name} = {', '.join(map(scalar, members))}"


def _entry(entry: Entry) -> Iterator[str]:
    yield f"  rule {entry.number}, line {entry.rule.at.line}: {entry.outcome}"
    yield f"    {rule_text(entry.rule)}"
    for look in entry.looks:
        yield from (f"      {line}" for line in _look(look))
    if entry.outcome is Outcome.FAILED:
        yield f"      {entry.failure} [{entry.code}]"
    yield from (f"      {line}" for line in _claim_list("made", entry.produced))


def _look(look: Look) -> Iterator[str]:
    word = "holds" if look.holds else "does not hold"
    yield f"{condition_text(look.condition)} {word}"
    if not look.claims and not look.misses and not look.condition.absent:
        yield "  no such claim"
    yield from (f"  {line}" for line in _claim_list("found" if look.holds else "there is", look.claims))
    yield from (f"  {missed(miss)}" for miss in look.misses if not look.holds)


def _claim_list(word: str, claims: tuple[Claim, ...]) -> Iterator[str]:
    yield from (f"{word} {_claim(claim)}" for claim in claims[:MAX_SHOWN])
    if len(claims) > MAX_SHOWN:
        yield f"… and {len(claims) - MAX_SHOWN} more"


def _claim(claim: Claim) -> str:
    by = "" if claim.issuer is Issuer.SERVICE else f" (by {claim.issuer})"
    return f"{claim.type} = {scalar(claim.value)}{by}"
