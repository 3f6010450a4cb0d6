"""What is printed: what others wrote can neither steer the terminal nor pass for another line.

Control characters, line ends and what turns the direction of writing are shown as signs, one for one: ␛ stands for an escape.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import click

from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject

_Value = TypeVar("_Value")

PIPED_WIDTH = 160
"""Columns of a table that goes into a file or a pipe."""
_PAINT: Mapping[Severity, dict[str, Any]] = {
    Severity.ERROR: {"fg": "red"},
    Severity.WARNING: {"fg": "yellow"},
    Severity.INFO: {"dim": True},
}
"""How the severity of a finding is shown on a terminal."""

_BLANKS = re.compile(r"\s{2,}")
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNKNOWN = 0xFFFD
_SIGNS: Mapping[int, int] = (
    {code: 0x2400 + code for code in range(0x20)}
    | {0x7F: 0x2421}
    | dict.fromkeys((*range(0x80, 0xA0), 0x2028, 0x2029, *_DIRECTIONS, *range(0xD800, 0xE000)), _UNKNOWN)
)
"""Control characters (Unicode's categories Cc, Zl, Zp, and Cs) and the marks of bidirectional text, each with its sign."""

_SIGNS_IN_LINES = {code: sign for code, sign in _SIGNS.items() if chr(code) not in "\n\t"}
_STEERING = re.compile("[\x7f-\x9f\u2028\u2029" + "".join(map(chr, _DIRECTIONS)) + "\ud800-\udfff]")


def plain(value: _Value) -> _Value:
    """The same value with every text in it fit for a terminal: a string, or dataclasses and tuples of them.

    In the latter a run of blanks is one: with enough of them a text could begin a line of the terminal as if it were ours.
    """
    if isinstance(value, str):
        return cast("_Value", value.translate(_SIGNS))
    if isinstance(value, tuple):
        return cast("_Value", tuple(_one_line(each) for each in value))
    if is_dataclass(value) and not isinstance(value, type):
        whole = cast("Any", value)
        return cast("_Value", replace(whole, **{field.name: _one_line(getattr(whole, field.name)) for field in fields(whole)}))
    return value


def _one_line(value: _Value) -> _Value:
    return cast("_Value", _BLANKS.sub(" ", plain(value))) if isinstance(value, str) else plain(value)


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line."""
    click.echo(plain(line), err=err)  # noqa: TID251 - the one place.


def say_finding(finding: Finding, *, before: str = "", err: bool = False) -> None:
    """Print a finding in one line, what it is about before it; on a terminal its severity has a colour."""
    _echo(f"{plain(before)}{_severity(finding)}: {plain(finding).sentence()}", err=err)


def print_finding(finding: Finding, *, with_do: bool = True) -> None:
    """Print a finding in a line for what was found, one for why it matters, and one for what to do."""
    safe = plain(finding)
    _echo(f"{_severity(finding)} {safe.code} {safe.subject}: {safe.observation}")
    _echo(f"      why: {safe.why}")
    if safe.do and with_do:
        _echo(f"      do:  {safe.do}")


def _severity(finding: Finding) -> str:
    return click.style(str(finding.severity), **_PAINT[finding.severity])


def _echo(line: str, *, err: bool = False) -> None:
    color = False if os.environ.get("NO_COLOR") else None  # As rich does, which prints tables.
    click.echo(line, err=err, color=color)  # noqa: TID251 - the one place.


def say_json(document: Json) -> None:
    """Print a document for programs; what JSON leaves as it is and a terminal would act on is escaped."""
    _echo_json(json.dumps(document, indent=2, ensure_ascii=False))


def say_json_line(document: JsonObject) -> None:
    """Print a document in one line, for programs that read one after the other."""
    _echo_json(json.dumps(document, ensure_ascii=False))


def _echo_json(text: str) -> None:
    click.echo(_STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text))  # noqa: TID251 - the one place.


def write(text: str) -> None:
    """Print a text of several lines: exactly, but on a terminal with signs."""
    exact = not sys.stdout.isatty()
    click.echo(text if exact else text.translate(_SIGNS_IN_LINES), nl=False)  # noqa: TID251 - the one place.
