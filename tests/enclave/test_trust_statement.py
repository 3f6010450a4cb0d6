"""What is admitted and what is attested are one statement; and a policy can be made of enclaves, and written down again."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.enclave.signers import enclave, sign
from tests.enclave.test_trust import IMAGE, OF_SAMPLE, OURS, TRUSTS, VALID
from tests.enclave.trust_documents import GOOD
from tests.enclave.vectors import EDP, SAMPLE

from donjon.attestation import evidence
from donjon.cli.policy.sources import of_quote
from donjon.enclave.trust import DebugRule, EnclaveTrust, TrustAnswer, TrustMeasurement, TrustMode, TrustSigner
from donjon.enclave.trust_judgement import judge_enclaves
from donjon.enclave.trust_listing import ListingKey, listing, spec_of, unique_names
from donjon.enclave.trust_reading import read_trust
from donjon.enclave.trust_statement import attestation_policy
from donjon.policy.advice import advice
from donjon.policy.claims import Claim, claims
from donjon.policy.evaluation import evaluate
from donjon.policy.parsing import parse
from donjon.policy.printing import policy_text
from donjon.sgx.report import ReportBody
from donjon.sgx.sigstruct import SigStruct

DCAP = Path(__file__).parents[2] / "vectors" / "dcap-qvl"
QUOTE = DCAP / "quotes" / "f8b81014b6e4_v3_sgx_00a067110000.bin"
NOBODY_PERMITTED = "DJ421"  # of a policy that lists nobody
THEN = datetime(2025, 6, 20, tzinfo=UTC)


def body() -> ReportBody:
    report = evidence.parse_quote(QUOTE.read_bytes()).body
    assert isinstance(report, ReportBody)
    return report


def permits(trust: EnclaveTrust, stated: tuple[Claim, ...]) -> bool:
    """By the policy as it is printed and read again."""
    policy = parse(policy_text(attestation_policy(trust)))
    assert {each.code for each in advice(policy)} <= {NOBODY_PERMITTED}
    return evaluate(policy, stated).permitted


def test_a_real_quote_is_attested_by_what_lists_its_enclave_and_by_nothing_else() -> None:
    stated, report = of_quote(str(QUOTE), DCAP / "sgx_quote_collateral.json", THEN, None), body()
    signer = TrustSigner(name="a", mr_signer=report.mr_signer, product_id=report.isv_prod_id, min_svn=report.isv_svn)
    measurement = TrustMeasurement(name="a", mr_enclave=report.mr_enclave)
    for trust in (EnclaveTrust(signers=(signer,)), EnclaveTrust(measurements=(measurement,))):
        assert permits(trust, stated)
    for other in (
        EnclaveTrust(),
        EnclaveTrust(signers=(replace(signer, min_svn=report.isv_svn + 1),)),
        EnclaveTrust(signers=(replace(signer, product_id=report.isv_prod_id + 1),)),
        EnclaveTrust(signers=(replace(signer, mr_signer=EDP.mr_signer),)),
        EnclaveTrust(measurements=(replace(measurement, mr_enclave=EDP.mr_enclave),)),
        EnclaveTrust(unknown=TrustAnswer.ALLOW),
    ):
        assert not permits(other, stated)


def claims_of(sigstruct: SigStruct) -> tuple[Claim, ...]:
    """What a quote would state of an enclave that is started as it is signed."""
    return claims(
        {
            "x-ms-sgx-is-debuggable": sigstruct.debug,
            "x-ms-sgx-mrsigner": sigstruct.mr_signer.hex(),
            "x-ms-sgx-mrenclave": sigstruct.mr_enclave.hex(),
            "x-ms-sgx-product-id": sigstruct.isv_prod_id,
            "x-ms-sgx-svn": sigstruct.isv_svn,
        }
    )


@given(sigstruct=st.sampled_from((*VALID, sign("ours", svn=4, debug=True))), trust=TRUSTS)
@settings(deadline=None)
def test_an_enclave_is_attested_exactly_where_it_is_admitted(sigstruct: SigStruct, trust: EnclaveTrust) -> None:
    strict = replace(trust, mode=TrustMode.ENFORCE, unknown=TrustAnswer.REFUSE)
    assert permits(strict, claims_of(sigstruct)) is judge_enclaves(strict, IMAGE, (enclave(sigstruct),)).admits


def test_an_enclave_of_a_sample_key_is_neither_admitted_nor_attested_by_its_measurement() -> None:
    trust = EnclaveTrust(mode=TrustMode.ENFORCE, measurements=(OF_SAMPLE,))
    assert not judge_enclaves(trust, IMAGE, (enclave(SAMPLE),)).admits
    assert not permits(trust, claims_of(SAMPLE))
    assert permits(replace(trust, sample_keys=frozenset({SAMPLE.mr_signer})), claims_of(SAMPLE))


def test_the_printed_policy_says_what_it_is_for() -> None:
    text = policy_text(attestation_policy(EnclaveTrust(name="EnclavePolicy team/ours", signers=(OURS,), debug=DebugRule.HERE)))
    assert text.startswith("// What EnclavePolicy team/ours lists; printed by donjon policy from-enclave.\nversion=1.0;\n")
    assert "is-debuggable" not in text
    assert "// Enclaves for debugging get a token, too" in text
    assert "    // signer ours\n" in text


# Policies of enclaves.


def test_enclaves_are_listed_by_signer_and_product_from_the_lowest_svn_on() -> None:
    those = {"a.so": [enclave(sign("ours", svn=5))], "b.so": [enclave(sign("ours", svn=3)), enclave(sign("ours", product=2))]}
    assert [(each.name, each.product_id, each.min_svn) for each in listing(those, ListingKey.SIGNER).signers] == [
        ("a.so", 1, 3),
        ("b.so", 2, 1),
    ]


def test_enclaves_are_listed_by_measurement_each_once() -> None:
    those = {"a.so": [enclave(sign("ours")), enclave(None, b"m" * 32)], "b.so": [enclave(sign("another")), enclave(None)]}
    assert [(each.name, each.mr_enclave) for each in listing(those, ListingKey.MEASUREMENT).measurements] == [
        ("a.so", EDP.mr_enclave),
        ("a.so 2", b"m" * 32),
    ]


@pytest.mark.parametrize("by", list(ListingKey))
def test_a_listing_admits_what_it_lists_and_no_sample_key_but_for_development(by: ListingKey) -> None:
    ours, sample = (enclave(sign("ours", svn=3)),), (enclave(SAMPLE),)
    assert judge_enclaves(listing({"a": ours}, by), IMAGE, ours).would_admit
    assert not judge_enclaves(listing({"a": sample}, by), IMAGE, sample).would_admit
    debug = (enclave(sign("ours", debug=True)), *sample)
    assert not judge_enclaves(listing({"a": debug}, by), IMAGE, debug).would_admit
    assert judge_enclaves(listing({"a": debug}, by, development=True), IMAGE, debug).would_admit


@given(st.lists(st.text(max_size=80), max_size=20))
def test_every_source_has_a_name_of_its_own_that_a_policy_takes(texts: list[str]) -> None:
    names = list(unique_names(texts))
    assert len(set(names)) == len(texts)
    read_trust({"signers": [{"name": name, "mrSigner": EDP.mr_signer.hex()} for name in names]})


@given(trust=TRUSTS)
@settings(deadline=None)
def test_a_policy_that_is_written_down_is_the_same_when_it_is_read(trust: EnclaveTrust) -> None:
    assert read_trust(spec_of(trust)) == trust


def test_every_field_is_written_down() -> None:
    trust = read_trust(GOOD["everything"])
    assert read_trust(spec_of(trust)) == trust
    assert spec_of(trust).keys() == GOOD["everything"].keys() - {"debug"}
