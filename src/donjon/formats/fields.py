"""An object with fields of known kinds, read into a value: everything that is wrong, missing or unknown in it is said at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from donjon.formats.json import Json
from donjon.formats.words import nearest, one_of, recite

MAX_TOLD = 20  # faults
_LONGEST_NAME = 253  # characters of a name that is compared with those of fields

Reader = Callable[[Json, str, list[str]], Any]
"""Gives the value that stands at a place; what is wrong goes into the list, and the value is of no use then."""


@dataclass(frozen=True, slots=True)
class NamedField:
    """A field of an object: under which name its value goes on, and how it is read."""

    name: str
    read: Reader
    required: bool = False


def record(make: Callable[..., Any], fields: Mapping[str, NamedField]) -> Reader:
    """An object of these fields, by their names in the document; what is left out keeps the default of what is made."""

    def read(value: Json, place: str, faults: list[str]) -> Any:
        if not isinstance(value, dict):
            return _refuse(value, place, "an object", faults)
        before = len(faults)
        faults += _misfits(value, place, fields)
        inside = {name: inner for name, inner in value.items() if name in fields}
        values = {fields[name].name: fields[name].read(inner, _below(place, name), faults) for name, inner in inside.items()}
        return make(**values) if len(faults) == before else None

    return read


def _misfits(value: Mapping[str, Json], place: str, fields: Mapping[str, NamedField]) -> Iterator[str]:
    for name in (name for name in value if name not in fields):
        near = nearest(name[:_LONGEST_NAME], fields)
        hint = f": did you mean {near}?" if near else ""
        yield f"{_below(place, recite(name))} is no field of it{hint}"
    for name, each in fields.items():
        if each.required and name not in value:
            yield f"{_below(place, name)} is missing"


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def items(read_item: Reader, most: int, key: str = "") -> Reader:
    """A list of up to that many, as a tuple; with a key, no two with the same under it, and without one no two alike."""

    def read(value: Json, place: str, faults: list[str]) -> Any:
        if not isinstance(value, list) or len(value) > most:
            return _refuse(value, place, f"a list of up to {most}", faults)
        keys = [each.get(key) if key and isinstance(each, dict) else each for each in value]
        faults += [f"{place}[{index}] is there twice" for index, each in enumerate(keys) if each in keys[:index]]
        return tuple(read_item(each, f"{place}[{index}]", faults) for index, each in enumerate(value))

    return read


def text(pattern: re.Pattern[str], expected: str, most: int = 1 << 16) -> Reader:
    """A string that is of that form, and not longer than that."""

    def read(value: Json, place: str, faults: list[str]) -> Any:
        if isinstance(value, str) and len(value) <= most and pattern.fullmatch(value):
            return value
        return _refuse(value, place, expected, faults)

    return read


def octets(length: int) -> Reader:
    """That many bytes, in hexadecimal and small letters."""
    read_text = text(re.compile(f"[0-9a-f]{{{2 * length}}}"), f"{2 * length} hexadecimal digits in small letters")

    def read(value: Json, place: str, faults: list[str]) -> Any:
        digits = read_text(value, place, faults)
        return None if digits is None else bytes.fromhex(digits)

    return read


def whole(least: int, most: int) -> Reader:
    """A whole number."""

    def read(value: Json, place: str, faults: list[str]) -> Any:
        if type(value) is int and least <= value <= most:
            return value
        return _refuse(value, place, f"a whole number from {least} to {most}", faults)

    return read


def word(kind: type[StrEnum]) -> Reader:
    """One of the words of an enumeration."""

    def read(value: Json, place: str, faults: list[str]) -> Any:
        words = tuple(map(str, kind))
        if isinstance(value, str) and value in words:
            return kind(value)
        return _refuse(value, place, one_of(words, str(value)[:_LONGEST_NAME]), faults)

    return read


def _refuse(value: Json, place: str, expected: str, faults: list[str]) -> None:
    """One more fault, and no value."""
    match value:
        case list() | dict():
            observation = f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
        case None:
            observation = "nothing"
        case _:
            observation = recite(str(value)[:_LONGEST_NAME])
    faults.append(f"{place or 'it'} is {observation}, expected {expected}")


def together(faults: list[str]) -> str:
    """All faults in one sentence, or the first of very many."""
    rest = len(faults) - MAX_TOLD
    return "; ".join((*faults[:MAX_TOLD], *((f"and {rest} more",) if rest > 0 else ())))
