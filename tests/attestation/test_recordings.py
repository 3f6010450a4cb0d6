"""What the real service answered in July 2021, answered again: every claim equal but for those listed, each with its reason."""

from datetime import UTC, datetime

import pytest
from tests.attestation import recordings, signers, vectors
from tests.attestation.recordings import Exchange, octets, request, text
from tests.attestation.vectors import ROOT

from donjon.attestation import binding, claims, evidence, quote, token
from donjon.attestation.acceptance import Acceptance, AcceptedQuote, accept
from donjon.attestation.appraise import Appraisal, PolicyInForce, appraise
from donjon.attestation.verify import verify
from donjon.collateral.status import TcbStatus
from donjon.formats.json import JsonObject
from donjon.policy import parsing

MOMENT = datetime(2022, 4, 16, 16, 59, 22, tzinfo=UTC)
COLLATERAL = vectors.Names(
    tcb_info="tcbinfo/sgx_v2_00906ed50000_eval12_2022-04-06_fac14e.json",
    qe_identity="qeidentity/qe_v2_eval12_2022-04-06_845373.json",
    pck_crl="crl/pck_processor_ca_2022-04-06_454b4b.der",
    root_crl="crl/root_ca_2021-04-26_6870d9.der",
    ca="processor",
    signer="tcb_signing_2018_2025",
)
"""The oldest that has the recorded quote's platform; nobody published that of July 2021."""

AS_THEN = Acceptance(statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED, TcbStatus.OUT_OF_DATE}))
"""By collateral of 2022 the recorded platform is out of date; in July 2021 the service took it."""

DIFFERS = {
    "exp": "the time of the test, not of the recording",
    "iat": "〃",
    "nbf": "〃",
    "iss": "the host",
    "jti": "new with every token",
}
DIFFERING_HASHES = {"tcbinfohash": "the TCB info of July 2021 is not published", "qeidhash": "nor is that identity"}
"""The recorded certificates and root CRL are at hand: their four hashes are equal."""

POLICIES = {  # by the hash that the token names
    "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU": "permit-all.policy",
    "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw": "default.policy",
}


def shown(exchange: Exchange) -> bytes:
    content = request(exchange)
    return octets(text(content.get("quote") or content["report"]))


def held(exchange: Exchange) -> binding.HeldData:
    data = request(exchange)["runtimeData"]
    assert isinstance(data, dict)
    read = binding.json if data["dataType"] == "JSON" else binding.binary
    return binding.HeldData(runtime=read(octets(text(data["data"])), "runtime data"))


def answered(exchange: Exchange) -> Appraisal:
    submitted = shown(exchange)
    verified = verify(quote.parse(evidence.unwrap(submitted)), vectors.trusted(COLLATERAL), MOMENT)
    accepted = accept(verified, AS_THEN)
    assert isinstance(accepted, AcceptedQuote)
    named = text(exchange.payload["x-ms-policy-hash"])
    policy = parsing.parse((ROOT / "maa-policies" / "recordings" / POLICIES[named]).read_text(encoding="utf-8"))
    draft = "draftPolicyForAttestation" in request(exchange)
    applied = PolicyInForce(policy=policy, baseline=None, hash=named, text="", signer=None, draft=draft)
    found = appraise(claims.derive(binding.bind(accepted, held(exchange)), submitted), applied)
    assert isinstance(found, Appraisal)
    return found


def issued(exchange: Exchange) -> str:
    return token.issue(answered(exchange), signers.authorities(), MOMENT, "ab" * 32)


def without_hashes(payload: JsonObject) -> JsonObject:
    content = dict(payload)
    for name in ("x-ms-sgx-collateral", "maa-attestationcollateral"):
        hashes = content[name]
        assert isinstance(hashes, dict)
        content[name] = {key: value for key, value in hashes.items() if key not in DIFFERING_HASHES}
    return {key: value for key, value in content.items() if key not in DIFFERS}


@pytest.mark.parametrize("exchange", recordings.under("/attest/"), ids=lambda each: each.name)
def test_a_recorded_attestation_is_answered_claim_by_claim(exchange: Exchange) -> None:
    payload = recordings.part(issued(exchange).split(".")[1])
    assert without_hashes(payload) == without_hashes(exchange.payload)
    assert payload.keys() == exchange.payload.keys()


@pytest.mark.parametrize("exchange", recordings.under("/attest/"), ids=lambda each: each.name)
def test_a_recorded_header_differs_by_host_and_key_alone(exchange: Exchange) -> None:
    header = recordings.part(issued(exchange).split(".")[0])
    assert header.keys() == exchange.header.keys()
    assert (header["alg"], header["typ"]) == (exchange.header["alg"], exchange.header["typ"])
    assert text(exchange.header["jku"]) == f"{exchange.payload['iss']}/certs"
    assert header["jku"] == f"{signers.REAL}/certs"


@pytest.mark.parametrize("exchange", recordings.under("/attest/"), ids=lambda each: each.name)
def test_what_differs_is_what_the_list_says_and_no_less(exchange: Exchange) -> None:
    """A list that grew too long would hide what became equal."""
    payload = recordings.part(issued(exchange).split(".")[1])
    assert {name for name in DIFFERS if payload[name] != exchange.payload[name]} == DIFFERS.keys()
    mine, theirs = payload["x-ms-sgx-collateral"], exchange.payload["x-ms-sgx-collateral"]
    assert isinstance(mine, dict)
    assert isinstance(theirs, dict)
    assert {name for name in mine if mine[name] != theirs[name]} == DIFFERING_HASHES.keys()


@pytest.mark.parametrize("exchange", recordings.under("/attest/"), ids=lambda each: each.name)
def test_times_are_as_far_apart_as_recorded(exchange: Exchange) -> None:
    payload = recordings.part(issued(exchange).split(".")[1])
    now = int(MOMENT.timestamp())
    recorded = {name: int(str(exchange.payload[name])) for name in ("exp", "iat", "nbf")}
    assert payload["exp"] == now + recorded["exp"] - recorded["iat"]
    assert (payload["nbf"], payload["iat"]) == (now, now)
    assert recorded["nbf"] == recorded["iat"]


def test_a_draft_gets_a_token_that_nobody_signed() -> None:
    drafts = [each for each in recordings.under("/attest/") if "draftPolicyForAttestation" in request(each)]
    assert len(drafts) == 2
    for exchange in drafts:
        made = issued(exchange)
        assert made.endswith(".")
        assert recordings.part(made.split(".")[0])["alg"] == "none"
