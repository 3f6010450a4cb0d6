"""ADDRESS:PORT."""

import pytest

from donjon.formats.addresses import address_and_port, join


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("0.0.0.0:1", "0.0.0.0", 1), ("localhost:65535", "localhost", 65535), ("[::1]:9808", "::1", 9808), (":::80", "::", 80)],  # noqa: S104 - read, not listened at.
)
def test_reads_both(text: str, host: str, port: int) -> None:
    assert address_and_port(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9808",
        ":9808",
        "[]:9808",
        "a:",
        "a:0",
        "a:65536",
        "a:-1",
        "a:1e3",
        "a:\u0661",
        "::1]:80",
        "[::1:80",
        "a:000080",
        f"a:{'1' * 5000}",
    ],
)
def test_refuses_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="ADDRESS:PORT, such as"):
        address_and_port(text)


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:8080", "a.example:65535"])
def test_it_is_written_as_it_is_read(text: str) -> None:
    assert join(*address_and_port(text)) == text
