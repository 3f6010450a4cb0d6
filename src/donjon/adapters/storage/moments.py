"""Moments as they are stored: microseconds since 1970, UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH, UNIT = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """The moment as it is stored."""
    return (moment - _EPOCH) // UNIT
