"""Whole numbers in texts of others."""

import pytest

from donjon.formats.numbers import whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-7", -7),
        ("9" * 19, 10**19 - 1),
        ("9" * 20, None),
        ("9" * 5_000, None),
        ("٣", None),
        ("²", None),
        ("", None),
        ("--1", None),
        ("1\n", None),
        ("1_0", None),
        (" 1", None),
        (7, None),
        (None, None),
    ],
)
def test_a_number_is_what_ascii_digits_say_and_no_longer_than_an_int64(text: object, number: int | None) -> None:
    assert whole_number(text) == number
