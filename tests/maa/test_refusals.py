"""What a client of Microsoft's reads where we refuse: their status and code, our message with our code in it."""

import pytest
from tests.attestation import signers
from tests.attestation.worlds import verified

from donjon.attestation.acceptance import Acceptance, accept
from donjon.attestation.token import TokenAuthority
from donjon.errors import DonjonError, Malformed, Misconfigured, Unavailable, Untrusted
from donjon.maa import metadata, refusals
from donjon.maa.refusals import MAX_MESSAGE, Code
from donjon.policy import evaluation, parsing


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Malformed("DJ200", "quote: short"), 400, Code.INVALID_PARAMETER),
        (Untrusted("DJ243", "quote: forged"), 400, Code.INVALID_PARAMETER),
        (Untrusted("DJ430", "runtime data: other"), 400, Code.INVALID_PARAMETER),
        (Malformed("DJ440", "policy token: two parts"), 400, Code.INVALID_OPERATION),
        (Untrusted("DJ442", "policy token: unsigned"), 400, Code.INVALID_OPERATION),
        (Misconfigured("DJ447", "certificates: the last"), 400, Code.INVALID_OPERATION),
        (Misconfigured("DJ435", "tokens: simulated"), 400, Code.INVALID_OPERATION),
        (Malformed("DJ451", "api-version: missing"), 400, Code.INVALID_PARAMETER),
        (Unavailable("DJ203", "PCK certificate: no chain"), 503, Code.AWAY),
        (Misconfigured("DJ271", "acceptance: none"), 500, Code.INTERNAL),
    ],
    ids=lambda value: value.code if isinstance(value, DonjonError) else None,
)
def test_an_error_of_ours_is_told_as_one_of_theirs(error: DonjonError, status: int, code: Code) -> None:
    refusal = refusals.of_error(error)
    assert (refusal.status, refusal.code) == (status, code)
    assert refusal.body() == {"error": {"code": code, "message": str(error)}}


@pytest.mark.parametrize("code", ["DJ281", "DJ502", "DJ553", "DJ554"])
def test_what_names_addresses_within_is_not_told_to_callers(code: str) -> None:
    refusal = refusals.of_error(Unavailable(code, 'connection to "db.internal" as "donjon" failed'))
    assert (refusal.status, refusal.code) == (503, Code.AWAY)
    assert "internal" not in refusal.message
    assert refusal.message.endswith(f"[{code}]")


def test_a_policy_that_cannot_be_read_is_told_with_its_place() -> None:
    with pytest.raises(Malformed) as refused:
        parsing.parse("version=1.0;\nauthorizationrules{=> permit(;};")
    refusal = refusals.of_error(refused.value)
    assert (refusal.status, refusal.code) == (400, Code.POLICY_PARSING)
    assert "line 2, column" in refusal.message


def test_the_gates_refusal_tells_all_its_reasons() -> None:
    changes = {"quote.body.flags": 0x07, "tcb_info.levels.0.status": "OutOfDate"}
    answer = accept(verified(changes=changes), Acceptance())
    assert isinstance(answer, tuple)
    refusal = refusals.of_findings(answer)
    assert (refusal.status, refusal.code) == (400, Code.INVALID_PARAMETER)
    assert all(finding.code in refusal.message for finding in answer)
    assert len(answer) == 2


@pytest.mark.parametrize(("rule", "words"), [("=> deny();", "A Deny claim was issued, authorization failed."), ("", "permit")])
def test_a_policys_refusal_tells_all_its_reasons(rule: str, words: str) -> None:
    decision = evaluation.evaluate(parsing.parse(f"version=1.0;authorizationrules{{{rule}}};"), ())
    refusal = refusals.of_decision(decision)
    assert (refusal.status, refusal.code) == (400, Code.POLICY_EVALUATION)
    assert words in refusal.message
    assert all(finding.code in refusal.message for finding in decision.findings)


def test_a_message_has_an_end() -> None:
    assert len(refusals.of_error(Malformed("DJ200", "x" * 100_000)).message) == MAX_MESSAGE


def test_the_well_known_document_points_to_the_issuers_own_places() -> None:
    authority: TokenAuthority = signers.authority()
    found = metadata.openid_configuration(authority, ["RS256", "ES256", "RS256"])
    assert (found["issuer"], found["jwks_uri"]) == (signers.REAL, f"{signers.REAL}/certs")
    assert found["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
