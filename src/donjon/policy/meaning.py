"""What a policy must mean beyond its grammar, as a list of checks: one that passes them all can be evaluated.

Sources: "Claim rule grammar" (which action stands in which section, operators by type), "Policy version 1.1" and "1.2" (what each
brought), "Claim rule functions" (arguments), all of Microsoft Azure Attestation's documentation. What is refused
beyond those pages could never do anything, or would let a policy overwrite what the token itself says.
"""

from collections import Counter
from collections.abc import Iterator

from donjon.formats.words import excerpt
from donjon.policy.faults import Fault
from donjon.policy.syntax import (
    DECISIONS,
    EQUALITIES,
    Action,
    Call,
    Comparison,
    Expression,
    Function,
    Literal,
    Part,
    Policy,
    PolicyVersion,
    Property,
    Reference,
    Rule,
    Section,
    Verb,
    inside,
)

ALLOWED_VERBS: dict[Part, frozenset[Verb]] = {
    Part.CONFIGURATION: frozenset((Verb.ISSUE_PROPERTY,)),
    Part.AUTHORIZATION: frozenset((Verb.PERMIT, Verb.DENY, Verb.ADD, Verb.ISSUE)),
    Part.ISSUANCE: frozenset((Verb.ADD, Verb.ISSUE, Verb.ISSUE_PROPERTY)),
}
"""Which action may stand where. `issue` in authorizationrules does what `add` does: Microsoft's sample policy for key attestation
uses it so, while "no claims can be issued from this section to the response token"."""

ARITY: dict[Function, int] = {
    Function.JMES_PATH: 2,
    Function.JSON_TO_CLAIM_VALUE: 1,
    Function.IS_SUBSET_OF: 2,
    Function.APPEND_STRING: 2,
    Function.NEGATE_BOOL: 1,
    Function.CONTAINS_ONLY_VALUE: 2,
}

RESERVED_NAMES = frozenset(
    (
        *("iss", "exp", "iat", "nbf", "jti", "cnf", "nonce", "eat_nonce"),
        *("attester_tcb_status", "dbgstat", "eat_profile", "intuse", "aas-ehd"),
    )
)
RESERVED_PREFIXES = ("x-ms-", "x-donjon-", "maa-", "tdx_")
"""What a token says by itself (RFC 7519, section 4.1; RFC 7800; RFC 9711; "Claim sets"; the EAT profile for TDX; our own).

No policy may say it differently, nor say it where the service says nothing: a nonce that nobody sent, a key or data that nothing
binds. Nor in other letters: some who read tokens, .NET's `ClaimsIdentity` among them, find claims in any case.
`aud` and `sub` are a policy's to say.
"""


def is_reserved(claim_type: str) -> bool:
    """Whether only the service itself may say this in a token."""
    name = claim_type.casefold()
    return name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES)


def faults(policy: Policy) -> Iterator[Fault]:
    """Everything that is wrong, section by section."""
    yield from _order(policy)
    for section in policy.sections:
        if section.part is Part.CONFIGURATION and policy.version is PolicyVersion.V1_0:
            yield Fault("DJ402", section.at, "configurationrules in version 1.0", "version=1.1; or version=1.2;")
        for rule in section.rules:
            yield from _rule(rule, section, policy.version)


def _order(policy: Policy) -> Iterator[Fault]:
    order = list(Part)
    for before, section in zip(policy.sections, policy.sections[1:], strict=False):
        if order.index(section.part) <= order.index(before.part):
            yield Fault(
                "DJ403", section.at, f"{section.part} after {before.part}", f"each section once, in the order {', '.join(order)}"
            )


def _rule(rule: Rule, section: Section, version: PolicyVersion) -> Iterator[Fault]:
    yield from _place(rule, section.part)
    yield from _names(rule)
    yield from _action(rule.action, section.part)
    for condition in rule.conditions:
        if condition.absent and version is not PolicyVersion.V1_2:
            yield Fault("DJ402", condition.at, f"! in version {version}", "version=1.2;")
        for comparison in condition.comparisons:
            yield from _comparison_faults(comparison)
    for expression in _expressions(rule):
        yield from _call(expression, version)


def _expressions(rule: Rule) -> Iterator[Expression]:
    """Every expression of a rule, in the order of the text, those within others too."""
    for condition in rule.conditions:
        for comparison in condition.comparisons:
            yield from inside(comparison.expression)
    for assignment in rule.action.assignments:
        yield from inside(assignment.expression)


