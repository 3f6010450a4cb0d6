"""What was done to a chain is found, and where; an honest one is whole."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.audit.chains import again, anchor, head, written

from donjon.audit.chain import Record
from donjon.audit.statements import Statement
from donjon.audit.verification import MAX_FINDINGS, Chain, verify

A, B = written("a", 9), written("b", 3)
CHANGED = replace(A[4], event=b'{"number":99}')


def changed_hash_and_all(records: list[Record]) -> list[Record]:
    return [*records[:4], again([*records[:4], CHANGED], 5)[4], *records[5:]]


def moved(records: list[Record]) -> list[Record]:
    third, fourth = records[2], records[3]
    return [*records[:2], replace(fourth, number=3), replace(third, number=4), *records[4:]]


def moved_with_their_links(records: list[Record]) -> list[Record]:
    third, fourth = records[2], records[3]
    swapped = [replace(fourth, number=3, previous=third.previous), replace(third, number=4, previous=fourth.previous)]
    return [*records[:2], *swapped, *records[4:]]


@pytest.mark.parametrize(
    ("spoil", "statements", "found"),
    [
        (lambda records: records, [], []),
        (lambda records: records, [head(A[3]), head(A[8])], []),
        (lambda records: records[4:], [anchor(A[3])], []),
        (lambda records: records[4:], [anchor(A[1]), anchor(A[3]), head(A[1]), head(A[3]), head(A[6])], []),
        (lambda _: [], [anchor(A[8]), head(A[8]), head(A[3])], []),
        (lambda records: records[:3] + records[5:], [], [("DJ602", "chain a: records 4 to 5 are missing")]),
        (lambda records: records[:3] + records[5:], [head(A[4])], [("DJ602", "chain a: records 4 to 5 are missing")]),
        (lambda records: records[2:], [], [("DJ602", "chain a: records 1 to 2 are missing")]),
        (lambda records: records[6:], [anchor(A[3])], [("DJ602", "chain a: records 5 to 6 are missing")]),
        (lambda records: records[2:], [anchor(A[3])], [("DJ602", "chain a: records 1 to 2 are missing")]),
        (lambda records: [*records[:4], CHANGED, *records[5:]], [], [("DJ603", "chain a, record 5: was changed")]),
        (lambda records: [replace(records[0], moment=1), *records[1:]], [], [("DJ603", "chain a, record 1: was changed")]),
        (
            lambda records: [*records[:8], replace(records[8], previous=bytes(32))],
            [],
            [("DJ603", "chain a, record 9: was changed")],
        ),
        (
            moved,
            [],
            [("DJ604", "chain a, record 3: was record 4"), ("DJ604", "chain a, record 4: was record 3")],
        ),
        (
            moved_with_their_links,
            [],
            [("DJ603", "chain a, record 3: was changed"), ("DJ603", "chain a, record 4: was changed")],
        ),
        (changed_hash_and_all, [], [("DJ605", "chain a, record 5: is not the one that the next one follows")]),
        (
            lambda records: [replace(B[0], writer="a"), *records[1:]],
            [],
            [("DJ605", "chain a: the first record does not"), ("DJ605", "record 1: is not")],
        ),
        (
            lambda records: records[:6],
            [head(A[5]), head(A[7])],
            [("DJ606", "chain a: ends with record 6, and a head states record 8")],
        ),
        (lambda _: [], [head(A[7])], [("DJ606", "chain a: ends with record 0, and a head states record 8")]),
        (lambda _: [], [anchor(A[3]), head(A[7])], [("DJ606", "chain a: ends with record 4, and a head states record 8")]),
        (
            lambda records: again([*records[:4], CHANGED, *records[5:]], 5),
            [head(A[3]), head(A[7])],
            [("DJ607", "chain a, record 8: is another than a head states")],
        ),
        (
            lambda records: again([*records[:4], CHANGED, *records[5:]], 5)[6:],
            [head(A[5]), anchor(again([*A[:4], CHANGED, *A[5:]], 5)[5])],
            [("DJ607", "chain a, record 6: was dropped, and a head states another than the anchor")],
        ),
    ],
    ids=[
        "whole",
        "whole beside its heads",
        "dropped by age",
        "dropped by age twice",
        "dropped to its end",
        "two cut out",
        "two cut out, one of them stated",
        "its beginning cut off",
        "more cut off than was dropped",
        "anchored later than it begins",
        "an event changed",
        "a moment changed",
        "a link changed",
        "two exchanged",
        "two exchanged, with their links",
        "one written anew",
        "one of another chain",
        "cut at its end",
        "all of it cut",
        "all of it cut, after some was dropped",
        "all that follows written anew",
        "written anew before it was dropped",
    ],
)
def test_what_was_done_to_a_chain_is_found(
    spoil: Callable[[list[Record]], list[Record]], statements: list[Statement], found: list[tuple[str, str]]
) -> None:
    findings = verify([*spoil(A), *B], statements).findings
    assert [each.code for each in findings] == [code for code, _ in found]
    for finding, (_, words) in zip(findings, found, strict=True):
        assert words in finding.sentence()


def test_every_chain_is_told_with_the_last_record_that_a_head_states() -> None:
    assert verify([*A[4:], *B], [anchor(A[3]), head(A[6]), head(A[5])]).chains == (
        Chain(writer="a", first=5, last=9, stated=7),
        Chain(writer="b", first=1, last=3, stated=0),
    )


def test_numbers_at_the_end_of_all_numbers_are_no_trouble() -> None:
    last = replace(A[0], number=(1 << 63) - 1)
    assert [each.code for each in verify([last], []).findings] == ["DJ602", "DJ603"]


def test_more_findings_than_anybody_reads_are_counted() -> None:
    spoiled = [replace(each, event=b"") for each in written("a", MAX_FINDINGS + 7)]
    found = verify(spoiled, [])
    assert (len(found.findings), found.more) == (MAX_FINDINGS, 7)
