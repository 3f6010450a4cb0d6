"""What was done to a chain is found, and where; an honest one is whole."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.audit.chains import again, anchor, head, last, written

from donjon.audit import chain
from donjon.audit.chain import Record
from donjon.audit.statements import Removal, Statement, StatementKind
from donjon.audit.verification import BATCH, LATE, MAX_FINDINGS, RECORDS, Chain, find_unstated, verify

A, B = written("a", 9), written("b", 3)
BEGUN = Statement(kind=StatementKind.HEAD, link=chain.start("a"), moment=0)
HOUR = 3_600_000_000
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
    findings = verify([*spoil(A), *B], [BEGUN, *statements, last(B[2])]).findings
    assert [each.code for each in findings] == [code for code, _ in found]
    for finding, (_, words) in zip(findings, found, strict=True):
        assert words in finding.sentence()


def test_a_head_behind_a_last_head_is_told_also_where_its_record_is_gone() -> None:
    codes = {each.code: each.observation for each in verify(A[:6], [last(A[5]), head(A[7])]).findings}
    assert codes.keys() == {"DJ606", "DJ614"}
    assert "it ended with record 6, and there is record 8" in codes["DJ614"]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_last_heads_the_first_counts_in_whatever_order_they_come(turn: int) -> None:
    found = verify(A, [last(A[5]), last(A[8])][::turn]).findings
    assert [(each.code, "ended with record 6" in each.observation) for each in found] == [("DJ614", True)]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_heads_of_a_record_the_earlier_counts_in_whatever_order_they_come(turn: int) -> None:
    early, late = replace(head(A[4]), moment=A[4].moment - 1), replace(head(A[4]), moment=HOUR)
    found = verify(A, [early, late][::turn]).findings
    assert [(each.code, "younger" in each.observation) for each in found] == [("DJ615", True)]


def test_what_an_anchor_says_of_the_one_that_it_replaces_counts() -> None:
    made = dropping(A[3:6], 1, 9 * HOUR, (A[5],))
    assert made.removal is not None
    another = replace(made, removal=replace(made.removal, anchor=chain.end(A[2])))
    assert verify(A[6:], [another, anchor(A[2])]).findings == ()
    found = verify(A[6:], [another, of_number(3, A[1])]).findings
    assert [each.code for each in found] == ["DJ607"]


def test_every_chain_is_told_with_the_last_record_that_a_head_states() -> None:
    assert verify([*A[4:], *B], [anchor(A[3]), head(A[6]), head(A[5]), last(B[2])]).chains == (
        Chain(writer="a", first=5, last=9, last_stated=7, last_dropped=4, waits=A[7].moment),
        Chain(writer="b", first=1, last=3, last_stated=3, is_ended=True),
    )


def test_a_chain_of_which_nothing_is_left_is_told() -> None:
    assert verify([], [anchor(A[8])]).chains == (Chain(writer="a", first=10, last=9, last_stated=9, last_dropped=9),)


def test_numbers_at_the_end_of_all_numbers_are_no_trouble() -> None:
    furthest = replace(A[0], number=(1 << 63) - 1)
    assert [each.code for each in verify([furthest], [BEGUN]).findings] == ["DJ602", "DJ603"]


def test_more_findings_than_anybody_reads_are_counted() -> None:
    spoiled = [replace(each, event=b"") for each in written("a", MAX_FINDINGS + 7)]
    found = verify(spoiled, [BEGUN])
    assert (len(found.findings), found.more) == (MAX_FINDINGS, 7)


def of_number(number: int, record: Record) -> Statement:
    """A head for that number with another record's hash."""
    return replace(head(record), link=replace(chain.end(record), number=number))


def dropping(records: list[Record], kept: int, moment: int, heads: tuple[Record, ...]) -> Statement:
    """The anchor of these, as retention makes it."""
    removal = Removal(
        first=records[0].number,
        oldest=records[0].moment,
        newest=records[-1].moment,
        retention=kept,
        heads=tuple(map(chain.end, heads)),
    )
    return replace(anchor(records[-1]), moment=moment, removal=removal)


