"""Policies and certificates of the recorded exchanges, taken and answered again: every claim equal but the host and the key.

The moment is the recorded one, when the signers' certificates were good.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.attestation import recordings, signers
from tests.attestation.recordings import Exchange, text
from tests.attestation.vectors import ROOT

from donjon.attestation import token
from donjon.errors import Untrusted
from donjon.formats.json import JsonObject
from donjon.maa import certificates, policies, requests, versions
from donjon.maa.instances import Mode, Trust
from donjon.maa.requests import Change
from donjon.maa.versions import ApiVersion, AttestationType
from donjon.signing import jws

DIFFERS = {"iss": "the host"}
VERSION = ApiVersion.V2020_10_01
EXPIRED = datetime(2022, 6, 25, tzinfo=UTC)


def moment(exchange: Exchange) -> datetime:
    return datetime.fromtimestamp(int(str(exchange.payload["iat"])), UTC)


def kind(exchange: Exchange) -> AttestationType:
    return versions.attestation_type(exchange.path.split("/")[2].partition(":")[0], VERSION)


def trust(exchange: Exchange) -> Trust:
    """Both kinds of instance have one recorded host name; the issuer tells them apart."""
    if "attestationiso." not in text(exchange.payload["iss"]):
        return Trust(mode=Mode.AAD)
    (added,) = (each for each in recordings.exchanges() if each.path == "/certificates:add")
    manager = jws.parse(json.loads(added.body), "recorded").signer
    assert manager is not None
    return Trust(mode=Mode.ISOLATED, certificates=(manager,))


def answered(exchange: Exchange) -> JsonObject:
    match exchange.method, exchange.path.partition(":")[2], exchange.path.split("/")[1].partition(":")[0]:
        case "PUT", _, "policies":
            sent = requests.policy_token(exchange.body.encode())
            return policies.claims_when_set(policies.parse_submitted(sent, trust(exchange), moment(exchange)))
        case "POST", "reset", "policies":
            policies.reset(requests.policy_token(exchange.body.encode()), trust(exchange), moment(exchange))
            return policies.claims_when_reset()
        case "GET", _, "policies":
            return policies.claims_of(kept(exchange))
        case "GET", _, "certificates":
            return certificates.claims_of(trust(exchange))
        case "POST", change, "certificates":
            return changed(exchange, Change.ADD if change == "add" else Change.REMOVE)
        case other:
            raise AssertionError(other)


def kept(exchange: Exchange) -> policies.PolicyToken | None:
    """What was set before, as the answer itself shows, or what applies where nothing was."""
    was_set = "sharedwus" not in text(exchange.payload["iss"])
    return policies.parse_stored(text(exchange.payload["x-ms-policy"])) if was_set else policies.default(kind(exchange))


def changed(exchange: Exchange, change: Change) -> JsonObject:
    before = trust(exchange)
    certificate = certificates.change(
        requests.certificate_token(exchange.body.encode(), VERSION, change), before, moment(exchange)
    ).certificate
    with_it = before.with_certificate(certificate, moment(exchange))
    return certificates.claims_when_changed(
        certificate, with_it if change is Change.ADD else with_it.without_certificate(certificate, moment(exchange))
    )


ABOUT_ITSELF = (*recordings.under("/policies/"), *recordings.under("/certificates"))


def test_every_recorded_exchange_is_replayed_here_or_as_an_attestation() -> None:
    assert len(ABOUT_ITSELF) + len(recordings.under("/attest/")) == len(recordings.exchanges()) == 30


@pytest.mark.parametrize("exchange", ABOUT_ITSELF, ids=lambda each: each.name)
def test_a_recorded_change_or_question_is_answered_claim_by_claim(exchange: Exchange) -> None:
    made = token.answer(answered(exchange), signers.authority(), moment(exchange))
    payload = recordings.part(made.split(".")[1])
    assert payload == {**exchange.payload, "iss": signers.REAL}
    assert {name for name in payload if payload[name] != exchange.payload[name]} == DIFFERS.keys()


@pytest.mark.parametrize("exchange", [each for each in ABOUT_ITSELF if "x5c" in each.body or "eyJhbGciOiAi" in each.body])
def test_a_signer_whose_certificate_has_ended_changes_nothing(exchange: Exchange) -> None:
    sent = exchange.body.strip('"')
    with pytest.raises(Untrusted) as refused:
        jws.prove_at(jws.parse(sent, "recorded"), EXPIRED)
    assert refused.value.code == "DJ444"
    jws.prove_at(jws.parse(sent, "recorded"), EXPIRED - timedelta(days=2))


@pytest.mark.parametrize("name", ["default.policy", "permit-all.policy"])
def test_a_policys_hash_is_the_one_that_recorded_tokens_name(name: str) -> None:
    policy = (ROOT / "maa-policies" / "recordings" / name).read_text(encoding="utf-8").rstrip("\n")
    named = {text(each.payload["x-ms-policy-hash"]) for each in recordings.under("/attest/")}
    assert policies.parse_stored(policies.unsecured_token(policy)).hash in named


def test_a_recorded_draft_is_tried_as_its_text() -> None:
    drafts = [each for each in recordings.under("/attest/") if "draftPolicyForAttestation" in recordings.request(each)]
    for exchange in drafts:
        asked = requests.attest(exchange.body.encode(), kind(exchange))
        assert asked.draft is not None
        tried = policies.draft(asked.draft)
        assert (tried.draft, tried.hash) == (True, exchange.payload["x-ms-policy-hash"])


@pytest.mark.parametrize("exchange", recordings.under("/attest/"), ids=lambda each: each.name)
def test_a_recorded_request_to_attest_is_read(exchange: Exchange) -> None:
    asked = requests.attest(exchange.body.encode(), kind(exchange))
    assert asked.held_data.runtime is not None
    assert (asked.held_data.runtime.content is not None) == ("x-ms-runtime" in exchange.payload)
    assert asked.quote.trailing == 0
