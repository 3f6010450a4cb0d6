"""Which claims a rule's conditions find.

A condition holds when a claim is there for which all its comparisons hold. A name that it gives stands for the claims found: one
at a time where a later condition or the action looks at it alone, all at once where a function takes a set.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from donjon.policy.budget import Budget, Stop
from donjon.policy.claims import Claim
from donjon.policy.decision import Look, Miss
from donjon.policy.functions import Value, apply
from donjon.policy.syntax import (
    EQUALITIES,
    Comparison,
    Condition,
    Expression,
    Literal,
    Operator,
    Property,
    Reference,
    Rule,
    Scalar,
    alike,
)

MAX_COMBINATIONS = 10_000  # of claims that one rule's names stand for
MAX_MISSES = 5  # told of one condition
BOUND = 10  # what a name that is bound weighs, in what `Budget` counts

Binding = Mapping[str, tuple[int, ...]]
"""What each name stands for: places in the list of claims."""

_ORDERINGS: Mapping[Operator, Callable[[int, int], bool]] = {
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}


@dataclass(slots=True)
class Scene:
    """The claims that are there, where those of each type are, and what may be spent. Claims are added, never taken away."""

    budget: Budget
    claims: list[Claim] = field(default_factory=list)
    places: dict[Scalar, list[int]] = field(default_factory=dict)

    def add(self, claim: Claim) -> None:
        """Put one more claim into the set, where conditions can find it by its type."""
        self.places.setdefault(claim.type, []).append(len(self.claims))
        self.claims.append(claim)


def match_rule(rule: Rule, scene: Scene) -> tuple[tuple[Binding, ...], tuple[Look, ...]]:
    """Every combination of claims that the rule's action is to be done for, and what each condition found; raises `Stop`."""
    bindings: list[Binding] = [{}]
    looks: list[Look] = []
    for condition in rule.conditions:
        bindings, look = _narrow_bindings(condition, bindings, scene, rule.single_names)
        looks.append(look)
        if not bindings:
            break
    return _group_bindings(bindings, rule, scene), tuple(looks)


def value(expression: Expression, binding: Binding, scene: Scene) -> Value:
    """What an expression gives; raises `Stop`."""
    match expression:
        case Literal():
            return Value(members=(expression.value,))
        case Reference():
            claims = [scene.claims[place] for place in binding[expression.name]]
            members = tuple(claim.property(expression.property) for claim in claims)
            scene.budget.step(len(members))
            scene.budget.spend(sum(len(member) for member in members if isinstance(member, str)))
            read_only = expression.property is Property.VALUE and any(claim.read_only for claim in claims)
            return Value(members=members, read_only=read_only)
        case _:
            scene.budget.step()
            arguments = [value(argument, binding, scene) for argument in expression.arguments]
            return apply(expression.function, arguments, scene.budget)


def _group_bindings(bindings: Sequence[Binding], rule: Rule, scene: Scene) -> tuple[Binding, ...]:
    """One binding for each combination of what the action takes one at a time, every other name with all its claims."""
    if not bindings[1:]:
        return tuple(bindings)
    names = sorted(set(rule.action.single_names()))
    groups: dict[tuple[tuple[int, ...], ...], dict[str, dict[int, None]]] = {}
    for binding in bindings:
        group = groups.setdefault(tuple(binding[name] for name in names), {})
        for name, places in binding.items():
            scene.budget.spend(BOUND * (1 + len(places)))
            group.setdefault(name, {}).update(dict.fromkeys(places))
    return tuple({name: tuple(places) for name, places in group.items()} for group in groups.values())


# One condition.


