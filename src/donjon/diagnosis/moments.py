"""Moments as the API server writes them, and how long ago they are."""

from datetime import UTC, datetime, timedelta

from donjon.formats.json import Json, JsonObject, at

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""Of what nobody knows when it was."""


def moment(text: Json) -> datetime | None:
    """A moment that was written down; `None` for what is none, or is of no time zone."""
    try:
        read = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return read if read is not None and read.tzinfo is not None else None


def creation(thing: JsonObject) -> datetime | None:
    """When the thing was made."""
    return moment(at(thing, "metadata", "creationTimestamp"))


def moment_of(event: JsonObject) -> datetime | None:
    """When an event was seen last."""
    moments = (at(event, "series", "lastObservedTime"), at(event, "lastTimestamp"), at(event, "eventTime"))
    return next((read for each in moments if (read := moment(each)) is not None), None)


def stretch(time: timedelta) -> str:
    """In the largest unit of which it has two."""
    seconds = int(time.total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def ago(then: datetime | None, now: datetime) -> str:
    """With a space before it; empty where nobody knows when it was."""
    return "" if then is None or then > now else f" {stretch(now - then)} ago"
