"""When the webhook's certificate is renewed, and that no call fails meanwhile."""

from datetime import datetime, timedelta

import pytest
from tests.pki.certs import DAY, LIFETIME, START, made

from donjon.pki.rotation import Pace, Step, StoredCertificates, after, makes_one, plan

PACE = Pace.of(LIFETIME)
SETTLE = PACE.settle
FIRST = made()


def planned(held: StoredCertificates, later: timedelta, told: bytes | None = None) -> Step:
    return plan(held, held.bundle if told is None else told, START + later, PACE)


def test_the_pace_is_minutes_for_months_and_seconds_for_minutes() -> None:
    assert timedelta(minutes=5) == Pace.of(LIFETIME).settle
    assert timedelta(seconds=3) == Pace.of(timedelta(seconds=45)).settle


@pytest.mark.parametrize(
    ("later", "step"),
    [
        (timedelta(0), Step.NOTHING),
        (60 * DAY - timedelta(seconds=1), Step.NOTHING),
        (60 * DAY, Step.PREPARE),
        (90 * DAY - timedelta(seconds=1), Step.PREPARE),
        (90 * DAY, Step.BEGIN),
        (-timedelta(hours=1), Step.NOTHING),
        (-timedelta(hours=2), Step.BEGIN),
    ],
)
def test_a_certificate_is_renewed_after_two_thirds_of_its_life(later: timedelta, step: Step) -> None:
    assert planned(StoredCertificates(present=FIRST), later) is step


def test_a_certificate_is_renewed_sooner_once_lifetimes_are_shorter() -> None:
    shorter = Pace.of(timedelta(days=3))
    assert (
        plan(StoredCertificates(present=FIRST), FIRST.authority.pem, START + 2 * DAY - timedelta(seconds=1), shorter)
        is Step.NOTHING
    )
    assert plan(StoredCertificates(present=FIRST), FIRST.authority.pem, START + 2 * DAY, shorter) is Step.PREPARE


def test_where_there_is_none_one_is_made() -> None:
    assert planned(StoredCertificates(), timedelta(0)) is Step.BEGIN
    assert after(Step.BEGIN, StoredCertificates(), FIRST, START) == StoredCertificates(present=FIRST)


SECOND = made(START + 60 * DAY)
BOTH = StoredCertificates(present=FIRST, successor=SECOND)


@pytest.mark.parametrize(
    ("since", "told", "step"),
    [
        (timedelta(0), BOTH.bundle, Step.NOTHING),
        (SETTLE - timedelta(seconds=1), BOTH.bundle, Step.NOTHING),
        (SETTLE, FIRST.authority.pem, Step.NOTHING),
        (SETTLE, b"", Step.NOTHING),
        (SETTLE, BOTH.bundle, Step.SWITCH),
        (30 * DAY, FIRST.authority.pem, Step.SWITCH),
        (90 * DAY, BOTH.bundle, Step.BEGIN),
    ],
    ids=["made now", "too early", "not told", "nothing told", "told and settled", "the present one has ended", "both have ended"],
)
def test_a_successor_serves_when_clients_have_heard_of_it_or_nothing_else_is_good(
    since: timedelta, told: bytes, step: Step
) -> None:
    assert planned(BOTH, 60 * DAY + since, told) is step


def test_authorities_are_told_until_they_end() -> None:
    held = after(Step.SWITCH, BOTH, None, START + 61 * DAY)
    assert held == StoredCertificates(present=SECOND, retired=(FIRST.authority,))
    assert FIRST.authority.pem in held.bundle
    assert planned(held, 89 * DAY) is Step.NOTHING
    assert planned(held, 90 * DAY) is Step.FORGET
    assert after(Step.FORGET, held, None, START + 90 * DAY) == StoredCertificates(present=SECOND)


def test_over_a_year_whoever_heard_of_the_bundle_a_moment_ago_trusts_whoever_switched_late() -> None:
    """Every hour each party does what is due; a replica that is a month behind, and a client an hour behind, still understand."""
    held, told = StoredCertificates(), b""
    served: list[tuple[datetime, bytes]] = []
    for hour in range(24 * 365):
        moment = START + timedelta(hours=hour)
        step = plan(held, told, moment, PACE)
        certificate = made(moment) if makes_one(step) else None
        held = after(step, held, certificate, moment)
        assert held.present is not None
        served.append((moment, held.present.authority.pem.strip()))
        if hour:
            assert served[-1][1] in told, "whoever has the bundle of an hour ago trusts what serves now"
        late = served[max(0, len(served) - 24 * 29)][1]
        told = held.bundle
        assert late in told, "a replica that is 29 days behind is trusted"
    assert len({authority for _, authority in served}) > 5