def _narrow_bindings(
    condition: Condition, bindings: Sequence[Binding], scene: Scene, single_names: frozenset[str]
) -> tuple[list[Binding], Look]:
    """The bindings for which the condition holds, with its own name bound."""
    narrowed: list[Binding] = []
    fitting: dict[int, None] = {}
    misses: list[Miss] = []
    ordered = condition.ordered
    same = None if condition.refers else _fitting_claims(ordered, {}, scene)
    for binding in bindings:
        scene.budget.step(1 + len(binding) // 8)
        places, missed = same or _fitting_claims(ordered, binding, scene)
        if same is None or not narrowed:
            fitting.update(dict.fromkeys(places))
            misses += missed[: MAX_MISSES - len(misses)]
        more = [*_extend_binding(condition, binding, places, single_names)]
        scene.budget.spend(BOUND * len(more) * (1 + len(binding)))
        narrowed += more
        if len(narrowed) > MAX_COMBINATIONS:
            raise Stop("DJ413", f"more than {MAX_COMBINATIONS} combinations of claims in one rule")
    claims = tuple(scene.claims[place] for place in fitting)
    return narrowed, Look(condition=condition, holds=bool(narrowed), claims=claims, misses=() if claims else tuple(misses))


def _extend_binding(
    condition: Condition, binding: Binding, places: Sequence[int], single_names: frozenset[str]
) -> Iterator[Binding]:
    if condition.absent:
        yield from () if places else (binding,)
    elif condition.name is None:
        yield from (binding,) if places else ()
    elif condition.name in single_names:
        yield from ({**binding, condition.name: (place,)} for place in places)
    elif places:
        yield {**binding, condition.name: tuple(places)}


def _fitting_claims(ordered: Sequence[Comparison], binding: Binding, scene: Scene) -> tuple[Sequence[int], list[Miss]]:
    """The claims for which every comparison holds, and the first that are of the type looked for and still do not fit."""
    places, rest = _candidates(ordered, scene)
    scene.budget.step(len(places))
    if not rest:
        return tuple(places), []
    expected: dict[int, tuple[Scalar, ...]] = {}
    fitting: list[int] = []
    misses: list[Miss] = []
    for place in places:
        claim = scene.claims[place]
        failed = _first_failure(rest, claim, expected, binding, scene)
        if failed is None:
            fitting.append(place)
        elif len(misses) < MAX_MISSES and _near(ordered, rest[failed]):
            misses.append(Miss(claim=claim, comparison=rest[failed], expected=expected[failed]))
    return fitting, misses


def _candidates(ordered: Sequence[Comparison], scene: Scene) -> tuple[Sequence[int], Sequence[Comparison]]:
    """Where the claims are that may fit (those of one type if it is written out, or else all), and what is left to compare."""
    match ordered:
        case [Comparison(property=Property.TYPE, operator=Operator.EQ, expression=Literal(value=str() as name)), *_]:
            return scene.places.get(name, ()), ordered[1:]
        case _:
            return range(len(scene.claims)), ordered


def _near(ordered: Sequence[Comparison], failed: Comparison) -> bool:
    """Whether a claim that failed there is of the type that was asked for."""
    return ordered[0].property is Property.TYPE and failed.property is not Property.TYPE


def _first_failure(
    comparisons: Sequence[Comparison], claim: Claim, expected: dict[int, tuple[Scalar, ...]], binding: Binding, scene: Scene
) -> int | None:
    for number, comparison in enumerate(comparisons):
        scene.budget.step()
        if number not in expected:
            expected[number] = value(comparison.expression, binding, scene).members
        claim_value = claim.property(comparison.property)
        if isinstance(claim_value, str):
            scene.budget.spend(len(claim_value))
        if not _holds(claim_value, comparison.operator, expected[number]):
            return number
    return None


def _holds(left: Scalar, sign: Operator, right: tuple[Scalar, ...]) -> bool:
    """Whether a comparison holds: never between values of two types, nor with a set that has not one member."""
    if len(right) != 1 or type(left) is not type(right[0]):
        return False
    if sign in EQUALITIES:
        return alike(left, right[0]) is (sign is Operator.EQ)
    return type(left) is int and type(right[0]) is int and _ORDERINGS[sign](left, right[0])
