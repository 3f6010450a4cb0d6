"""No way back, per root, update channel, family and kind of document."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.attestation.worlds import trusted
from tests.simulation.intel import MOMENT, world

from donjon.collateral.high_water import MAX_MARKS, HighWater, Mark, advance, encode, parse
from donjon.collateral.plan import Channel
from donjon.errors import Malformed, Untrusted

HOUR = timedelta(hours=1)
NOTHING = HighWater()


def after(
    changes: Mapping[str, object] | None = None, high: HighWater = NOTHING, channel: Channel = Channel.STANDARD
) -> HighWater:
    return advance(high, trusted(world(changes=changes or {})), channel)


def test_the_first_collateral_makes_four_marks_and_the_same_again_none() -> None:
    assert len(after().marks) == 4
    assert after(high=after()) == after()


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("tcb_info.issue_date", "tcb_info"),
        ("qe_identity.issue_date", "qe_identity"),
        ("pck_crl.issue_date", "pck_crl"),
        ("root_crl.issue_date", "root_ca_crl"),
    ],
)
def test_an_earlier_document_is_refused_and_a_later_one_is_not(field: str, kind: str) -> None:
    later, earlier = after({field: MOMENT - HOUR}), {field: MOMENT - 2 * HOUR}
    with pytest.raises(Untrusted, match=f"{kind}: .*was trusted before") as refused:
        after(earlier, later)
    assert refused.value.code == "DJ250"
    assert after({field: MOMENT - HOUR}, after(earlier)) == later


@pytest.mark.parametrize("kind", ["tcb_info", "qe_identity"])
def test_the_evaluation_number_goes_before_the_date(kind: str) -> None:
    high = after({f"{kind}.evaluation_number": 21})
    with pytest.raises(Untrusted, match="evaluation number 20"):
        after({f"{kind}.evaluation_number": 20, f"{kind}.issue_date": MOMENT - HOUR}, high)
    newer = {f"{kind}.evaluation_number": 22, f"{kind}.issue_date": MOMENT - timedelta(days=20)}
    assert after(newer, high) != high


def test_the_two_update_channels_have_marks_of_their_own() -> None:
    high = after({"tcb_info.evaluation_number": 21}, channel=Channel.EARLY)
    assert len(after({"tcb_info.evaluation_number": 20}, high, Channel.STANDARD).marks) == 6


def test_another_root_raises_no_mark_of_ours() -> None:
    high = after({"tcb_info.evaluation_number": 10_000})
    assert len(advance(high, trusted(world(changes={"seed": b"another"})), Channel.STANDARD).marks) == 8


def test_the_state_file_keeps_the_marks() -> None:
    assert parse(encode(after())) == after()


@pytest.mark.parametrize(
    ("text", "code"),
    [(b"", "DJ210"), (b'{"marks":{"a":1}}', "DJ211"), (b'{"marks":{"a":{},"a":{}}}', "DJ210"), (b"{}", "DJ211")],
)
def test_a_state_file_that_is_none_is_refused(text: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(text)
    assert refused.value.code == code


def test_the_marks_are_bounded() -> None:
    full = HighWater(marks={str(number): Mark(0, MOMENT) for number in range(MAX_MARKS)})
    with pytest.raises(Malformed) as refused:
        after(high=full)
    assert refused.value.code == "DJ251"
    with pytest.raises(Malformed, match="DJ251"):
        parse(encode(HighWater(marks={**full.marks, "one more": Mark(0, MOMENT)})))
