"""A second opinion on broken worlds, and every single bit: a seeded sample of what `make differential` does in full."""

import random
from collections import Counter

import pytest
from tests.conformance import differential, flips
from tests.conformance.differential import Outcome
from tests.conformance.mutants import Mutant, mutant
from tests.conformance.peer import Peer
from tests.conformance.reasons import reason

MUTANTS = 2000
FLIPS = 1000
BASES = differential.bases()


def test_both_judge_the_bases_alike_or_differ_for_a_reason(peer: Peer) -> None:
    outcomes = [Outcome(0, base.told, differential.ours(base), differential.theirs(peer, base)) for base in BASES]
    assert [each for each in outcomes if not each.agree and reason(each.ours, each.theirs, each.told) is None] == []
    assert sum(each.judged for each in outcomes) > len(outcomes) / 2


def test_no_mutant_is_judged_otherwise_without_a_reason(peer: Peer) -> None:
    outcomes = [differential.compare(peer, number, BASES) for number in range(MUTANTS)]
    assert [each for each in outcomes if not each.agree and each.reason is None] == []
    counted = Counter("judged" if each.judged else "refused" if each.agree else "reason" for each in outcomes)
    assert min(counted.values()) > MUTANTS / 20, counted


def test_the_same_number_gives_the_same_mutant() -> None:
    assert [mutant(number, BASES) for number in range(50)] == [mutant(number, BASES) for number in range(50)]


@pytest.mark.parametrize("base", [base for base in BASES if base.told in flips.WHOLE], ids=lambda base: base.told)
def test_a_turned_bit_is_refused_or_carries_nothing(base: Mutant) -> None:
    assert not differential.ours(base).startswith(differential.REFUSED)
    sample = random.Random(base.told).sample(flips.bits(base), FLIPS)  # noqa: S311 - the same sample each time
    assert list(flips.survivors(base, sample)) == []


def test_whole_quotes_of_both_tees_are_turned_bit_by_bit() -> None:
    assert len([base for base in BASES if base.told in flips.WHOLE]) == len(flips.WHOLE)


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        ("UpToDate  | v3 SGX", "OutOfDate  |", "extension.components.0"),
        ("UpToDate  | v3 SGX", "refused: Verification failed: Signature is invalid for qe_report in quote", "quote bit 1"),
        ("UpToDate  | v3 SGX", "refused: Verification failed: No matching TCB level found", "tcb_info.levels.0.pce_svn"),
        ("UpToDate  | v3 SGX", "refused: Verification failed: TCBInfo expired", ""),
        ("refused: DJ230 tcb_info: SGX TCB Signing did not sign this text", "UpToDate  |", "tcb_info bit 1"),
        ("refused: DJ243 quote: the attestation key did not sign it", "UpToDate  |", "quote bit 1"),
        ("LEAKED: KeyError()", "refused: Verification failed: Failed to decode quote", ""),
        ("LEAKED: KeyError()", "UpToDate  |", ""),
        ("REMEMBERED: UpToDate  | v3 SGX, and without a memory: refused: DJ224", "refused: revoked", ""),
        ("REMEMBERED: refused: DJ224 revoked, and without a memory: UpToDate |", "UpToDate  |", "revoked"),
        ("LEAKED: KeyError()", "refused: unknown variant", "revoked"),
    ],
)
def test_the_list_of_reasons_lets_no_such_difference_through(ours: str, theirs: str, told: str) -> None:
    assert not Outcome(0, told, ours, theirs).agree
    assert reason(ours, theirs, told) is None
