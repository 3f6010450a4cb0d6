"""Every case of the vectors: a real quote with real collateral at a moment, and what Intel's rules say of it."""

from collections import Counter

import pytest
from tests.attestation import vectors
from tests.attestation.vectors import Case

from donjon.attestation.verify import VerifiedQuote, verify
from donjon.errors import DonjonError

CASES = vectors.cases()
DATE_OF_THE_QUOTING_ENCLAVE = "tcbinfo/sgx_v3_00606a000000_eval17_2024-05-14_c1654b.json"
"""With this document the quoting enclave's level is older than the platform's, of which alone the case notes the date."""


def outcome(case: Case) -> VerifiedQuote | DonjonError:
    try:
        return verify(vectors.quote(case["quote"]), vectors.trusted(vectors.names(case)), vectors.moment(case))
    except DonjonError as error:
        return error


def name(case: Case) -> str:
    return f"{case['quote'].partition('/quotes/')[2][:12]}-{case['tcb_info'].removesuffix('.json')[-17:]}-{case['time']}"


@pytest.mark.parametrize("case", CASES, ids=map(name, CASES))
def test_a_case_comes_out_as_intels_rules_say(case: Case) -> None:
    found, expected = outcome(case), case["expected"]
    if "error" in expected:
        assert isinstance(found, DonjonError)
        assert found.code in {"DJ207", "DJ220", "DJ222"}
    elif expected["expired"]:
        assert isinstance(found, DonjonError)
        assert found.code == "DJ223"
    else:
        assert isinstance(found, VerifiedQuote), found
        assert found.tcb.status == expected["status"]
        assert set(found.tcb.advisories) == set(expected["advisories"])
        assert found.tcb.platform == expected.get("platform", "NotSupported")
        assert found.tcb.quoting_enclave == expected["qe"]
        assert found.tcb.evaluation_number == expected["tcbEval"]
        assert found.outside_validity == ()
        if case["tcb_info"] != DATE_OF_THE_QUOTING_ENCLAVE:
            date = f"{found.tcb.date:%FT%TZ}" if found.tcb.date else None
            assert date == expected.get("tcbDate")


def test_the_table_is_whole() -> None:
    kinds = Counter("broken" if "error" in e else "expired" if e["expired"] else "status" for e in (c["expected"] for c in CASES))
    assert kinds == {"status": 594, "expired": 85, "broken": 12}


@pytest.mark.parametrize("case", vectors.cases("golden.json"), ids=name)
def test_the_golden_ones_are_among_them(case: Case) -> None:
    known = {(each["quote"], vectors.names(each), each["time"]): each["expected"] for each in CASES}
    assert known[case["quote"], vectors.names(case), case["time"]] == case["expected"]
