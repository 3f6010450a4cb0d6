"""Pieces of the Common Expression Language (CEL) as text: literals, bounded text, sentences with holes."""

from collections.abc import Iterable, Mapping
from string import Formatter

from donjon.admission.limits import MAX_LIST_LENGTH, UNSHOWN

_ESCAPES = {ord(each): f"\\x{ord(each):02x}" for each in UNSHOWN}


def text(value: str) -> str:
    """A string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").translate(_ESCAPES)
    return f"'{escaped}'"


def one_line(expression: str) -> str:
    """That string without what ends a line or steers a terminal."""
    return expression + "".join(f".replace({text(each)}, ' ')" for each in UNSHOWN)


def strings(values: Iterable[str]) -> str:
    """A list of string literals."""
    return f"[{', '.join(text(value) for value in values)}]"


def string_map(values: Mapping[str, str | int]) -> str:
    """A map from strings to strings or integers."""
    pairs = (f"{text(key)}: {text(value) if isinstance(value, str) else value}" for key, value in values.items())
    return f"{{{', '.join(pairs)}}}"


def amount(expression: str) -> str:
    """The quantity that stands there; the API server gives integers and strings alike."""
    return f"quantity(string({expression}))"


def positive(expression: str) -> str:
    """Whether the quantity that stands there is above zero; it holds for any size."""
    return f"sign({amount(expression)}) > 0"


def any_of(conditions: Iterable[str]) -> str:
    """Whether one of them holds, a line each."""
    return " ||\n  ".join(conditions)


def shorten(expression: str) -> str:
    """That string, cut where it is too long to be shown; a list of one and `map` stand in for the `let` that CEL lacks."""
    return f"[{expression}].map(s, s.size() > {MAX_LIST_LENGTH} ? s.substring(0, {MAX_LIST_LENGTH}) + '...' : s)[0]"


def sentence(template: str, holes: Mapping[str, str]) -> str:
    """The string that a template in `str.format`'s form makes, its holes filled by expressions."""
    parts: list[str] = []
    for literal, hole, _, _ in Formatter().parse(template):
        parts += [text(literal)] if literal else []
        parts += [holes[hole]] if hole else []
    return " + ".join(parts)
