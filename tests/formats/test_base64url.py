"""Base64url: one text for each value, and no other is read."""

import pytest

from donjon.formats import base64url


@pytest.mark.parametrize(("content", "text"), [(b"", ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff", "-_8")])
def test_what_is_written_is_read(content: bytes, text: str) -> None:
    assert base64url.encode(content) == text
    assert base64url.decode(text) == content


@pytest.mark.parametrize("text", ["Zg==", "Zh", "Z", "+/8", "Zg\n", "Z g", "Zé"])
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="no base64url without padding"):
        base64url.decode(text)
