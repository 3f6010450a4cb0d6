"""What is worth a warning in a policy that can be evaluated all the same."""

import re
from collections.abc import Iterator
from dataclasses import replace

from donjon.findings import Finding
from donjon.formats.words import printable
from donjon.policy.claims import Issuer, ValueType, value_type
from donjon.policy.incoming import intended, other_kind
from donjon.policy.printing import comparison_text
from donjon.policy.syntax import Comparison, Condition, Liberty, Literal, Operator, Part, Place, Policy, Property, Scalar, Verb

_WORDS = {Property.ISSUER: tuple(Issuer), Property.VALUE_TYPE: tuple(ValueType)}
"""The properties that have few values."""
_CLAIM_FORMATS: dict[str, tuple[ValueType, int]] = {
    **dict.fromkeys(("x-ms-sgx-is-debuggable", "$is-debuggable"), (ValueType.BOOLEAN, 0)),
    **dict.fromkeys(("x-ms-sgx-product-id", "$product-id", "x-ms-sgx-svn", "$svn"), (ValueType.INTEGER, 0)),
    **dict.fromkeys(("x-ms-sgx-mrsigner", "$sgx-mrsigner", "x-ms-sgx-mrenclave", "$sgx-mrenclave"), (ValueType.STRING, 64)),
    "x-ms-sgx-report-data": (ValueType.STRING, 128),
    "x-ms-attestation-type": (ValueType.STRING, 0),
}
"""What the service says of an SGX enclave, and how many hexadecimal digits it is ("Claim sets", and as recorded)."""


MAX_WARNINGS = 20  # told at once; the last says how many more there are


def advice(policy: Policy, kind: str = "") -> tuple[Finding, ...]:
    """The warnings in the order of the text, of many the first; `kind` is the attestation type whose policy it is to be."""
    warnings = [
        *(_liberty(liberty) for liberty in policy.liberties),
        *_unheard(policy),
        *_never(policy),
        *_claims_of_nobody(policy, kind),
    ]
    return _first((*_permits_nothing(policy), *(finding for _, finding in sorted(warnings, key=lambda pair: pair[0]))))


def _first(warnings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """As many as are told, the last with how many are not."""
    left = len(warnings) - MAX_WARNINGS
    if left <= 0:
        return warnings
    *first, last = warnings[:MAX_WARNINGS]
    return (*first, replace(last, observation=f"{last.observation} (and {left} warnings more, of which nothing is told)"))


def _liberty(liberty: Liberty) -> tuple[Place, Finding]:
    why = "understood here, and printed so in Microsoft's own pages, but their service may refuse it"
    return liberty.at, Finding.warning(
        "DJ420", str(liberty.at), liberty.spelling, why, f"write {liberty.proper}; donjon policy format does"
    )


def _permits_nothing(policy: Policy) -> Iterator[Finding]:
    if not any(rule.action.verb is Verb.PERMIT for rule in policy.rules(Part.AUTHORIZATION)):
        do = "add a rule to authorizationrules that ends in => permit();"
        yield Finding.warning("DJ421", "policy", "no rule permits", "whatever is attested with it is refused", do)


def _unheard(policy: Policy) -> Iterator[tuple[Place, Finding]]:
    for rule in policy.rules(Part.AUTHORIZATION):
        if rule.action.verb is Verb.ISSUE:
            at, observation = rule.action.at, "issue() in authorizationrules"
            why = "authorizationrules put nothing into a token, so this does what add() does"
            yield at, Finding.warning("DJ423", str(at), observation, why, "write add(), or move it to issuancerules")


def _never(policy: Policy) -> Iterator[tuple[Place, Finding]]:
    for section in policy.sections:
        for rule in section.rules:
            for condition in rule.conditions:
                for comparison in condition.comparisons:
                    for possible in _impossible(comparison, condition):
                        observation = printable(comparison_text(comparison))
                        why, do = f"{possible}: this never holds", "mend the value, or take the condition out"
                        yield comparison.at, Finding.warning("DJ422", str(comparison.at), observation, why, do)


def _claims_of_nobody(policy: Policy, kind: str) -> Iterator[tuple[Place, Finding]]:
    """Conditions on a type of claim that neither a service, of that attestation type, nor the policy itself states."""
    own = set(_own_types(policy))
    for section in policy.sections:
        for comparison in (each for rule in section.rules for condition in rule.conditions for each in condition.comparisons):
            name = _literal_type(comparison)
            if not name or name in own:
                continue
            why = "the condition never holds, so a deny() behind it never protects, and ![...] always holds"
            if other := other_kind(name, kind):
                observation = f"a condition on {name}, which no {kind} has"
                yield (
                    comparison.at,
                    Finding.warning("DJ425", str(comparison.at), observation, why, f"did you mean --type {other}?"),
                )
            elif (likely := intended(name)) is not None:
                observation = f"a condition on {printable(name)}, which nobody states"
                do = (
                    f"did you mean {likely}?"
                    if likely
                    else "look at a token of the kind, or at donjon quote show, for what is stated"
                )
                yield comparison.at, Finding.warning("DJ425", str(comparison.at), observation, why, do)


def _own_types(policy: Policy) -> Iterator[str]:
    """The types of claims that the policy's own rules make."""
    for section in policy.sections:
        for rule in section.rules:
            expression = rule.action.assigned(Property.TYPE)
            if isinstance(expression, Literal):
                yield str(expression.value)


def _literal_type(comparison: Comparison) -> str:
    """The type that a comparison asks for, if it is written out."""
    is_type = comparison.property is Property.TYPE and comparison.operator is Operator.EQ
    return str(comparison.expression.value) if is_type and isinstance(comparison.expression, Literal) else ""


def _impossible(comparison: Comparison, condition: Condition) -> Iterator[str]:
    """What the property can be, where the value written out beside it is none of that."""
    if not isinstance(comparison.expression, Literal):
        return
    value = comparison.expression.value
    if comparison.property is Property.VALUE:
        yield from _impossible_value(_claim_type(condition), comparison.operator, value)
    elif not isinstance(value, str):
        yield f"{comparison.property} is a text"
    elif value not in (words := _WORDS.get(comparison.property, (value,))):
        yield f"{comparison.property} is one of {', '.join(words)}"


def _impossible_value(claim_type: str, sign: Operator, value: Scalar) -> Iterator[str]:
    known_type, digits = _CLAIM_FORMATS.get(claim_type, (None, 0))
    if known_type is not None and value_type(value) is not known_type:
        yield f"{claim_type} is of type {known_type}, and what differs in type never compares"
    elif digits and sign is Operator.EQ and not re.fullmatch(f"[0-9a-f]{{{digits}}}", str(value)):
        yield f"{claim_type} is {digits} hexadecimal digits in lower case"


def _claim_type(condition: Condition) -> str:
    """The type that a condition asks for, if it is written out and the service says it."""
    literals = {
        each.property: each.expression.value
        for each in condition.comparisons
        if each.operator is Operator.EQ and isinstance(each.expression, Literal)
    }
    if literals.get(Property.ISSUER, Issuer.SERVICE) != Issuer.SERVICE:
        return ""
    return str(literals.get(Property.TYPE, ""))
