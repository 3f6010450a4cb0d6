"""Whole numbers that others wrote down as text."""

import re

_WHOLE = re.compile(r"-?[0-9]{1,19}")
"""What an int64 has room for; of thousands of digits Python makes no number, and raises."""


def whole_number(text: object) -> int | None:
    """The number that a text is; `None` for what is no text, no number, or longer than any that is meant."""
    return int(text) if isinstance(text, str) and _WHOLE.fullmatch(text) else None
