"""A policy as a tree of values. Where something stands in its text does not count when two trees are compared; comments do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = str | int | bool
"""What a claim's value can be. Python holds True for equal to 1: compare with `alike`."""

MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)


class PolicyVersion(StrEnum):
    """The versions of the grammar."""

    V1_0 = "1.0"
    V1_1 = "1.1"
    V1_2 = "1.2"


class Part(StrEnum):
    """The sections, in the order in which they stand and run."""

    CONFIGURATION = "configurationrules"
    AUTHORIZATION = "authorizationrules"
    ISSUANCE = "issuancerules"


class Property(StrEnum):
    """What a claim consists of."""

    TYPE = "type"
    VALUE = "value"
    VALUE_TYPE = "valueType"
    ISSUER = "issuer"


class Operator(StrEnum):
    """How a property is compared."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


EQUALITIES = frozenset((Operator.EQ, Operator.NE))
"""The operators that strings and booleans know; the others order integers."""


class Verb(StrEnum):
    """What a rule does."""

    PERMIT = "permit"
    DENY = "deny"
    ADD = "add"
    ISSUE = "issue"
    ISSUE_PROPERTY = "issueproperty"


DECISIONS = frozenset((Verb.PERMIT, Verb.DENY))
"""The verbs that take no claim."""


class Function(StrEnum):
    """The functions of version 1.2."""

    JMES_PATH = "JmesPath"
    JSON_TO_CLAIM_VALUE = "JsonToClaimValue"
    IS_SUBSET_OF = "IsSubsetOf"
    APPEND_STRING = "AppendString"
    NEGATE_BOOL = "NegateBool"
    CONTAINS_ONLY_VALUE = "ContainsOnlyValue"


SETS: Mapping[Function, frozenset[int]] = {
    Function.IS_SUBSET_OF: frozenset((0, 1)),
    Function.CONTAINS_ONLY_VALUE: frozenset((0,)),
}
"""The arguments that take all claims of a name at once; any other takes them one by one."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in the text, both from 1; column counts characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


NOWHERE = Place(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A value written out."""

    value: Scalar
    at: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A property of the claims that a condition of the same rule gave a name to."""

    name: str
    property: Property
    at: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function and what it is called with."""

    function: Function
    arguments: "tuple[Expression, ...]"
    at: Place = field(default=NOWHERE, compare=False, repr=False)


Expression: TypeAlias = Literal | Reference | Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison inside a condition's brackets."""

    property: Property
    operator: Operator
    expression: Expression
    at: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """That a claim is there for which every comparison holds; with `absent`, that none is."""

    absent: bool = False
    name: str | None = None
    comparisons: tuple[Comparison, ...] = ()
    at: Place = field(default=NOWHERE, compare=False, repr=False)
    ordered: tuple[Comparison, ...] = field(init=False, compare=False, repr=False)  # the type first
    refers: bool = field(init=False, compare=False, repr=False)  # to what an earlier condition found

    def __post_init__(self) -> None:
        # The type is compared first: it is cheap, sorts out nearly all, and tells a near miss from a stranger.
        ordered = tuple(sorted(self.comparisons, key=lambda comparison: comparison.property is not Property.TYPE))
        expressions = (each for comparison in self.comparisons for each in inside(comparison.expression))
        object.__setattr__(self, "ordered", self.comparisons if ordered == self.comparisons else ordered)
        object.__setattr__(self, "refers", any(isinstance(each, Reference) for each in expressions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A property of the claim that a rule makes."""

    property: Property
    expression: Expression
    at: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A verb with nothing (permit, deny), with the claims of a name, or with a claim's properties."""

    verb: Verb
    claim: str | None = None
    assignments: tuple[Assignment, ...] = ()
    at: Place = field(default=NOWHERE, compare=False, repr=False)

    def assigned(self, name: Property) -> Expression | None:
        """What is assigned to that property."""
        return next((each.expression for each in self.assignments if each.property is name), None)

    def single_names(self) -> Iterator[str]:
        """The names that it takes one claim at a time."""
        if self.claim is not None:
            yield self.claim
        for assignment in self.assignments:
            yield from single_names(assignment.expression)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Conditions, all of which must hold, and what is done then; `comments` stand above it, `remark` behind it."""

    conditions: tuple[Condition, ...] = ()
    action: Action
    comments: tuple[str, ...] = ()
    remark: str | None = None
    at: Place = field(default=NOWHERE, compare=False, repr=False)
    single_names: frozenset[str] = field(init=False, compare=False, repr=False)  # that stand for one claim at a time

    def __post_init__(self) -> None:
        comparisons = (each for condition in self.conditions for each in condition.comparisons)
        names = (name for each in comparisons for name in single_names(each.expression))
        object.__setattr__(self, "single_names", frozenset((*names, *self.action.single_names())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The rules of one part; `comments` stand above it, `closing` after its last rule."""

    part: Part
    rules: tuple[Rule, ...] = ()
    comments: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    at: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Liberty:
    """A spelling that Microsoft's own pages use, and that their service may refuse all the same."""

    at: Place
    spelling: str
    proper: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole policy; `comments` stand above its version, `closing` after its last section."""

    version: PolicyVersion
    sections: tuple[Section, ...] = ()
    comments: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    liberties: tuple[Liberty, ...] = field(default=(), compare=False, repr=False)

    def rules(self, part: Part) -> tuple[Rule, ...]:
        """The rules of a part; none where it is left out."""
        return next((section.rules for section in self.sections if section.part is part), ())


def alike(left: Scalar, right: Scalar) -> bool:
    """Whether two values are of one type and equal."""
    return type(left) is type(right) and left == right


def inside(expression: Expression) -> Iterator[Expression]:
    """The expression and everything within it, outermost first."""
    yield expression
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from inside(argument)


def single_names(expression: Expression) -> Iterator[str]:
    """The names that an expression takes one claim at a time."""
    match expression:
        case Reference():
            yield expression.name
        case Call():
            sets = SETS.get(expression.function, frozenset())
            for place, argument in enumerate(expression.arguments):
                if not (place in sets and isinstance(argument, Reference)):
                    yield from single_names(argument)
