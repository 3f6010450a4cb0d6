"""Moments as the API server writes them, and how long ago they are."""

from datetime import datetime, timedelta

from donjon.formats.json import Json


def moment(text: Json) -> datetime | None:
    """A moment that was written down; `None` for what is none, or is of no time zone."""
    try:
        read = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return read if read is not None and read.tzinfo is not None else None


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
