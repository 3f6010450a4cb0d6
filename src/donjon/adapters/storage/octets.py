"""Bytes out of the database. SQLite gives what was put there, of whatever type: a text, a number, nothing."""


def octets(value: object) -> bytes:
    """What stands in a column of bytes; of what is none the bytes of its text, which then prove nothing."""
    return value if isinstance(value, bytes) else str(value).encode(errors="backslashreplace")
