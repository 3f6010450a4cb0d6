"""What a plain word of YAML is, as kubectl takes it (sigs.k8s.io/yaml, which keeps YAML 1.1's `yes` and `on`)."""

import math
import re

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[1-9][0-9_]{0,30}|0)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_PRINTED_WHOLE = 1e21  # JSON as Go prints it turns to exponents from here on


def parse_plain(text: str) -> bool | int | float | str | None:
    """What a word is that stands there without quotation marks."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return _integer(text)
    number = float(text) if _FLOAT.fullmatch(text) else math.inf
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < _PRINTED_WHOLE else number


def _integer(text: str) -> int | str:
    digits = text.replace("_", "").lower()
    octal = re.fullmatch(r"([-+]?)0o?([0-7]+)", digits)
    try:
        return int(f"{octal[1]}{octal[2]}", 8) if octal else int(digits, 0)
    except ValueError:
        return text
