"""Policies and claims by chance, for property tests: well-formed, and mean."""

from hypothesis import strategies as st

from donjon.policy.claims import Claim, Issuer
from donjon.policy.meaning import ALLOWED_VERBS, ARITY, is_reserved
from donjon.policy.syntax import (
    DECISIONS,
    EQUALITIES,
    MAX_INTEGER,
    MIN_INTEGER,
    Action,
    Assignment,
    Call,
    Comparison,
    Condition,
    Expression,
    Function,
    Literal,
    Operator,
    Part,
    Policy,
    PolicyVersion,
    Property,
    Reference,
    Rule,
    Scalar,
    Section,
    Verb,
)

NAMES = ("c", "c1", "other", "true_", "type", "claim", "issue", "_")
TYPES = ("a", "b", "x-ms-sgx-svn", "$svn", "iss")
JSON = ('{"a": [1, 2, {"b": null}]}', "[1, 2]", '["a", true]', "null", "5", '"a"', "1.5", "{", "", "[[1]]", "[" * 200)
QUERIES = (
    "a",
    "a[0]",
    "@",
    "[*].b",
    "a | length(@)",
    "[@,@]",
    "`1`",
    "'x'",
    "",
    "]",
    "sum(@)",
    "[?@ > `1`]",
    "equals_ignore_case(@, 'A')",
)

integers = st.one_of(st.integers(-3, 3), st.integers(MIN_INTEGER, MAX_INTEGER))
texts = st.one_of(
    st.sampled_from((*TYPES, *JSON, *QUERIES, *map(str, Issuer))),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8),
)
scalars: st.SearchStrategy[Scalar] = st.one_of(texts, integers, st.booleans())
comments = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8).map(lambda text: f"// {text}".rstrip())


@st.composite
def expressions(draw: st.DrawFn, names: tuple[str, ...], version: PolicyVersion, depth: int = 3) -> Expression:
    kinds = ["literal"] + ["reference"] * bool(names) + ["call"] * (depth > 0 and version is PolicyVersion.V1_2)
    match draw(st.sampled_from(kinds)):
        case "literal":
            return Literal(value=draw(scalars))
        case "reference":
            return Reference(name=draw(st.sampled_from(names)), property=draw(st.sampled_from(Property)))
        case _:
            function = draw(st.sampled_from(Function))
            arguments = [draw(expressions(names, version, depth - 1)) for _ in range(ARITY[function])]
            return Call(function=function, arguments=tuple(arguments))


@st.composite
def comparisons(draw: st.DrawFn, names: tuple[str, ...], version: PolicyVersion) -> Comparison:
    name = draw(st.sampled_from(Property))
    expression = (
        Literal(value=draw(st.sampled_from(TYPES)))
        if name is Property.TYPE and draw(st.booleans())
        else draw(expressions(names, version))
    )
    ordered = name is Property.VALUE and not (isinstance(expression, Literal) and type(expression.value) is not int)
    operator = draw(st.sampled_from(sorted(Operator if ordered else EQUALITIES)))
    return Comparison(property=name, operator=operator, expression=expression)


@st.composite
def rules(draw: st.DrawFn, part: Part, version: PolicyVersion) -> Rule:
    names: tuple[str, ...] = ()
    conditions: list[Condition] = []
    for _ in range(draw(st.integers(0, 0 if part is Part.CONFIGURATION else 3))):
        absent = draw(st.booleans()) if version is PolicyVersion.V1_2 else False
        name = None if absent else draw(st.sampled_from((None, *(name for name in NAMES if name not in names))))
        found = draw(st.lists(comparisons(names, version), max_size=3))
        conditions.append(Condition(absent=absent, name=name, comparisons=tuple(found)))
        names += (name,) if name is not None else ()
    return Rule(
        conditions=tuple(conditions),
        action=draw(actions(part, names, version)),
        comments=tuple(draw(st.lists(comments, max_size=2))),
        remark=draw(st.none() | comments),
    )


@st.composite
def actions(draw: st.DrawFn, part: Part, names: tuple[str, ...], version: PolicyVersion) -> Action:
    verb = draw(st.sampled_from(sorted(ALLOWED_VERBS[part])))
    if verb in DECISIONS:
        return Action(verb=verb)
    if bool(names) and draw(st.booleans()):
        return Action(verb=verb, claim=draw(st.sampled_from(names)))
    free = part is not Part.ISSUANCE or verb is not Verb.ISSUE
    types = st.sampled_from([Literal(value=name) for name in TYPES if free or not is_reserved(name)])
    computed = expressions(names, version).filter(lambda expression: not isinstance(expression, Literal))
    claim_type = draw(types | computed if names else types)
    given = [Assignment(property=Property.TYPE, expression=claim_type)]
    given.append(Assignment(property=Property.VALUE, expression=draw(expressions(names, version))))
    stated = draw(st.sets(st.sampled_from((Property.VALUE_TYPE, Property.ISSUER))))
    given += [Assignment(property=name, expression=draw(expressions(names, version))) for name in sorted(stated)]
    return Action(verb=verb, assignments=tuple(given))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    version = draw(st.sampled_from(PolicyVersion))
    parts = [
        part for part in Part if (part is not Part.CONFIGURATION or version is not PolicyVersion.V1_0) and draw(st.booleans())
    ]
    return Policy(
        version=version,
        sections=tuple(
            Section(
                part=part,
                rules=tuple(draw(st.lists(rules(part, version), max_size=4))),
                comments=tuple(draw(st.lists(comments, max_size=2))),
                closing=tuple(draw(st.lists(comments, max_size=2))),
            )
            for part in parts
        ),
        comments=tuple(draw(st.lists(comments, max_size=2))),
        closing=tuple(draw(st.lists(comments, max_size=2))),
    )


claims_by_chance = st.lists(
    st.builds(Claim, type=st.sampled_from(TYPES) | texts, value=scalars, issuer=st.sampled_from(Issuer), read_only=st.booleans()),
    max_size=8,
).map(tuple)
