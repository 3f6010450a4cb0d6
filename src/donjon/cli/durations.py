"""Stretches of time as they are written on a command line."""

from datetime import timedelta

import click

from donjon.formats.durations import duration


def parsed(text: str) -> timedelta:
    """A number and its unit."""
    try:
        return duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{text}: expected {error}") from error
