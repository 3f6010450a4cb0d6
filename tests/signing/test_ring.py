"""Which key signs when, and which are shown."""

from datetime import datetime, timedelta

import pytest
from tests.attestation.signers import MADE, signer

from donjon.attestation.token import KEY_RETENTION
from donjon.errors import Misconfigured, Unavailable
from donjon.signing import ring
from donjon.signing.ring import AHEAD, DatedKey
from donjon.signing.signer import Algorithm

HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
NOW = MADE + YEAR


def key(name: str, begins: timedelta, lifetime: timedelta = YEAR) -> DatedKey:
    """It begins that long after now."""
    return DatedKey(name=name, signer=signer(Algorithm.ES256, name), begins=NOW + begins, ends=NOW + begins + lifetime)


OLD, PRESENT, NEXT = key("old", -9 * HOUR), key("present", -8 * HOUR), key("next", HOUR)
ALL = (NEXT, OLD, PRESENT)


def test_the_last_that_has_begun_signs_whatever_order_the_store_has() -> None:
    assert ring.current_key(ALL, NOW) is PRESENT
    assert ring.current_key(reversed(ALL), NOW) is PRESENT
    assert ring.current_key(ALL, NOW - HOUR - timedelta(hours=7.5)) is OLD


def test_a_key_signs_from_the_moment_of_its_beginning_and_not_before() -> None:
    assert ring.current_key(ALL, NEXT.begins) is NEXT
    assert ring.current_key(ALL, NEXT.begins - timedelta(microseconds=1)) is PRESENT


def test_the_next_is_published_before_it_signs_and_the_last_until_its_tokens_have_ended() -> None:
    assert ring.published_keys(ALL, NOW, KEY_RETENTION) == (OLD, PRESENT, NEXT)
    gone = PRESENT.begins + KEY_RETENTION
    assert ring.published_keys(ALL, gone - timedelta(microseconds=1), KEY_RETENTION) == (OLD, PRESENT, NEXT)
    assert ring.published_keys(ALL, gone, KEY_RETENTION) == (PRESENT, NEXT)
    assert (ring.unneeded_keys(ALL, gone, KEY_RETENTION), ring.unneeded_keys(ALL, gone - HOUR, KEY_RETENTION)) == ((OLD,), ())


def test_keys_that_begin_at_once_are_told_apart_by_their_names() -> None:
    twins = (key("one", -HOUR), key("other", -HOUR))
    assert ring.current_key(twins, NOW) is ring.current_key(reversed(twins), NOW)
    assert len(ring.published_keys(twins, NOW, KEY_RETENTION)) == 2


@pytest.mark.parametrize(
    "keys", [(), (NEXT,), (key("ended", -HOUR, HOUR),), (key("long", -3 * HOUR), key("succeeded by", -2 * HOUR, HOUR))]
)
def test_without_a_key_that_is_good_nobody_signs(keys: tuple[DatedKey, ...]) -> None:
    with pytest.raises(Unavailable) as told:
        ring.current_key(keys, NOW)
    assert told.value.code == "DJ541"


@pytest.mark.parametrize(("keys", "moment"), [((NEXT, key("later", 2 * HOUR)), NEXT.begins), ((key("ended", -HOUR, HOUR),), NOW)])
def test_where_nobody_signs_both_moments_are_named_and_the_clock_is_to_be_compared_first(
    keys: tuple[DatedKey, ...], moment: datetime
) -> None:
    with pytest.raises(Unavailable) as told:
        ring.current_key(keys, NOW)
    message = told.value.message
    assert f"{keys[0].name}, {'begins' if moment > NOW else 'ended'} {moment:%FT%TZ}" in message
    assert f"this machine's clock says {NOW:%FT%TZ}; " in message
    assert "the clock" in message.rpartition("; ")[2]
    found = ring.appraise(keys, NOW, "/keys")
    assert found is not None
    assert found.do.startswith("compare the clock")


def test_a_key_that_has_ended_is_published_as_long_as_its_tokens() -> None:
    ended = key("ended", -HOUR, HOUR)
    assert ring.published_keys((ended,), NOW + KEY_RETENTION - HOUR, KEY_RETENTION) == (ended,)
    assert ring.published_keys((ended,), NOW + KEY_RETENTION, KEY_RETENTION) == ()


def test_keys_run_out_when_the_last_one_ends_whichever_ends_last() -> None:
    assert ring.runs_out(ALL) == NEXT.ends
    assert ring.runs_out((key("short", HOUR, HOUR), PRESENT)) == NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("keys", "ahead", "begins"),
    [
        ((), AHEAD, NOW - HOUR),
        ((NEXT,), AHEAD, NOW - HOUR),
        ((key("ended", -HOUR, HOUR),), AHEAD, NOW),
        ((PRESENT,), AHEAD, NOW + AHEAD),
        ((key("ends soon", -HOUR, 3 * HOUR),), AHEAD, NOW + 2 * HOUR),
        ((PRESENT, NEXT), timedelta(), NOW),
    ],
)
def test_a_new_key_begins_when_relying_parties_have_had_time_to_see_it(
    keys: tuple[DatedKey, ...], ahead: timedelta, begins: datetime
) -> None:
    assert ring.next_start(keys, NOW, ahead) == begins


@pytest.mark.parametrize("ahead", [HOUR, AHEAD])
def test_no_key_is_made_behind_one_that_is_the_next_already(ahead: timedelta) -> None:
    with pytest.raises(Misconfigured) as told:
        ring.next_start((PRESENT, NEXT), NOW, ahead)
    assert told.value.code == "DJ545"
