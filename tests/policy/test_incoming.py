"""Claims that nobody states: told, with what may have been meant; and what is stated is in the list."""

import pytest
from tests.policy.policies import authorization

from donjon.policy.advice import MAX_WARNINGS, advice
from donjon.policy.incoming import INCOMING, intended
from donjon.policy.parsing import parse


def found(text: str) -> list[tuple[str, str]]:
    return [(each.code, each.do) for each in advice(parse(text))]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("x-ms-sgx-is-debugable", "x-ms-sgx-is-debuggable"),
        ("X-MS-SGX-SVN", "x-ms-sgx-svn"),
        ("x-ms-sgx-mrsinger", "x-ms-sgx-mrsigner"),
        ("tdx_td_attributes_debg", "tdx_td_attributes_debug"),
        ("$is-debugable", "$is-debuggable"),
    ],
)
def test_a_misspelt_claim_is_warned_of_with_what_was_meant(name: str, meant: str) -> None:
    policy = authorization(f'[type=="{name}", value==true] => deny();', "=> permit();")
    assert ("DJ425", f"did you mean {meant}?") in found(policy)


def test_a_claim_of_a_closed_kind_that_is_like_none_is_warned_of_too() -> None:
    ((code, do),) = found(authorization('[type=="x-ms-sgx-colour"] => deny();', "=> permit();"))
    assert (code, "donjon quote show" in do) == ("DJ425", True)


def test_of_many_misspelt_claims_the_first_are_told_and_how_many_more_there_are() -> None:
    rules = [f'[type=="x-ms-sgx-is-debugable{number}"] => deny();' for number in range(1_000)]
    warnings = advice(parse(authorization(*rules)))
    assert len(warnings) == MAX_WARNINGS
    assert warnings[0].code == "DJ421"  # That no rule permits is said first.
    assert f"(and {1_001 - MAX_WARNINGS} warnings more" in warnings[-1].observation


@pytest.mark.parametrize("name", ["secureBootEnabled", "events", "colour", "svn", "x-ms-policy"])
def test_of_what_others_may_state_nothing_is_said(name: str) -> None:
    assert found(authorization(f'[type=="{name}"] => deny();', "=> permit();")) == []


def test_a_claim_that_the_policy_makes_itself_is_stated() -> None:
    assert found(authorization('=> add(type="x-ms-sgx-mine", value=1);', '[type=="x-ms-sgx-mine"] => permit();')) == []


@pytest.mark.parametrize(
    ("name", "kind", "other"),
    [
        ("tdx_mrtd", "SgxEnclave", "TdxVm"),
        ("dbgstat", "OpenEnclave", "TdxVm"),
        ("x-ms-sgx-mrsigner", "TdxVm", "SgxEnclave"),
        ("$svn", "TdxVm", "SgxEnclave"),
    ],
)
def test_a_claim_of_another_attestation_type_is_warned_of_where_the_type_is_known(name: str, kind: str, other: str) -> None:
    policy = parse(authorization(f'[type=="{name}"] => deny();', "=> permit();"))
    (finding,) = advice(policy, kind)
    assert (finding.code, finding.do) == ("DJ425", f"did you mean --type {other}?")
    assert f"which no {kind} has" in finding.observation
    for known in ("", other, "Tpm"):
        assert advice(policy, known) == ()


@pytest.mark.parametrize("name", sorted(INCOMING))
def test_what_is_stated_is_not_warned_of(name: str) -> None:
    assert intended(name) is None
