"""True quotes that a relying party must not take (facts 4.10, clauses 28, 34, 39, 48 to 51, 64 and 65)."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.attestation.worlds import trusted
from tests.broken.worlds import KINDS, SGX, TDX, judge
from tests.simulation.intel import MOMENT, world

from donjon.attestation.acceptance import Acceptance, AcceptedQuote, Expected, accept
from donjon.collateral.highwater import Channel, HighWater, advance
from donjon.collateral.status import TcbStatus
from donjon.errors import Misconfigured, Untrusted
from donjon.simulation.intel.reports import SEPT_VE_DISABLE

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
DEFAULT = Acceptance()
DOCUMENTS = ("tcb_info", "qe_identity", "root_crl", "pck_crl")
TERMINAL = (TcbStatus.REVOKED, TcbStatus.NOT_SUPPORTED, TcbStatus.UNRECOGNIZED)


def refusals(kind: str, changes: Mapping[str, object], rules: Acceptance = DEFAULT) -> list[str]:
    """The codes that a true quote is refused with; none where it is accepted."""
    answer = accept(judge(world(kind, changes)), rules)
    return [] if isinstance(answer, AcceptedQuote) else [reason.code for reason in answer]


@pytest.mark.parametrize("kind", KINDS)
def test_the_valid_world_is_taken(kind: str) -> None:
    """Nothing wrong. Accepted by default: what follows is refused for its one change."""
    assert refusals(kind, {}) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_past_its_next_update(kind: str, document: str) -> None:
    """nextUpdate a second ago. Refused by default. Clauses 28 and 39."""
    assert refusals(kind, {f"{document}.next_update": MOMENT - SECOND}) == ["DJ264"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_status_whatever_is_accepted(kind: str) -> None:
    """ "tcbStatus": "Fine", all statuses accepted by name. Refused. Clause 48."""
    every = Acceptance(statuses=frozenset(TcbStatus) - {*TERMINAL})
    assert refusals(kind, {"tcb_info.levels.0.status": "Fine"}, every) == ["DJ261"]
    assert refusals(kind, {"tcb_info.levels.0.status": "Revoked"}, every) == ["DJ261"]
    assert refusals(kind, {"extension.pcesvn": 0}, every) == ["DJ261"]


@pytest.mark.parametrize("status", TERMINAL)
def test_asking_for_what_nobody_can_accept(status: TcbStatus) -> None:
    """Rules that accept Revoked. Refused as rules. Clauses 48, 56 and 57."""
    with pytest.raises(Misconfigured, match="DJ271"):
        Acceptance(statuses=frozenset({TcbStatus.UP_TO_DATE, status}))


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_evaluation_numbers(kind: str) -> None:
    """TCB info of evaluation 20, identity of 19. Refused by default. Clause 50."""
    assert refusals(kind, {"qe_identity.evaluation_number": 19}) == ["DJ267"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_older_than_one_that_was_trusted(kind: str, document: str) -> None:
    """The collateral of today, then **that of yesterday**, both genuine. Refused. Clauses 34 and 51."""
    seen = advance(HighWater(), trusted(world(kind)), Channel.STANDARD)
    older = world(kind, {f"{document}.issued": MOMENT - 40 * DAY})
    with pytest.raises(Untrusted, match="DJ250"):
        advance(seen, trusted(older), Channel.STANDARD)


@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
def test_a_lower_evaluation_number_issued_later(document: str) -> None:
    """Evaluation 20, then 19 issued a day later. Refused. Clause 51."""
    seen = advance(HighWater(), trusted(world()), Channel.STANDARD)
    lower = world("v3 SGX", {f"{document}.evaluation_number": 19, f"{document}.issued": MOMENT - DAY})
    with pytest.raises(Untrusted, match="DJ250"):
        advance(seen, trusted(lower), Channel.STANDARD)


@pytest.mark.parametrize("kind", SGX)
def test_an_enclave_in_debug_mode(kind: str) -> None:
    """ATTRIBUTES.DEBUG. True, and refused by default; QVL never looks (facts 4.4). Clause 64."""
    assert refusals(kind, {"quote.body.flags": 0x07}) == ["DJ263"]
    assert refusals(kind, {"quote.body.flags": 0x07}, Acceptance(allow_debug=True)) == []


@pytest.mark.parametrize("kind", SGX)
def test_an_enclave_with_the_provisioning_key(kind: str) -> None:
    """ATTRIBUTES.PROVISIONKEY. Refused by default. Clause 64."""
    assert refusals(kind, {"quote.body.flags": 0x15}) == ["DJ265"]


@pytest.mark.parametrize("kind", TDX)
@pytest.mark.parametrize("bit", range(8))
def test_a_td_in_debug_mode(kind: str, bit: int) -> None:
    """Any bit of the group TUD. Refused by default. Clause 64."""
    assert refusals(kind, {"quote.body.attributes": SEPT_VE_DISABLE | 1 << bit}) == ["DJ263"]


@pytest.mark.parametrize("kind", TDX)
def test_a_td_without_sept_ve_disable(kind: str) -> None:
    """ATTRIBUTES without SEPT_VE_DISABLE. Refused by default. Clause 64."""
    assert refusals(kind, {"quote.body.attributes": 0}) == ["DJ266"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "said",
    [b"\2" * 32 + b"\1" * 32, b"\1" * 32, bytes(64), b"\1" * 31 + b"\0" + b"\2" * 32],
    ids=["halves swapped", "one half", "zeros", "one byte"],
)
def test_other_report_data(kind: str, said: bytes) -> None:
    """Report data A ‖ B; expected B ‖ A, A, zeros, or one byte else. Refused. Clause 65."""
    changes = {"quote.body.report_data": b"\1" * 32 + b"\2" * 32}
    assert refusals(kind, changes, Acceptance(expected=Expected(report_data=said))) == ["DJ269"]


@pytest.mark.parametrize("kind", KINDS)
def test_everything_wrong_at_once(kind: str) -> None:
    """OutOfDate, expired, mixed and another's report data. Refused, and every reason told at once. Style 11."""
    changes = {
        "tcb_info.levels.0.status": "OutOfDate",
        "tcb_info.next_update": MOMENT - SECOND,
        "qe_identity.evaluation_number": 19,
    }
    rules = Acceptance(expected=Expected(report_data=b"\1"))
    assert refusals(kind, changes, rules) == ["DJ260", "DJ267", "DJ264", "DJ269"]
