"""Stretches of time as people write them: a number and s, m, h or d."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhd])", re.ASCII)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def duration(text: str) -> timedelta:
    """How long that is; raises `ValueError` that says what is expected."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a number and s, m, h or d, such as 90d")
    return int(match["number"]) * _UNITS[match["unit"]]
