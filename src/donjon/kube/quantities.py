"""Kubernetes quantities as whole numbers, and back. Left out: fractions, which no extended resource may have.

The grammar is that of k8s.io/apimachinery `resource.ParseQuantity`: a decimal number and a binary suffix, a decimal suffix or an
exponent. Like it, we round away from zero to a billionth before anything else.
"""

import math
import re
from fractions import Fraction
from functools import lru_cache

from donjon.errors import Malformed
from donjon.formats.json import Json

MAX = (1 << 63) - 1  # int64, in which Kubernetes counts
MAX_LENGTH = 128  # characters; a quantity is longer only by intent, and is then counted by its first digits
MAX_EXPONENT = 200  # beyond it every number of MAX_LENGTH digits is zero, too large or no whole number
NANO = 10**9

_BINARY = {suffix: 1 << (10 * power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
BINARY_SUFFIXES = tuple(_BINARY)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:(?P<binary>[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+)|(?P<decimal>[numkMGTPE]?))"
)
_LONG = re.compile(
    r"(?P<sign>[+-]?)0*(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<suffix>(?:[eE][+-]?[0-9]{1,19}|[a-zA-Z]{0,2}))"
)
_LIKE = re.compile(r"(?P<number>[0-9]+) ?(?P<prefix>[kmgt])i?b?", re.IGNORECASE | re.ASCII)
_DIGITS = 50  # that are kept of a long quantity, on each side of its point


def parse(text: str) -> int:
    """The whole number that a quantity says; raises `Malformed` DJ910 for no quantity, a fraction, or more than an int64."""
    value = exact(text)
    if value.denominator != 1:
        raise Malformed("DJ910", f"quantity {_excerpt(text)}: a fraction, expected a whole number")
    if abs(value) > MAX:
        raise Malformed("DJ910", f"quantity {_excerpt(text)}: more than an int64 holds, expected at most {MAX}")
    return int(value)


def canonical(number: int) -> str:
    """The shortest exact BinarySI form: 10485760 is `10Mi`, 1000 stays `1000`."""
    for suffix, unit in reversed(_BINARY.items()):
        if number and number % unit == 0:
            return f"{number // unit}{suffix}"
    return str(number)


def readable(number: int) -> str:
    """Bytes as a person reads them, of which nobody is promised more than there is: 7.3Gi, 8Gi, 1014Mi, 64 bytes.

    Without a point it is exact; with one it is rounded down to a tenth.
    """
    for suffix, unit in reversed(_BINARY.items()):
        if number >= unit:
            return f"{number // unit}{suffix}" if number % unit == 0 else f"{number * 10 // unit / 10}{suffix}"
    return f"{number} byte{'s' * (number != 1)}" if number else "0"


def same_amount(text: str, number: int) -> bool:
    """Whether a quantity says that amount; what is no whole quantity says none."""
    try:
        return parse(text) == number
    except Malformed:
        return False


def amount(quantity: Json) -> Fraction | None:
    """The number that a quantity in JSON says; `None` for what is none."""
    if isinstance(quantity, bool) or not isinstance(quantity, (str, int, float)):
        return None
    try:
        return exact(quantity if isinstance(quantity, str) else repr(quantity))
    except (Malformed, ValueError):  # Python does not print integers of more than 4,300 digits.
        return None


def exact(text: str) -> Fraction:
    """The number that a quantity says, of any size; raises `Malformed` DJ910 for no quantity.

    Exponents beyond `MAX_EXPONENT` count as that one; so does a number of more than `MAX_LENGTH` digits count as one of fewer
    that is as far beyond every bound, or as little whole.
    """
    return _fraction(text if len(text) <= MAX_LENGTH else _shorten(text))


def _shorten(text: str) -> str:
    """A long quantity without the zeros that change nothing, and without digits that nobody can need."""
    match = _LONG.fullmatch(text)
    if match is None or not (match["whole"] or match["fraction"]):
        return text if match is None else f"{match['sign']}0{match['suffix']}"
    fraction = (match["fraction"] or "").rstrip("0")
    whole = match["whole"] if len(match["whole"]) <= _DIGITS else "1" + "0" * _DIGITS
    cut = "1" if len(fraction) > _DIGITS else ""  # What was cut off is more than nothing, and no digit of it is whole.
    return f"{match['sign']}{whole or '0'}.{fraction[:_DIGITS]}{cut}{match['suffix']}"


@lru_cache(maxsize=1024)  # The containers of a pod say the same few amounts many times.
def _fraction(text: str) -> Fraction:
    return _round_up(_number(text))


def _number(text: str) -> Fraction:
    match = _QUANTITY.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise Malformed("DJ910", f"quantity {_excerpt(text)}: expected digits and a suffix, such as 10Mi")
    number = Fraction(match["number"])
    if match["binary"] is not None:
        return number * _BINARY[match["binary"]]
    exponent = int(match["exponent"]) if match["exponent"] is not None else _DECIMAL[match["decimal"]]
    return number * Fraction(10) ** max(-MAX_EXPONENT, min(exponent, MAX_EXPONENT))


def _round_up(value: Fraction) -> Fraction:
    magnitude = Fraction(math.ceil(abs(value) * NANO), NANO)
    return magnitude if value >= 0 else -magnitude


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= MAX_LENGTH else f"{text[:40]}…")


def hint(text: str) -> str:
    """What somebody meant who wrote 20GB, 20gb or 20 GiB, as the end of a message; empty for what is like no quantity."""
    match = _LIKE.fullmatch(text[:MAX_LENGTH])
    return f"; did you mean {match['number']}{match['prefix'].upper()}i?" if match else ""