def moved_on(records: list[Record], by: int, first: int) -> list[Record]:
    """These, and those from the record `first` on that much later, as their writer would have written them then."""
    later = [each if each.number < first else replace(each, moment=each.moment + by) for each in records]
    return again(later, first)


@pytest.mark.parametrize(
    ("records", "statements", "found"),
    [
        (A, [], [("DJ613", "chain a: there is no head of it, not even of its beginning")]),
        (A, [last(A[5])], [("DJ614", "a head says that it ended with record 6, and there is record 9")]),
        (A, [last(A[5]), head(A[8])], [("DJ614", "a head says that it ended with record 6, and there is record 9")]),
        (A[6:], [replace(anchor(A[5]), last=True)], [("DJ614", "it ended with record 6, and there is record 9")]),
        (moved_on(A, -1, 5), [BEGUN], []),
        (moved_on(A, -1001, 5), [BEGUN], [("DJ615", "chain a, record 5: is older than the one before it")]),
        (A, [replace(head(A[4]), moment=HOUR)], [("DJ615", "chain a, record 6: is older than a head of the one before it")]),
        (A, [replace(head(A[4]), moment=A[4].moment - 1)], [("DJ615", "record 5: is younger than a head that states it")]),
        (moved_on(A, LATE, 6), [head(A[3])], [("DJ616", "chain a: no head states records 5 to 9, and one was due")]),
        (moved_on(A, LATE, 6), [head(moved_on(A, LATE, 6)[5])], []),
        (written("a", RECORDS + BATCH), [BEGUN], []),
        (written("a", RECORDS + BATCH + 1), [BEGUN], [("DJ616", "no head states records 1 to 1257, and one was due")]),
        ([], [anchor(A[8]), of_number(4, A[2]), head(A[3])], [("DJ607", "record 4: is stated with two hashes")]),
        (A, [replace(BEGUN, link=replace(BEGUN.link, hash=bytes(32)))], [("DJ607", "record 0: is stated with two hashes")]),
        (A[6:], [dropping(A[:6], 1, 9 * HOUR, (A[2], A[5])), head(A[2])], []),
        (
            A[6:],
            [dropping(A[:6], 1, 9 * HOUR, (A[2], A[5])), of_number(3, A[1])],
            [("DJ607", "record 3: is stated with two hashes")],
        ),
        (
            A[6:],
            [dropping(A[:6], HOUR, 9 * HOUR, (A[5],)), replace(head(A[2]), moment=8 * HOUR + 1)],
            [("DJ618", "chain a, record 6: was dropped before it was as old as records are kept")],
        ),
        (A[6:], [dropping(A[:6], HOUR, HOUR, (A[5],))], [("DJ618", "chain a, record 6: was dropped before")]),
    ],
    ids=[
        "of a writer that never was",
        "gone on with",
        "gone on with, and stated",
        "gone on with, after what was before was dropped",
        "in order",
        "going back",
        "older than what was said before it",
        "younger than what was said of it",
        "stated too late",
        "stated in time",
        "as many as may be unstated",
        "one more than may be unstated",
        "two hashes of what was dropped",
        "two beginnings",
        "dropped with what was said of it",
        "dropped, and something else said of it",
        "dropped as soon as it was stated",
        "dropped as soon as it was written",
    ],
)
def test_what_was_added_or_said_twice_is_found(
    records: list[Record], statements: list[Statement], found: list[tuple[str, str]]
) -> None:
    findings = verify(records, statements).findings
    assert [each.code for each in findings] == [code for code, _ in found]
    for finding, (_, words) in zip(findings, found, strict=True):
        assert words in finding.sentence()


@pytest.mark.parametrize(("later", "codes"), [(LATE, []), (LATE + 1, ["DJ617"])])
def test_an_end_that_nobody_states_any_more_is_told_and_no_accusation(later: int, codes: list[str]) -> None:
    found = verify(A, [head(A[5])])
    assert found.findings == ()
    assert [each.code for each in find_unstated(found.chains, A[6].moment + later)] == codes
    for end in (last(A[8]), last(A[5])):
        assert find_unstated(verify(A, [end]).chains, 9 * HOUR) == (), "it has ended"
