"""Base64url without padding, as JOSE writes bytes (RFC 7515, 2)."""

import base64
import binascii
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


def encode(content: bytes) -> str:
    """The text that JOSE has for these bytes; there is only one."""
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def decode(text: str) -> bytes:
    """The bytes of which that is the one text; raises `ValueError`."""
    if not _ALPHABET.fullmatch(text):
        raise ValueError("no base64url without padding")
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("no base64url without padding") from error
    if encode(content) != text:
        raise ValueError("no base64url without padding")
    return content
