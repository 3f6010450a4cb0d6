"""Records become old by what was seen to pass, and by no clock alone."""

import pytest

from donjon.audit import age

DAY = 86_400_000_000
KEPT = 400 * DAY
NOW = 1_000 * DAY
DAILY = [day * DAY for day in range(1_001)]


@pytest.mark.parametrize(
    ("stated", "before"),
    [
        (DAILY, NOW - KEPT),
        (DAILY[:-1], NOW - KEPT),
        ([*DAILY, NOW + DAY, NOW + 900 * DAY], NOW - KEPT),
        ([0, 1, NOW], None),
        ([*DAILY[:951], NOW], NOW - KEPT),
        ([*DAILY[:601], NOW], 600 * DAY - 300 * DAY),
        (DAILY[:-2], None),
        (DAILY[:10], None),
        ([NOW], None),
        ([NOW + 1], None),
        ([], None),
        (DAILY[660:], NOW - KEPT),
        (DAILY[800:], None),
    ],
    ids=[
        "every day",
        "every day but today",
        "and in the future",
        "years ago and now",
        "a long silence",
        "a longer one, which counts for a fourth",
        "not for two days",
        "not for years",
        "now alone",
        "in the future alone",
        "never",
        "for most of the time",
        "for half of the time",
    ],
)
def test_what_is_old_is_what_was_seen_to_become_it(stated: list[int], before: int | None) -> None:
    assert age.find_cutoff(stated, NOW, KEPT) == before
