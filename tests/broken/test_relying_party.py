"""True quotes that a relying party must not take (docs/clauses.md, 28, 34, 39, 48 to 51, 64 and 65)."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.attestation.worlds import trusted
from tests.broken.worlds import KINDS, SGX, TDX, judge
from tests.simulation.intel import MOMENT, world

from donjon.attestation.acceptance import Acceptance, AcceptedQuote, Expected, accept
from donjon.collateral.high_water import HighWater, advance
from donjon.collateral.plan import Channel
from donjon.collateral.status import TcbStatus
from donjon.errors import Misconfigured, Untrusted
from donjon.simulation.intel.reports import SEPT_VE_DISABLE

MIGRATABLE = 1 << 29
SERVICE_TD = b"\x66" * 48
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
    assert refusals(kind, {"extension.pce_svn": 0}, every) == ["DJ261"]


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
    older = world(kind, {f"{document}.issue_date": MOMENT - 40 * DAY})
    with pytest.raises(Untrusted, match="DJ250"):
        advance(seen, trusted(older), Channel.STANDARD)


@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
def test_a_lower_evaluation_number_issued_later(document: str) -> None:
    """Evaluation 20, then 19 issued a day later. Refused. Clause 51."""
    seen = advance(HighWater(), trusted(world()), Channel.STANDARD)
    lower = world("v3 SGX", {f"{document}.evaluation_number": 19, f"{document}.issue_date": MOMENT - DAY})
    with pytest.raises(Untrusted, match="DJ250"):
        advance(seen, trusted(lower), Channel.STANDARD)


@pytest.mark.parametrize("kind", SGX)
def test_an_enclave_in_debug_mode(kind: str) -> None:
    """ATTRIBUTES.DEBUG. True, and refused by default; QVL never looks. Clause 64."""
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


@pytest.mark.parametrize("kind", TDX)
def test_a_td_that_its_host_may_migrate(kind: str) -> None:
    """ATTRIBUTES.MIGRATABLE: its memory can be exported. Refused by default, allowed by name. TDX Module ABI, table 3.22."""
    changes = {"quote.body.attributes": SEPT_VE_DISABLE | MIGRATABLE}
    assert refusals(kind, changes) == ["DJ272"]
    assert refusals(kind, changes, Acceptance(allow_migratable=True)) == []
    assert refusals(kind, changes, Acceptance(service_tds=frozenset({SERVICE_TD}), allow_attributes=MIGRATABLE)) == ["DJ272"]


def test_a_td_that_is_bound_to_a_service_td() -> None:
    """MRSERVICETD of a service TD that the host chose. Refused by default; **that one** is allowed by name."""
    changes = {"quote.body.mr_service_td": SERVICE_TD}
    assert refusals("v5 TDX 1.5", changes) == ["DJ273"]
    assert refusals("v5 TDX 1.5", changes, Acceptance(service_tds=frozenset({SERVICE_TD, bytes(48)}))) == []
    assert refusals("v5 TDX 1.5", changes, Acceptance(service_tds=frozenset({SERVICE_TD[:-1] + b"\0"}))) == ["DJ273"]
    assert refusals("v5 TDX 1.5", changes, Acceptance(allow_migratable=True)) == ["DJ273"]


def test_a_td_that_may_migrate_by_a_service_td_of_its_hosts() -> None:
    """Both at once, as a host sets them to take a TD's memory. Refused for both. Accepted where both are named."""
    changes = {"quote.body.attributes": SEPT_VE_DISABLE | MIGRATABLE, "quote.body.mr_service_td": SERVICE_TD}
    assert refusals("v5 TDX 1.5", changes) == ["DJ272", "DJ273"]
    assert refusals("v5 TDX 1.5", changes, Acceptance(allow_migratable=True, service_tds=frozenset({SERVICE_TD}))) == []


