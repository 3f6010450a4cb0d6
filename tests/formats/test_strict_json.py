"""JSON of strangers: what is refused before it is read, and how a value of the wrong kind is told."""

import json
import re

import pytest
from tests.labour import least_labour

from donjon.errors import Malformed
from donjon.formats import strict_json
from donjon.formats.json import Json

MEGABYTE = 1 << 20
MANY = {
    "lists": b"[" + b"[]," * (MEGABYTE // 3 - 2) + b"[]]",
    "objects": b"[" + b'{"":0},' * (MEGABYTE // 7 - 2) + b"{}]",
    "texts": b'{"a":[' + b'"",' * (MEGABYTE // 3 - 4) + b'""]}',
    "lists in lists": b"[" * MEGABYTE,
    "an endless text of escapes": b'{"a":"' + b'\\"' * (MEGABYTE // 2 - 8),
    "texts without end": b'"' * MEGABYTE,
    "a list where a text belongs": b'{"quote":[' + b"1," * (MEGABYTE // 2 - 8) + b"1]}",
}


@pytest.mark.parametrize("name", MANY)
def test_a_megabyte_of_many_values_is_refused_before_it_is_read(name: str) -> None:
    """By the processor's time, of which reading it takes thirty times as much."""

    def read() -> str:
        with pytest.raises(Malformed) as refused:
            strict_json.parse(MANY[name], "request", MEGABYTE, values=1000)
        assert refused.value.code == "DJ210"
        return refused.value.message

    assert least_labour(read, 0.02) < 0.05
    assert "more " in read()


def test_whoever_says_no_number_reads_a_hundred_thousand_values() -> None:
    """An object, its name, a list, and a comma before each value but the first."""
    assert len(strict_json.parse(b'{"a":[' + b"1," * 99_996 + b"1]}", "document").content) == 1
    with pytest.raises(Malformed, match="more values and names than the 100000"):
        strict_json.parse(b'{"a":[' + b"1," * 100_000 + b"1]}", "document")


def test_signs_within_texts_are_no_values() -> None:
    text = json.dumps({"policy": 'c:[type=="a", value==[1]], {}' * 100, "a": [1, 2]}).encode()
    assert strict_json.parse(text, "request", values=7).content["a"] == [1, 2]
    with pytest.raises(Malformed):
        strict_json.parse(text, "request", values=6)


@pytest.mark.parametrize(
    ("value", "expected"), [([1] * 9, "a list of 9"), ({"a": 1}, "an object of 1"), ("x" * 99, repr("x" * 40)), (None, "'None'")]
)
def test_a_value_of_the_wrong_kind_is_told_in_short(value: Json, expected: str) -> None:
    with pytest.raises(Malformed, match=re.escape(f"found {expected}")):
        strict_json.Members("request", {"quote": value}).number("quote", 1)


@pytest.mark.parametrize(
    ("text", "told"), [(b"{}", "found nothing"), (b'{"a": null}', "found 'None'"), (b'{"a": 1}', "found '1'")]
)
def test_a_member_that_is_not_there_is_told_apart_from_one_of_another_type(text: bytes, told: str) -> None:
    with pytest.raises(Malformed, match=f"a: expected a string, {told}"):
        strict_json.parse(text, "bundle").text("a")
