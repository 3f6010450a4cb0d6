"""What is worth a warning in a policy that can be evaluated all the same."""

from collections.abc import Iterator

from donjon.findings import Finding, Severity
from donjon.policy.claims import Issuer, ValueType
from donjon.policy.faults import printable
from donjon.policy.printing import comparison_text
from donjon.policy.syntax import Comparison, Liberty, Literal, Part, Place, Policy, Property, Verb

_WORDS = {Property.ISSUER: tuple(Issuer), Property.VALUE_TYPE: tuple(ValueType)}
"""The properties that have few values."""


def advice(policy: Policy) -> tuple[Finding, ...]:
    """Every warning, in the order of the text."""
    found = [*(_liberty(liberty) for liberty in policy.liberties), *_unheard(policy), *_never(policy)]
    return (*_permits_nothing(policy), *(finding for _, finding in sorted(found, key=lambda pair: pair[0])))


def _warning(code: str, subject: str, found: str, why: str, do: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, subject=subject, found=found, why=why, do=do)


def _liberty(liberty: Liberty) -> tuple[Place, Finding]:
    why = "understood here, and printed so in Microsoft's own pages, but their service may refuse it"
    return liberty.at, _warning(
        "DJ420", str(liberty.at), liberty.found, why, f"write {liberty.proper}; donjon policy format does"
    )


def _permits_nothing(policy: Policy) -> Iterator[Finding]:
    if not any(rule.action.verb is Verb.PERMIT for rule in policy.rules(Part.AUTHORIZATION)):
        do = "add a rule to authorizationrules that ends in => permit();"
        yield _warning("DJ421", "policy", "no rule permits", "whatever is attested with it is refused", do)


def _unheard(policy: Policy) -> Iterator[tuple[Place, Finding]]:
    for rule in policy.rules(Part.AUTHORIZATION):
        if rule.action.verb is Verb.ISSUE:
            at = rule.action.at
            why = "authorizationrules put nothing into a token, so this does what add() does"
            yield at, _warning("DJ423", str(at), "issue() in authorizationrules", why, "write add(), or move it to issuancerules")


def _never(policy: Policy) -> Iterator[tuple[Place, Finding]]:
    for section in policy.sections:
        for rule in section.rules:
            for condition in rule.conditions:
                for comparison in filter(_without_use, condition.comparisons):
                    why = f"{comparison.property} is {_possible(comparison)}, and what differs in type never compares"
                    do = "mend the value, or take the condition out"
                    yield comparison.at, _warning("DJ422", str(comparison.at), printable(comparison_text(comparison)), why, do)


def _without_use(comparison: Comparison) -> bool:
    if comparison.property is Property.VALUE or not isinstance(comparison.expression, Literal):
        return False
    value = comparison.expression.value
    return not isinstance(value, str) or (comparison.property in _WORDS and value not in _WORDS[comparison.property])


def _possible(comparison: Comparison) -> str:
    words = _WORDS.get(comparison.property)
    return "a text" if words is None else f"one of {', '.join(words)}"
