"""Claims: what is known of what is being attested, each with its type, its value and who says so.

Several claims may share a type; that is how sets are made.
Source: "Claim rule grammar" of Microsoft Azure Attestation's documentation.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from donjon.errors import Malformed
from donjon.formats.words import excerpt
from donjon.policy.syntax import MAX_INTEGER, MIN_INTEGER, Property, Scalar

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_CLAIMS = 1_000  # at once, those that rules add among them
MAX_TEXT = 256 << 10  # characters of one value


class Issuer(StrEnum):
    """Who says it: the service, having verified it; the policy; whoever asks, unverified."""

    SERVICE = "AttestationService"
    POLICY = "AttestationPolicy"
    CUSTOM = "CustomClaim"


class ValueType(StrEnum):
    """The type of a claim's value, as `valueType` says it."""

    STRING = "String"
    INTEGER = "Integer"
    BOOLEAN = "Boolean"


def value_type(value: Scalar) -> ValueType:
    """The type of a value."""
    match value:
        case bool():
            return ValueType.BOOLEAN
        case int():
            return ValueType.INTEGER
        case _:
            return ValueType.STRING


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim. What is read-only may be looked at and computed with, but neither it nor what comes of it can be issued."""

    type: str
    value: Scalar
    issuer: Issuer
    read_only: bool = False

    def property(self, name: Property) -> Scalar:
        """The property of that name, as a condition compares it."""
        match name:
            case Property.TYPE:
                return self.type
            case Property.VALUE:
                return self.value
            case Property.VALUE_TYPE:
                return str(value_type(self.value))
            case Property.ISSUER:
                return str(self.issuer)


_ESCAPED = re.compile(r"[^ !#-\[\]-~]")
_HALF = re.compile("[\ud800-\udfff]")
_LONG = {"type", "value", "issuer", "readOnly"}
_EXPECTED = "expected a text, a whole number of 64 bits, true or false, an object, or a list of these"


def claims(content: Json) -> tuple[Claim, ...]:
    """The claims that a JSON value states; raises `Malformed` DJ408.

    An object of types and values states what the service says, as a token's payload does. A list of objects with type, value,
    issuer (AttestationService where left out) and readOnly states it claim by claim. A list as value is one claim each, an object
    is its JSON text.
    """
    claim_list: list[Claim] = []
    for claim in _parse_claims(content):
        claim_list.append(claim)
        if len(claim_list) > MAX_CLAIMS:
            raise Malformed("DJ408", f"claims: more than {MAX_CLAIMS}")
    return tuple(claim_list)


def _parse_claims(content: Json) -> Iterator[Claim]:
    match content:
        case dict():
            for name, value in content.items():
                yield from _several(name, value, Issuer.SERVICE, read_only=False)
        case list():
            for number, entry in enumerate(content, 1):
                yield from _long(entry, number)
        case _:
            raise Malformed("DJ408", "claims: expected an object of types and values, or a list of claims")


def _long(entry: Json, number: int) -> Iterator[Claim]:
    if not isinstance(entry, dict) or not {"type", "value"} <= entry.keys() <= _LONG:
        raise Malformed("DJ408", f"claim {number}: expected an object with type and value, and perhaps issuer and readOnly")
    name, issuer, read_only = entry["type"], entry.get("issuer", Issuer.SERVICE), entry.get("readOnly", False)
    if not isinstance(name, str):
        raise Malformed("DJ408", f"claim {number}: its type is no text")
    if issuer not in tuple(Issuer):
        raise Malformed("DJ408", f"claim {number}: issuer is {excerpt(str(issuer))}, expected one of {', '.join(Issuer)}")
    if not isinstance(read_only, bool):
        raise Malformed("DJ408", f"claim {number}: readOnly is no truth value")
    yield from _several(name, entry["value"], Issuer(str(issuer)), read_only=read_only)


def _several(name: str, value: Json, issuer: Issuer, *, read_only: bool) -> Iterator[Claim]:
    for each in value if isinstance(value, list) else [value]:
        yield Claim(type=_check_text(name, name), value=_scalar(name, each), issuer=issuer, read_only=read_only)


def _scalar(name: str, value: Json) -> Scalar:
    match value:
        case bool():
            return value
        case int() if MIN_INTEGER <= value <= MAX_INTEGER:
            return value
        case str():
            return _check_text(name, value)
        case dict():
            return _check_text(name, _compact(name, value))
        case _:
            raise Malformed("DJ408", f"claim {excerpt(name)}: its value is {_kind(value)}; {_EXPECTED}")


def _check_text(name: str, text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Malformed("DJ408", f"claim {excerpt(name)}: {len(text)} characters long, expected at most {MAX_TEXT}")
    if not is_unicode(text):
        raise Malformed("DJ408", f"claim {excerpt(name)}: it holds half a surrogate pair; expected Unicode text")
    return text


def _compact(name: str, value: Json) -> str:
    try:
        return compact(value)
    except (ValueError, RecursionError) as error:
        raise Malformed("DJ408", f"claim {excerpt(name)}: its value cannot be written as JSON: {error}") from error


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case float():
            return "a fraction"
        case int():
            return "too large a number"
        case _:
            return "a list within a list"


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON's escapes can make halves of surrogate pairs."""
    return text.isascii() or _HALF.search(text) is None


def compact(value: Json) -> str:
    """JSON text without blanks; raises `ValueError` for a number that JSON has no words for."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def size(claim: Claim) -> int:
    """How many bytes it takes in a token, whose JSON is ASCII."""
    return _written_size(claim.type) + _written_size(claim.value) + 2  # A colon, and a comma.


def _written_size(value: Scalar) -> int:
    if isinstance(value, str) and (_ESCAPED.search(value) is not None):
        return len(json.dumps(value))
    return len(str(value)) + 2  # Quotation marks, which numbers have not.


def values_by_type(claims: tuple[Claim, ...]) -> Mapping[str, tuple[Scalar, ...]]:
    """The values of each type, in order: what a token says of these claims."""
    values: dict[str, tuple[Scalar, ...]] = {}
    for claim in claims:
        values[claim.type] = (*values.get(claim.type, ()), claim.value)
    return values
