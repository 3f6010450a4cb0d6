"""Kubernetes quantities as whole numbers, and back. Left out: fractions, which no extended resource may have.

The grammar is that of k8s.io/apimachinery `resource.ParseQuantity`: a decimal number and a binary suffix, a decimal suffix or an
exponent. Like it, we round away from zero to a billionth before anything else.
"""

import math
import re
from fractions import Fraction
from functools import lru_cache

from donjon.errors import Malformed

MAX = (1 << 63) - 1  # int64, in which Kubernetes counts
MAX_LENGTH = 128  # characters; a quantity is longer only by intent
MAX_EXPONENT = 200  # beyond it every number of MAX_LENGTH digits is zero, too large or no whole number
NANO = 10**9

_BINARY = {suffix: 1 << (10 * power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:(?P<binary>[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+)|(?P<decimal>[numkMGTPE]?))"
)


def parse(text: str) -> int:
    """The whole number that a quantity says; raises `Malformed` DJ910 for no quantity, a fraction, or more than an int64."""
    value = exact(text)
    if value.denominator != 1:
        raise Malformed("DJ910", f"quantity {text!r}: a fraction, expected a whole number")
    if abs(value) > MAX:
        raise Malformed("DJ910", f"quantity {text!r}: more than an int64 holds, expected at most {MAX}")
    return int(value)


def canonical(amount: int) -> str:
    """The shortest exact BinarySI form: 10485760 is `10Mi`, 1000 stays `1000`."""
    for suffix, unit in reversed(_BINARY.items()):
        if amount and amount % unit == 0:
            return f"{amount // unit}{suffix}"
    return str(amount)


def same_amount(text: str, amount: int) -> bool:
    """Whether a quantity says that amount; what is no whole quantity says none."""
    try:
        return parse(text) == amount
    except Malformed:
        return False


@lru_cache(maxsize=1024)  # The containers of a pod say the same few amounts many times.
def exact(text: str) -> Fraction:
    """The number that a quantity says, of any size; raises `Malformed` DJ910 for no quantity.

    Exponents beyond `MAX_EXPONENT` count as that one.
    """
    return _rounded(_number(text))


def _number(text: str) -> Fraction:
    match = _QUANTITY.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        shown = text if len(text) <= MAX_LENGTH else f"{text[:40]}…"
        raise Malformed("DJ910", f"quantity {shown!r}: expected digits and a suffix, such as 10Mi")
    number = Fraction(match["number"])
    if match["binary"] is not None:
        return number * _BINARY[match["binary"]]
    exponent = int(match["exponent"]) if match["exponent"] is not None else _DECIMAL[match["decimal"]]
    return number * Fraction(10) ** max(-MAX_EXPONENT, min(exponent, MAX_EXPONENT))


def _rounded(value: Fraction) -> Fraction:
    magnitude = Fraction(math.ceil(abs(value) * NANO), NANO)
    return magnitude if value >= 0 else -magnitude