def _place(rule: Rule, part: Part) -> Iterator[Fault]:
    verb = rule.action.verb
    if verb not in ALLOWED_VERBS[part]:
        verbs = ", ".join(f"{name}()" for name in Verb if name in ALLOWED_VERBS[part])
        yield Fault("DJ403", rule.action.at, f"{verb}() in {part}", f"one of {verbs}")
    if part is Part.CONFIGURATION and rule.conditions:
        yield Fault("DJ403", rule.at, "a condition in configurationrules", "=> at once: these rules run before there are claims")


# Names.


def _names(rule: Rule) -> Iterator[Fault]:
    """Names are given once, by a condition that finds claims, before they are used."""
    names: set[str] = set()
    for condition in rule.conditions:
        for comparison in condition.comparisons:
            yield from _unknown(comparison.expression, names)
        if condition.name is not None and condition.name in names:
            yield Fault(
                "DJ404", condition.at, f"the name {excerpt(condition.name)} given twice", "a name of its own for each condition"
            )
        if condition.name is not None and condition.absent:
            yield Fault(
                "DJ404",
                condition.at,
                f"the name {excerpt(condition.name)} at a condition with !",
                "no name: there are no claims to name",
            )
        names |= {condition.name} if condition.name is not None else set()
    if rule.action.claim is not None and rule.action.claim not in names:
        yield _nothing(rule.action, rule.action.claim, names)
    for assignment in rule.action.assignments:
        yield from _unknown(assignment.expression, names)


def _unknown(expression: Expression, names: set[str]) -> Iterator[Fault]:
    for each in inside(expression):
        if isinstance(each, Reference) and each.name not in names:
            yield _nothing(each, each.name, names)


def _nothing(site: Reference | Action, name: str, names: set[str]) -> Fault:
    expected = (
        f"one of {', '.join(sorted(names))}" if names else f"a condition before it that gives the name, as in {excerpt(name)}:[…]"
    )
    return Fault("DJ404", site.at, f"the name {excerpt(name)}, which no condition before it gives", expected)


# What a rule makes.


def _action(action: Action, part: Part) -> Iterator[Fault]:
    if action.verb in DECISIONS:
        if action.claim is not None or action.assignments:
            yield Fault("DJ406", action.at, f"arguments of {action.verb}()", f"{action.verb}() without any")
        return
    if action.claim is not None:
        return
    occurrences = Counter(assignment.property for assignment in action.assignments)
    for name in (Property.TYPE, Property.VALUE):
        if occurrences[name] == 0:
            yield Fault("DJ406", action.at, f"{action.verb}() without {name}=", 'claim=NAME, or both, as in type="…", value=…')
    for name, times in occurrences.items():
        if times > 1:
            yield Fault("DJ406", action.at, f"{name}= {times} times", "each property once")
    yield from _claim_type_faults(action, part)


def _claim_type_faults(action: Action, part: Part) -> Iterator[Fault]:
    """What can be said of a claim's type where it is written out."""
    claim_type = action.assigned(Property.TYPE)
    if not isinstance(claim_type, Literal):
        return
    if not isinstance(claim_type.value, str) or not claim_type.value:
        yield Fault(
            "DJ406", claim_type.at, "a type that is no text, or an empty one", 'a name in double quotes, as in type="product"'
        )
    elif action.verb is Verb.ISSUE and part is Part.ISSUANCE and is_reserved(claim_type.value):
        expected = f"a name of your own: {', '.join(sorted(RESERVED_NAMES))}, {'…, '.join(RESERVED_PREFIXES)}… are the token's"
        yield Fault("DJ406", claim_type.at, f"issue() of {excerpt(claim_type.value)}", expected)


# Comparisons and calls.


def _comparison_faults(comparison: Comparison) -> Iterator[Fault]:
    if comparison.operator in EQUALITIES:
        return
    if comparison.property is not Property.VALUE:
        yield Fault("DJ407", comparison.at, f"{comparison.operator} on {comparison.property}, which is a text", "== or !=")
    elif isinstance(comparison.expression, Literal) and type(comparison.expression.value) is not int:
        kind = "a truth value" if isinstance(comparison.expression.value, bool) else "a text"
        yield Fault(
            "DJ407", comparison.expression.at, f"{comparison.operator} with {kind}", "a whole number: only those are ordered"
        )


def _call(expression: Expression, version: PolicyVersion) -> Iterator[Fault]:
    if not isinstance(expression, Call):
        return
    if version is not PolicyVersion.V1_2:
        yield Fault("DJ402", expression.at, f"{expression.function}() in version {version}", "version=1.2;")
    arity, count = ARITY[expression.function], len(expression.arguments)
    if arity != count:
        yield Fault("DJ405", expression.at, f"{expression.function}() with {count} arguments", f"{arity}")
