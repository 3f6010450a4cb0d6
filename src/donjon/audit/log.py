"""The statements in a line of a log: as the service wrote it, or in what a collector made of it.

Collectors put words before a line (a moment, a pod's name, a stream), or make it a text in an object of theirs. A line that has
the marks of a statement, and of which none could be taken, is told: nobody may take a log for read that was not.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from donjon.audit.statements import FORM, NAME, StatementKind
from donjon.formats import base64url
from donjon.formats.json import Json

HEAD, ANCHOR = "audit head", "audit anchor"
"""The events of the lines that have statements."""

_MAX_DEPTH = 4  # of lines in lines
_MAX_TRIES = 256  # braces of one line at which an object may begin


def _within_base64(text: str) -> Iterator[str]:
    """What base64 has of that text, wherever it stands: three ways."""
    for shift, begin in enumerate((0, 2, 3)):
        yield base64url.encode(b" " * shift + text.encode("ascii"))[begin : (shift + len(text)) * 8 // 6]


_MARK = re.compile(
    "|".join(
        (*(f"(?<!no ){event}" for event in (HEAD, ANCHOR)), *(mark for kind in StatementKind for mark in _within_base64(kind)))
    )
)


@dataclass(slots=True)
class LineReading:
    """What was read of one line."""

    texts: list[str] = field(default_factory=list)  # of statements
    is_missed: bool = False  # it has a mark of one that could not be taken
    tries: int = _MAX_TRIES  # that are left


def read(line: str) -> LineReading:
    """The statements in that line."""
    bare = line.strip()
    if FORM.fullmatch(bare):
        return LineReading(texts=[bare])
    reading = LineReading()
    if "\0" in bare:  # UTF-16 in a file of other text: what it says can be told, and not be taken apart.
        reading.is_missed = _is_marked(bare.replace("\0", ""))
    elif NAME in bare or _is_marked(bare):
        try:
            _read_text(bare, reading, _MAX_DEPTH)
        except RecursionError:  # Of values in values, as deep as the parser lets through.
            reading.is_missed |= _is_marked(bare)
    return reading


def _read_text(text: str, reading: LineReading, depth: int) -> None:
    """A text that may have objects in it: what stands beside them has no mark, or a statement was missed."""
    begin = position = 0
    while depth and reading.tries and (brace := text.find("{", position)) >= 0:
        reading.tries -= 1
        try:
            value, end = _DECODER.raw_decode(text, brace)
        except (ValueError, RecursionError):
            position = brace + 1
            continue
        reading.is_missed |= _is_marked(text[begin:brace])
        _read_value(value, reading, depth - 1)
        begin = position = end
    reading.is_missed |= _is_marked(text[begin:])


def _read_value(value: Json, reading: LineReading, depth: int) -> None:
    match value:
        case {"statement": str(text)}:
            reading.texts.append(text)
        case {"event": str(event), "level": str()} if "{" not in event:
            reading.is_missed |= event in (HEAD, ANCHOR)  # What callers chose stands in the service's other members.
        case dict():
            for each in value.values():
                _read_value(each, reading, depth)
        case list():
            for each in value:
                _read_value(each, reading, depth)
        case str():
            _read_text(value, reading, depth)


def _is_marked(text: str) -> bool:
    return _MARK.search(text) is not None


_DECODER = json.JSONDecoder()
