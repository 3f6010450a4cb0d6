"""JSON read strictly: no key twice, no fraction, nothing behind the end, and every member of the type that it is said to have.

A lax reader would let two readers see two documents in one signed text.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NoReturn, TypeGuard

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject

MAX_DOCUMENT = 1 << 20  # bytes; the longest of Intel's has 20 KiB
MAX_VALUES = 100_000  # with names, ends of lists and the like: some 10 ms; the longest of Intel's has less than a tenth
ESCAPES = 100  # for each value that there may be; a draft's line breaks and quotation marks are some

_BYTE = 0xFF
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def parse(
    text: bytes, subject: str, bound: int = MAX_DOCUMENT, *, fractions: bool = False, values: int = MAX_VALUES
) -> "Members":
    """The one object that the text holds; raises `Malformed` DJ210, also for more bytes or values than the bounds."""
    content = _decode(text, subject, bound, _WITH_FRACTIONS if fractions else _DECODER, values)
    if not isinstance(content, dict):
        raise Malformed("DJ210", f"{subject}: expected an object, found {type(content).__name__}")
    return Members(subject, content)


def parse_list(text: bytes, subject: str, count: int) -> "list[Members]":
    """The objects of the one list that the text holds; raises `Malformed` DJ210 or DJ211, also for more than that many."""
    content = _decode(text, subject, MAX_DOCUMENT, _DECODER, MAX_VALUES)
    if not isinstance(content, list) or len(content) > count:
        raise Malformed("DJ210", f"{subject}: expected a list of at most {count} objects, found {type(content).__name__}")
    return Members(subject, {subject: content}).members(subject)


def _decode(text: bytes, subject: str, bound: int, decoder: json.JSONDecoder, values: int) -> Json:
    if len(text) > bound:
        raise Malformed("DJ210", f"{subject}: {len(text)} bytes, expected at most {bound}")
    check_values(text, subject, values)
    try:
        content: Json = decoder.decode(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Malformed("DJ210", f"{subject}: no JSON that is read here: {error}") from error
    return content


_PART = re.compile(rb'[\[{,]|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A text of JSON, with its end if it has one, or what stands before a value."""


def check_values(text: bytes, subject: str, values: int) -> None:
    """Raises `Malformed` DJ210 for JSON of more values than that, or of far more escapes.

    A megabyte of brackets takes long to read, and hardly any time to count. Signs within texts are told from others only where
    there are too many of them, so that nearly everything is counted at the speed of memory.
    """
    if text.count(b"\\") > ESCAPES * values:
        raise Malformed("DJ210", f"{subject}: more escapes than the {ESCAPES * values} that are read here")
    if text.count(b",") + text.count(b"[") + text.count(b"{") + text.count(b'"') <= values:
        return
    if next(islice(_PART.finditer(text), values, None), None) is not None:
        raise Malformed("DJ210", f"{subject}: more values and names than the {values} that are read here")


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key that stands twice")
    return members


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"a number that is not whole: {number[:20]}")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"a number that is too large: {number[:20]}")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse)
_WITH_FRACTIONS = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)


def hexadecimal(text: str) -> bytes:
    """The bytes for which digits stand, two each; none where it is not digits alone: the library's reader skips spaces."""
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        return b""
    return octets if 2 * len(octets) == len(text) else b""


def unescape(text: str) -> bytes:
    """The bytes of a text in which some stand as a percent sign and two digits, as Intel writes certificates in headers."""
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode("ascii", "replace"))


def _all_whole(values: list[Json]) -> TypeGuard[list[int]]:
    return {*map(type, values)} == {int}  # By the exact type: `True` is no number.


def _all_text(values: list[Json]) -> TypeGuard[list[str]]:
    return {*map(type, values)} <= {str}


@dataclass(frozen=True, slots=True)
class Members:
    """An object of a document, whose members are asked for by name and type; each raises `Malformed` DJ211 for another one."""

    subject: str  # where it stands, for messages
    content: Mapping[str, Json]

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return name in self.content

    def text(self, name: str) -> str:
        """The member of that name, which must be a string."""
        value = self.content.get(name)
        return value if isinstance(value, str) else self._refuse(name, "a string")

    def number(self, name: str, maximum: int) -> int:
        """A whole number from 0 to that maximum."""
        value = self.content.get(name)
        if type(value) is not int or not 0 <= value <= maximum:
            self._refuse(name, f"a number from 0 to {maximum}")
        return value

    def small(self, name: str, key: str, count: int) -> bytes:
        """That many numbers from 0 to 255, each under a key of an object in a list."""
        entries = self.content.get(name)
        if not isinstance(entries, list) or len(entries) != count:
            self._refuse(name, f"a list of {count} objects")
        return self._bytes(name, [each.get(key) if isinstance(each, dict) else None for each in entries])

    def flat(self, names: tuple[str, ...]) -> bytes:
        """Numbers from 0 to 255 under these names."""
        return self._bytes(names[0], list(map(self.content.get, names)))

    def _bytes(self, name: str, values: list[Json]) -> bytes:
        if not _all_whole(values) or min(values) < 0 or max(values) > _BYTE:
            self._refuse(name, f"numbers from 0 to {_BYTE}")
        return bytes(values)

    def octets(self, name: str, length: int) -> bytes:
        """The member of that name, which must be that many bytes in hexadecimal."""
        octets = hexadecimal(self.text(name))
        return octets if len(octets) == length else self._refuse(name, f"{length} bytes in hexadecimal")

    def date(self, name: str) -> datetime:
        """A moment in UTC, as Intel writes it: 2026-01-31T00:00:00Z."""
        value = self.text(name)
        try:
            return (
                datetime.fromisoformat(value)
                if _DATE.fullmatch(value)
                else self._refuse(name, "a date like 2026-01-31T00:00:00Z")
            )
        except ValueError as error:
            raise Malformed("DJ211", f"{self.subject}: {name} is no date: {error}") from error

    def member(self, name: str) -> "Members":
        """The member of that name, which must be an object."""
        value = self.content.get(name)
        return Members(f"{self.subject}.{name}", value) if isinstance(value, dict) else self._refuse(name, "an object")

    def members(self, name: str) -> "list[Members]":
        """The member of that name, which must be a list of objects, at least one."""
        value = self.content.get(name)
        if not isinstance(value, list) or not value:
            self._refuse(name, "a list with one object at least")
        subject = f"{self.subject}.{name}"
        return [Members(subject, each) if isinstance(each, dict) else self._refuse(name, "objects") for each in value]

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; none where there is no such member."""
        value = self.content.get(name, [])
        if not isinstance(value, list):
            self._refuse(name, "a list of strings")
        return tuple(value) if _all_text(value) else self._refuse(name, "strings")

    def _refuse(self, name: str, expected: str) -> NoReturn:
        value = _brief(self.content[name]) if name in self.content else "nothing"
        raise Malformed("DJ211", f"{self.subject}: {name}: expected {expected}, found {value}")


def _brief(value: Json) -> str:
    """A value as a message tells it: nothing is made that is not told."""
    match value:
        case list() | dict():
            return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
        case str():
            return repr(value[:40])
        case _:
            return repr(str(value)[:40])
