"""The six functions of version 1.2, over values. Source: "Claim rule functions" of Microsoft Azure Attestation's documentation.

A value is what an expression gives: no member (JSON's null, an empty list), one, or several (a set).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from donjon.policy.budget import Budget, Stop
from donjon.policy.claims import Json, value_type
from donjon.policy.query import query, read, within_bounds
from donjon.policy.syntax import MAX_INTEGER, MIN_INTEGER, Function, Scalar, alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What an expression gives; read-only if anything that it was computed from is."""

    members: tuple[Scalar, ...]
    read_only: bool = False


def apply(function: Function, arguments: Sequence[Value], budget: Budget) -> Value:
    """The function's answer; raises `Stop` DJ412 for arguments that it does not take, DJ413 beyond a bound."""
    return _FUNCTIONS[function](arguments, budget)


def _jmes_path(arguments: Sequence[Value], budget: Budget) -> Value:
    text, expression = (_text(argument, Function.JMES_PATH) for argument in arguments)
    return Value(members=(query(text, expression, budget),), read_only=_read_only(arguments))


def _json_to_claim_value(arguments: Sequence[Value], budget: Budget) -> Value:
    content = read(_text(arguments[0], Function.JSON_TO_CLAIM_VALUE), budget)
    entries = content if isinstance(content, list) else [content]
    members = tuple(_primitive(entry) for entry in entries if entry is not None)
    return Value(members=members, read_only=_read_only(arguments))


def _is_subset_of(arguments: Sequence[Value], _budget: Budget) -> Value:
    smaller, larger = ({(type(member), member) for member in argument.members} for argument in arguments)
    return Value(members=(smaller <= larger,))


def _append_string(arguments: Sequence[Value], budget: Budget) -> Value:
    first, second = (_text(argument, Function.APPEND_STRING) for argument in arguments)
    budget.spend(len(first) + len(second))
    return Value(members=(within_bounds(first + second),), read_only=_read_only(arguments))


def _negate_bool(arguments: Sequence[Value], _budget: Budget) -> Value:
    argument = _single(arguments[0], Function.NEGATE_BOOL)
    if not isinstance(argument, bool):
        raise Stop("DJ412", f"{Function.NEGATE_BOOL}() of a {value_type(argument)}, it takes a Boolean")
    return Value(members=(not argument,), read_only=_read_only(arguments))


def _contains_only_value(arguments: Sequence[Value], _budget: Budget) -> Value:
    members, only = arguments[0].members, _single(arguments[1], Function.CONTAINS_ONLY_VALUE)
    return Value(members=(bool(members) and all(alike(member, only) for member in members),))


_FUNCTIONS: Mapping[Function, Callable[[Sequence[Value], Budget], Value]] = {
    Function.JMES_PATH: _jmes_path,
    Function.JSON_TO_CLAIM_VALUE: _json_to_claim_value,
    Function.IS_SUBSET_OF: _is_subset_of,
    Function.APPEND_STRING: _append_string,
    Function.NEGATE_BOOL: _negate_bool,
    Function.CONTAINS_ONLY_VALUE: _contains_only_value,
}


def _read_only(arguments: Sequence[Value]) -> bool:
    return any(argument.read_only for argument in arguments)


def _single(value: Value, function: Function) -> Scalar:
    if len(value.members) != 1:
        raise Stop("DJ412", f"{function}() of {len(value.members)} values, it takes one")
    return value.members[0]


def _text(value: Value, function: Function) -> str:
    argument = _single(value, function)
    if not isinstance(argument, str):
        raise Stop("DJ412", f"{function}() of a {value_type(argument)}, it takes a String")
    return argument


def _primitive(entry: Json) -> Scalar:
    match entry:
        case bool() | str():
            return within_bounds(entry) if isinstance(entry, str) else entry
        case float() if entry.is_integer():
            return _primitive(int(entry))
        case int() if MIN_INTEGER <= entry <= MAX_INTEGER:
            return entry
        case int():
            raise Stop("DJ412", f"{Function.JSON_TO_CLAIM_VALUE}() of a number beyond 64 bits")
        case float():
            raise Stop("DJ412", f"{Function.JSON_TO_CLAIM_VALUE}() of the fraction {entry}")
        case _:
            kind = "an object" if isinstance(entry, dict) else "a list within a list"
            raise Stop("DJ412", f"{Function.JSON_TO_CLAIM_VALUE}() of {kind}")