@pytest.mark.parametrize("bit", [8, 15, 16, 17, 20, 22, 23, 27, 32, 40, 62])
def test_a_td_with_an_attribute_that_is_reserved_or_newer(bit: int) -> None:
    """A bit of ATTRIBUTES that is judged by no name. Refused by default, allowed by naming the bit."""
    changes = {"quote.body.attributes": SEPT_VE_DISABLE | 1 << bit}
    assert refusals("v4 TDX 1.0", changes) == ["DJ274"]
    assert refusals("v4 TDX 1.0", changes, Acceptance(allow_attributes=1 << bit)) == []
    assert refusals("v4 TDX 1.0", changes, Acceptance(allow_attributes=1 << (bit + 1) % 64)) == ["DJ274"]


@pytest.mark.parametrize("kind", TDX)
@pytest.mark.parametrize("bit", [30, 31, 63])
def test_a_td_with_an_attribute_that_takes_nothing_from_it(kind: str, bit: int) -> None:
    """PKS, KL, PERFMON: for the TD's own use. Accepted, and told in its claims."""
    assert refusals(kind, {"quote.body.attributes": SEPT_VE_DISABLE | 1 << bit}) == []


@pytest.mark.parametrize("xfam", [0, 1, 2, 0x6, 0x20007, 0x803, 0x27, 0xE3, *(0x3 | 1 << bit for bit in (3, 13, 19, 63))])
def test_a_td_with_features_that_no_module_gives(xfam: int) -> None:
    """XFAM without x87 or SSE, with reserved bits, or with half a feature. Refused, or those bits left unjudged by name."""
    assert refusals("v5 TDX 1.5", {"quote.body.xfam": xfam}) == ["DJ275"]
    assert refusals("v5 TDX 1.5", {"quote.body.xfam": xfam}, Acceptance(allow_features=(1 << 64) - 1)) == []


def test_an_enclave_that_lets_others_be_launched() -> None:
    """ATTRIBUTES.EINITTOKENKEY. Refused by default, allowed by name. SDM volume 3D, "ATTRIBUTES"."""
    assert refusals("v3 SGX", {"quote.body.flags": 0x25}) == ["DJ276"]
    assert refusals("v3 SGX", {"quote.body.flags": 0x25}, Acceptance(allow_einittoken_key=True)) == []


@pytest.mark.parametrize("bit", [3, 8, 9, 11, 48, 63])
def test_an_enclave_with_a_reserved_flag(bit: int) -> None:
    """A reserved bit of ATTRIBUTES.FLAGS. Refused by default, allowed by naming the bit."""
    assert refusals("v3 SGX", {"quote.body.flags": 0x05 | 1 << bit}) == ["DJ274"]
    assert refusals("v3 SGX", {"quote.body.flags": 0x05 | 1 << bit}, Acceptance(allow_attributes=1 << bit)) == []


@pytest.mark.parametrize("flags", [0x45, 0x85, 0x405, 0x01])
def test_an_enclave_with_a_flag_that_takes_nothing_from_it(flags: int) -> None:
    """CET, KSS, AEXNOTIFY; 32 bits. Accepted, and told in its claims."""
    assert refusals("v3 SGX", {"quote.body.flags": flags}) == []


def test_an_enclave_that_was_never_initialised() -> None:
    """FLAGS without INIT, whatever is allowed. Refused: EREPORT runs in no such enclave."""
    assert refusals("v3 SGX", {"quote.body.flags": 0x04}) == ["DJ274"]
    assert refusals("v3 SGX", {"quote.body.flags": 0x04}, Acceptance(allow_attributes=(1 << 64) - 1)) == ["DJ274"]


@pytest.mark.parametrize("xfrm", [0, 2, 0x403, 0xB, 0x27, 0xE3, 0x80003])
def test_an_enclave_with_features_that_no_processor_gives(xfrm: int) -> None:
    """XFRM without x87 or SSE, with reserved bits, or with half a feature. Refused, or those bits left unjudged by name."""
    assert refusals("v3 SGX", {"quote.body.xfrm": xfrm}) == ["DJ275"]
    assert refusals("v3 SGX", {"quote.body.xfrm": xfrm}, Acceptance(allow_features=(1 << 64) - 1)) == []


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
