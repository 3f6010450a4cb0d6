"""Quantities as Kubernetes reads and prints them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donjon.errors import Malformed
from donjon.kube.quantities import MAX, NANO, canonical, exact, parse, readable, same_amount

BOTH_WAYS = [
    (0, "0"),
    (10, "10"),
    (1000, "1000"),
    (1023, "1023"),
    (1 << 10, "1Ki"),
    (1536, "1536"),
    (512 << 10, "512Ki"),
    (10 << 20, "10Mi"),
    (1 << 30, "1Gi"),
    (99 << 40, "99Ti"),
    (1 << 50, "1Pi"),
    (7 << 60, "7Ei"),
    (MAX, str(MAX)),
    (-(2 << 20), "-2Mi"),
]

READ_ONLY = [
    ("1024Mi", 1 << 30),
    ("0.5Mi", 512 << 10),
    ("1.5Ki", 1536),
    ("1e3", 1000),
    ("1E3", 1000),
    ("1E", 10**18),
    ("+5", 5),
    ("5.", 5),
    (".5k", 500),
    ("2000m", 2),
    ("3000000u", 3),
    ("4000000000n", 4),
    ("1k", 1000),
    ("1M", 10**6),
    ("1G", 10**9),
    ("1T", 10**12),
    ("1P", 10**15),
    ("10e-1", 1),
    ("0e999999999999", 0),
    ("-0", 0),
    ("0.99999999999", 1),  # Kubernetes rounds away from zero to a billionth.
]

LONG = [
    (f"{'0' * 200}10Mi", 10 << 20),
    (f"-{'0' * 200}10", -10),
    (f"10.{'0' * 200}Ki", 10240),
    (f"{'0' * 200}", 0),
    (f"{'0' * 200}.5k", 500),
    (f"{'0' * 3_000_000}1", 1),
]
"""Kubernetes knows no length."""

NO_AMOUNT = ["", " ", "1 Mi", "Mi", "1mi", "1KB", "0x10", "1_000", "one", "1.5", "100m", "1e-3", "1e", ".", "+", "1e400", "10Ei"]
NO_AMOUNT += [str(MAX + 1), "1e999999999999999999", "9" * 200, "٣", "1\n", "1e-999999999", "--1", "1.2.3", "nan", "inf"]
NO_AMOUNT += ["9" * 200 + "x", " " * 200, "." * 200, "1.2" * 100, "1" * 200 + "e" + "9" * 40, "0" * 200 + "x", "+" + "-" * 200]


@pytest.mark.parametrize(("amount", "text"), BOTH_WAYS)
def test_reads_what_it_prints(amount: int, text: str) -> None:
    assert canonical(amount) == text
    assert parse(text) == amount


@pytest.mark.parametrize(("text", "amount"), READ_ONLY)
def test_reads_every_form_that_kubernetes_reads(text: str, amount: int) -> None:
    assert parse(text) == amount


@pytest.mark.parametrize(("text", "amount"), LONG, ids=range(len(LONG)))
def test_zeros_that_change_nothing_may_be_any_number(text: str, amount: int) -> None:
    assert parse(text) == amount


@pytest.mark.parametrize(
    ("text", "least"),
    [("9" * 200, 1 << 63), (f"{'9' * 200}e9", 1 << 63), (f"1.{'0' * 200}1", 1 + Fraction(1, NANO)), (f"-{'9' * 200}", None)],
    ids=range(4),
)
def test_digits_that_nobody_needs_are_counted_as_too_many_or_as_a_fraction(text: str, least: Fraction | None) -> None:
    assert exact(text) < 0 if least is None else exact(text) >= least
    with pytest.raises(Malformed):
        parse(text)


@pytest.mark.parametrize("text", NO_AMOUNT)
def test_refuses_what_is_no_whole_amount(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert caught.value.code == "DJ910"
    assert len(str(caught.value)) < 300


@given(st.integers(min_value=-MAX, max_value=MAX))
def test_printing_loses_nothing(amount: int) -> None:
    assert parse(canonical(amount)) == amount


@given(st.text(max_size=40))
def test_any_text_is_an_amount_or_malformed(text: str) -> None:
    try:
        assert abs(parse(text)) <= MAX
    except Malformed as error:
        assert error.code == "DJ910"  # noqa: PT017 - both outcomes are right, and each has its own promise.


def test_two_spellings_of_an_amount_are_the_same_amount() -> None:
    assert same_amount("1Gi", 1 << 30)
    assert same_amount("1073741824", 1 << 30)
    assert not same_amount("1G", 1 << 30)
    assert not same_amount("nonsense", 0)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (7851737024, "7.3Gi"),
        (8 << 30, "8Gi"),
        ((8 << 30) - 4096, "7.9Gi"),
        ((8 << 30) + 4096, "8.0Gi"),
        (8128 << 20, "7.9Gi"),
        (1014 << 20, "1014Mi"),
        (64, "64 bytes"),
        (1, "1 byte"),
        (0, "0"),
    ],
)
def test_a_person_reads_an_amount_with_one_digit_behind_the_point_and_never_more_than_there_is(number: int, text: str) -> None:
    assert readable(number) == text
