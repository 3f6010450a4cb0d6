"""Which PCK certificate a platform should use, as Intel's selection library decides it."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from donjon.collateral.levels import LevelStatus
from donjon.collateral.selection import Tcb, select
from donjon.collateral.status import TcbStatus
from donjon.collateral.tcb_info import TcbLevel

STANDING = LevelStatus(status=TcbStatus.UP_TO_DATE, date=datetime(2026, 1, 1, tzinfo=UTC), advisories=())


def tcb(first: int, second: int, pce_svn: int) -> Tcb:
    return Tcb(components=bytes([first, second, *[1] * 14]), pce_svn=pce_svn)


def levels(*tcbs: Tcb) -> list[TcbLevel]:
    return [TcbLevel(sgx=each.components, pce_svn=each.pce_svn, tdx=None, level_status=STANDING) for each in tcbs]


LEVELS = levels(tcb(5, 5, 9), tcb(3, 3, 7), tcb(2, 2, 5))
CERTIFIED = (tcb(2, 2, 5), tcb(5, 5, 9), tcb(3, 3, 7), tcb(3, 4, 7), tcb(3, 3, 9), tcb(1, 9, 1))


@pytest.mark.parametrize(
    ("platform", "best"),
    [
        (tcb(5, 5, 9), tcb(5, 5, 9)),
        (tcb(9, 9, 99), tcb(5, 5, 9)),
        (tcb(3, 3, 7), tcb(3, 3, 7)),
        (tcb(3, 4, 7), tcb(3, 4, 7)),  # the higher one under the same level
        (tcb(4, 3, 8), tcb(3, 3, 7)),
        (tcb(5, 5, 8), tcb(3, 4, 7)),  # the PCE holds it back
        (tcb(5, 5, 6), tcb(2, 2, 5)),
        (tcb(3, 3, 9), tcb(3, 3, 9)),
        (tcb(3, 4, 9), tcb(3, 4, 7)),  # it reaches two of which neither is higher: the first stays the first
        (tcb(2, 2, 5), tcb(2, 2, 5)),
        (tcb(1, 9, 1), tcb(1, 9, 1)),  # a certificate under no level
        (tcb(1, 8, 9), None),
        (tcb(2, 2, 4), None),
    ],
)
def test_the_highest_certificate_that_the_platform_reaches_is_taken(platform: Tcb, best: Tcb | None) -> None:
    found = select(platform, CERTIFIED, LEVELS)
    assert (None if found is None else CERTIFIED[found]) == best


def test_without_certificates_there_is_none() -> None:
    assert select(tcb(9, 9, 9), (), LEVELS) is None


def under(each: Tcb, steps: Sequence[TcbLevel]) -> int:
    """The first level that it reaches."""
    reached = [place for place, step in enumerate(steps) if each.reaches(Tcb(components=step.sgx, pce_svn=step.pce_svn))]
    return min(reached, default=len(steps))


@pytest.mark.parametrize("seed", range(200))
def test_none_that_is_reached_stands_under_a_higher_level_or_is_higher_under_the_same(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a table of cases, not a secret.

    def some() -> Tcb:
        return tcb(chance.randint(0, 3), chance.randint(0, 3), chance.randint(0, 3))

    certified, platform = [some() for _ in range(chance.randint(1, 10))], some()
    steps = levels(*sorted({some() for _ in range(5)}, key=lambda each: (each.components, each.pce_svn), reverse=True))
    reached = [each for each in certified if platform.reaches(each)]
    found = select(platform, certified, steps)
    assert (found is None) == (not reached)
    if found is not None:
        best = certified[found]
        assert best in reached
        assert under(best, steps) == min(under(each, steps) for each in reached)
        rivals = [each for each in reached if under(each, steps) == under(best, steps) and each != best]
        assert not any(each.reaches(best) for each in rivals)
