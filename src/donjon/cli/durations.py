"""Stretches of time as they are written on a command line."""

import re
from datetime import timedelta

import click

_DURATION = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhd])", re.ASCII)
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parsed(text: str) -> timedelta:
    """A number and its unit."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text}: expected a number and s, m, h or d, such as 90d")
    return int(found["number"]) * _UNITS[found["unit"]]
