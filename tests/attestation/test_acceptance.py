"""What the relying party's rules say of a true quote: the default first, then every rule by name."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.attestation.worlds import verified
from tests.simulation.intel import MOMENT

from donjon.attestation.acceptance import MAX_GRACE, MAX_STALENESS, Acceptance, AcceptedQuote, Expected, accept
from donjon.attestation.verify import VerifiedQuote
from donjon.collateral.status import TERMINAL, TcbStatus
from donjon.errors import Misconfigured
from donjon.sgx.report import ReportBody
from donjon.simulation.intel.certificates import SimulatedRole

DAY = timedelta(days=1)
STRICT = Acceptance()
OUT_OF_DATE = {"tcb_info.levels.0.status": "OutOfDate", "tcb_info.levels.0.advisories": ("INTEL-SA-00001",)}
OUT_OF_DATE_CONFIGURATION = {"tcb_info.levels.0.status": "OutOfDateConfigurationNeeded"}
DEBUG, PROVISION_KEY, NOTHING = 0x07, 0x15, 0x05
AGE = 100 * DAY  # of the TCB of a valid world, and a little more


def codes(quote: VerifiedQuote, acceptance: Acceptance) -> list[str]:
    answer = accept(quote, acceptance)
    return [] if isinstance(answer, AcceptedQuote) else [finding.code for finding in answer]


def statuses(*more: TcbStatus) -> frozenset[TcbStatus]:
    return STRICT.statuses | {*more}


@pytest.mark.parametrize("kind", ["v3 SGX", "v4 TDX 1.0", "v5 TDX 1.5"])
def test_accepts_what_is_up_to_date(kind: str) -> None:
    answer = accept(verified(kind), STRICT)
    assert isinstance(answer, AcceptedQuote)
    assert answer.acceptance is STRICT


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("UpToDate", []),
        ("SWHardeningNeeded", []),
        ("ConfigurationNeeded", ["DJ260"]),
        ("ConfigurationAndSWHardeningNeeded", ["DJ260"]),
        ("OutOfDate", ["DJ260"]),
        ("OutOfDateConfigurationNeeded", ["DJ260"]),
        ("Revoked", ["DJ261"]),
        ("NobodyKnows", ["DJ261"]),
    ],
)
def test_the_default_looks_at_the_status(status: str, expected: list[str]) -> None:
    assert codes(verified(changes={"tcb_info.levels.0.status": status}), STRICT) == expected


def test_a_tcb_below_every_level_is_not_accepted() -> None:
    assert codes(verified(changes={"extension.components": (0,) * 16}), STRICT) == ["DJ261"]


@pytest.mark.parametrize("status", sorted(frozenset(TcbStatus) - TERMINAL))
def test_a_status_can_be_accepted_by_name(status: TcbStatus) -> None:
    assert Acceptance(statuses=frozenset({status})).statuses == {status}


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_terminal_status_cannot_be_accepted_by_name(status: TcbStatus) -> None:
    with pytest.raises(Misconfigured, match=f"{status} can never be accepted") as refused:
        Acceptance(statuses=statuses(status))
    assert refused.value.code == "DJ271"


@pytest.mark.parametrize(
    "rules",
    [
        {"statuses": frozenset()},
        {"staleness": MAX_STALENESS + DAY},
        {"staleness": -DAY},
        {"grace": MAX_GRACE + DAY},
        {"expected": Expected(report_data=bytes(65))},
        {"service_tds": frozenset({bytes(47)})},
    ],
)
def test_rules_that_cannot_be_are_a_mistake(rules: dict[str, object]) -> None:
    with pytest.raises(Misconfigured) as refused:
        Acceptance(**rules)  # type: ignore[arg-type]  # One rule of each type.
    assert refused.value.code == "DJ271"


@pytest.mark.parametrize(
    ("kind", "changes", "code", "relaxed"),
    [
        ("v3 SGX", {"quote.body.flags": DEBUG}, "DJ263", Acceptance(allow_debug=True)),
        ("v4 TDX 1.0", {"quote.body.attributes": 1 << 28 | 1}, "DJ263", Acceptance(allow_debug=True)),
        ("v4 TDX 1.0", {"quote.body.attributes": 0}, "DJ266", Acceptance(allow_sept_ve=True)),
        ("v3 SGX", {"quote.body.flags": PROVISION_KEY}, "DJ265", Acceptance(allow_provision_key=True)),
        ("v3 SGX", {"qe_identity.evaluation_number": 19}, "DJ267", Acceptance(allow_mixed_evaluations=True)),
        ("v3 SGX", OUT_OF_DATE, "DJ260", Acceptance(statuses=statuses(TcbStatus.OUT_OF_DATE))),
        ("v3 SGX", OUT_OF_DATE, "DJ260", Acceptance(grace=AGE + DAY)),
        ("v3 SGX", {"tcb_info.next_update": MOMENT - DAY}, "DJ264", Acceptance(staleness=DAY)),
        ("v3 SGX", {"qe_identity.next_update": MOMENT - DAY}, "DJ264", Acceptance(staleness=DAY)),
        ("v3 SGX", {"pck_crl.next_update": MOMENT - DAY}, "DJ264", Acceptance(staleness=DAY)),
        ("v3 SGX", {"root_crl.next_update": MOMENT - DAY}, "DJ264", Acceptance(staleness=DAY)),
    ],
)
def test_what_the_default_refuses_can_be_accepted_by_name(
    kind: str, changes: Mapping[str, object], code: str, relaxed: Acceptance
) -> None:
    quote = verified(kind, changes)
    assert codes(quote, STRICT) == [code]
    assert codes(quote, relaxed) == []


def test_every_reason_is_told_at_once() -> None:
    changes = {**OUT_OF_DATE, "quote.body.flags": DEBUG | PROVISION_KEY, "pck_crl.next_update": MOMENT - DAY}
    assert codes(verified(changes=changes), Acceptance(advisories={})) == ["DJ260", "DJ262", "DJ264", "DJ263", "DJ265"]


def test_grace_ends_some_time_after_the_date_of_the_tcb() -> None:
    quote = verified(changes=OUT_OF_DATE)
    assert quote.tcb.date is not None
    age = quote.moment - quote.tcb.date
    assert codes(quote, Acceptance(grace=age)) == []
    assert codes(quote, Acceptance(grace=age - timedelta(seconds=1))) == ["DJ260"]


def test_grace_makes_up_for_age_alone() -> None:
    quote = verified(changes=OUT_OF_DATE_CONFIGURATION)
    assert codes(quote, Acceptance(grace=AGE + DAY)) == ["DJ260"]
    assert codes(quote, Acceptance(grace=AGE + DAY, statuses=statuses(TcbStatus.CONFIGURATION_NEEDED))) == []


@pytest.mark.parametrize(
    ("until", "expected"),
    [(None, []), (MOMENT, []), (MOMENT - timedelta(seconds=1), ["DJ262"])],
    ids=["always", "until now", "over"],
)
def test_an_advisory_is_accepted_until_its_date(until: None, expected: list[str]) -> None:
    rules = Acceptance(statuses=statuses(TcbStatus.OUT_OF_DATE), advisories={"INTEL-SA-00001": until})
    assert codes(verified(changes=OUT_OF_DATE), rules) == expected


def test_an_advisory_that_is_not_listed_is_refused() -> None:
    rules = Acceptance(statuses=statuses(TcbStatus.OUT_OF_DATE), advisories={"INTEL-SA-00002": None})
    assert codes(verified(changes=OUT_OF_DATE), rules) == ["DJ262"]


@pytest.mark.parametrize(("least", "expected"), [(20, []), (21, ["DJ268"])])
def test_an_evaluation_number_can_be_asked_for(least: int, expected: list[str]) -> None:
    assert codes(verified(), Acceptance(min_evaluation=least)) == expected


@pytest.mark.parametrize("rule", ["allow_dynamic_platform", "allow_cached_keys", "allow_smt"])
@pytest.mark.parametrize("ca", [SimulatedRole.PLATFORM_CA, SimulatedRole.PROCESSOR_CA])
def test_a_property_of_the_platform_can_be_refused_and_silence_is_none(rule: str, ca: SimulatedRole) -> None:
    assert codes(verified(ca=ca), Acceptance(**{rule: False})) == ["DJ270"]  # type: ignore[arg-type]  # A flag each.


def test_a_property_that_the_platform_has_not_is_accepted() -> None:
    quote = verified(changes={"extension.configuration.smt": False}, ca=SimulatedRole.PLATFORM_CA)
    assert codes(quote, Acceptance(allow_smt=False)) == []


def test_the_body_is_held_against_what_is_expected() -> None:
    quote = verified(changes={"quote.body.report_data": b"nonce".ljust(64, b"\0")})
    body = quote.quote.body
    assert isinstance(body, ReportBody)
    right = {
        "mr_enclaves": frozenset({body.mr_enclave, bytes(32)}),
        "mr_signers": frozenset({body.mr_signer}),
        "product_id": body.isv_prod_id,
        "min_svn": body.isv_svn,
        "report_data": b"nonce",
    }
    wrong = {
        "mr_enclaves": frozenset({bytes(32)}),
        "mr_signers": frozenset({bytes(32)}),
        "product_id": body.isv_prod_id + 1,
        "min_svn": body.isv_svn + 1,
        "report_data": b"other",
        "mr_tds": frozenset({bytes(48)}),
    }
    assert codes(quote, Acceptance(expected=Expected(**right))) == []  # type: ignore[arg-type]  # One rule of each type.
    for name, value in wrong.items():
        assert codes(quote, Acceptance(expected=Expected(**{**right, name: value}))) == ["DJ269"]  # type: ignore[arg-type]  # 〃


def test_a_trust_domain_is_no_enclave_and_is_known_by_its_own_measurement() -> None:
    quote = verified("v4 TDX 1.0")
    own = frozenset({quote.quote.body.raw[136:184]})
    assert codes(quote, Acceptance(expected=Expected(mr_tds=own))) == []
    enclave = Expected(mr_enclaves=own, mr_signers=own, product_id=0, min_svn=0)
    assert codes(quote, Acceptance(expected=enclave)) == ["DJ269"] * 4


@pytest.mark.parametrize(("later", "expected"), [(timedelta(0), []), (timedelta(seconds=1), ["DJ436"])])
def test_a_tcb_from_before_the_earliest_date_is_not_accepted(later: timedelta, expected: list[str]) -> None:
    quote = verified()
    assert quote.tcb.date is not None
    assert codes(quote, Acceptance(min_tcb_date=quote.tcb.date + later)) == expected


def test_a_tcb_of_no_level_has_no_date_that_could_be_late_enough() -> None:
    quote = verified(changes={"extension.components": (0,) * 16})
    assert codes(quote, Acceptance(min_tcb_date=MOMENT - 9999 * DAY)) == ["DJ261", "DJ436"]
