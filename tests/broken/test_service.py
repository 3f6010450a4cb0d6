"""What the running attestation service must refuse, sent over TLS as anybody would send it (docs/clauses.md, 64 to 71)."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256

import httpx2
import pytest
from tests.attestation import recordings
from tests.labour import queued
from tests.maa import attackers
from tests.maa.test_confusions import CASES, certificate_token
from tests.services.attesting import SIMULATED_HOST, Service, instance, isolated, simulated
from tests.simulation.intel import world

from donjon.formats.json import JsonObject
from donjon.maa import policies
from donjon.maa.requests import MAX_BODY
from donjon.pki import pem
from donjon.simulation.intel.reports import SEPT_VE_DISABLE

SGX, TDX = "v3 SGX", "v4 TDX 1.0"
PERMIT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
LOWERED = (
    'version=1.1; configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="1");};'
    "authorizationrules{=> permit();}; issuancerules{};"
)
NEWEST = "2025-06-01"
TYPES = {SGX: "SgxEnclave", TDX: "TdxVm"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Instances: a usual one, one whose policies must be signed, and one whose operator asks for evaluation number 21."""
    folder = tmp_path_factory.mktemp("service")
    owned = pem.encode((attackers.certificate("owner"),))
    tables = instance(folder, "aad") + isolated(folder, first=owned) + instance(folder, "newest", gate="min-evaluation = 21")
    with simulated(folder, tables, world(SGX), world(TDX), now=lambda: attackers.NOW) as running:
        yield running


@pytest.fixture(autouse=True)
def the_next_honest_call_is_served_at_once(service: Service) -> Iterator[None]:
    """Whatever a test did before."""
    yield
    began, waited = time.perf_counter(), queued()  # noqa: TID251 - the promise is in seconds.
    assert service.attest({"quote": quoted()}, "/newest/attest/SgxEnclave").status_code == 400
    reset(service)
    assert service.attest({"quote": quoted()}).status_code == 200
    assert time.perf_counter() - began - (queued() - waited) < 1.0  # noqa: TID251 - 〃


def reset(service: Service) -> None:
    for kind in TYPES.values():
        assert service.post(f"/aad/policies/{kind}:reset", policies.NO_POLICY.encode(), "text/plain", NEWEST).status_code == 200


def quoted(kind: str = SGX, changes: Mapping[str, object] | None = None) -> str:
    return base64.urlsafe_b64encode(world(kind, changes).quote.data).decode().rstrip("=")


def holding(data: bytes, *, swapped: bool = False) -> str:
    """A quote whose report data hold the hash of those, in their first half or in their second."""
    halves = (sha256(data).digest(), bytes(32))
    return quoted(SGX, {"quote.body.report_data": b"".join(reversed(halves) if swapped else halves)})


def shown(data: bytes, kind: str) -> JsonObject:
    return {"data": base64.urlsafe_b64encode(data).decode().rstrip("="), "dataType": kind}


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error.keys() == {"code", "message"}
    return answer.status_code, error["code"]


def set_policy(service: Service, policy: str, kind: str = "SgxEnclave") -> None:
    answer = service.put(f"/aad/policies/{kind}", policies.unsecured_token(policy), NEWEST)
    assert answer.status_code == 200, answer.text


def said(answer: httpx2.Response) -> JsonObject:
    assert answer.status_code == 200, answer.text
    return recordings.part(answer.json()["token"].split(".")[1])


@pytest.mark.parametrize("policy", ["default", PERMIT, LOWERED, "draft"])
@pytest.mark.parametrize(
    ("kind", "changes", "code"),
    [
        (SGX, {"quote.body.flags": 0x07}, "DJ263"),
        (SGX, {"quote.body.flags": 0x15}, "DJ265"),
        (TDX, {"quote.body.attributes": SEPT_VE_DISABLE | 1}, "DJ263"),
        (TDX, {"quote.body.attributes": 0}, "DJ266"),
    ],
    ids=["debug enclave", "provisioning key", "debug TD", "no SEPT_VE_DISABLE"],
)
def test_what_no_policy_can_permit(service: Service, kind: str, changes: dict[str, object], code: str, policy: str) -> None:
    """A debug enclave, a debug TD … under a policy, or a draft, that permits everything. Refused by the gate. Clause 64."""
    content: JsonObject = {"quote": quoted(kind, changes)}
    if policy == "draft":
        content["draftPolicyForAttestation"] = PERMIT
    elif policy != "default":
        set_policy(service, policy, TYPES[kind])
    answer = service.attest(content, f"/aad/attest/{TYPES[kind]}", NEWEST)
    assert refusal(answer) == (400, "InvalidParameter")
    assert code in answer.text


def test_a_baseline_below_the_operators(service: Service) -> None:
    """The gate asks for 21, Intel's documents are of 20; a policy or draft asks for 1. Refused. Clause 64, issue 2."""
    answer = service.attest({"quote": quoted(), "draftPolicyForAttestation": LOWERED}, "/newest/attest/SgxEnclave")
    assert "DJ268" in answer.text
    assert service.put("/newest/policies/SgxEnclave", policies.unsecured_token(LOWERED)).status_code == 200
    assert "DJ268" in service.attest({"quote": quoted()}, "/newest/attest/SgxEnclave").text
    found = service.get("/newest/tcbbaselines/SgxEnclave", NEWEST).json()["tcbBaselines"]
    assert [(each["tcbEvaluationDataNumber"], each["isSelectedTcb"]) for each in found] == [(20, False)]


@pytest.mark.parametrize(
    ("held", "claimed", "kind"),
    [
        (b"one", b"other", "Binary"),
        (b'{"a": 1}', b'{"a":1}', "JSON"),
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}', "JSON"),
        (b'{"a":1}', b'{"a":1.0}', "JSON"),
        (b"", b"\0", "Binary"),
    ],
)
def test_data_that_the_enclave_did_not_hold(service: Service, held: bytes, claimed: bytes, kind: str) -> None:
    """SHA-256 of other data, of the same object in other text. Refused. Clause 65."""
    answer = service.attest({"quote": holding(held), "runtimeData": shown(claimed, kind)})
    assert refusal(answer) == (400, "InvalidParameter")
    assert "DJ430" in answer.text
    assert service.attest({"quote": holding(held), "runtimeData": shown(held, kind)}).status_code == 200


def test_swapped_halves(service: Service) -> None:
    """0 ‖ SHA-256 in place of SHA-256 ‖ 0. Refused. Clause 65."""
    answer = service.attest({"quote": holding(b"x", swapped=True), "runtimeData": shown(b"x", "Binary")})
    assert "DJ430" in answer.text


RULES = {
    "nothing permits": "",
    "a deny after a permit": '=> permit(); c:[type=="x-ms-sgx-svn"] => deny();',
    "a deny before a permit": "=> deny(); => permit();",
    "a missing claim": '[type=="x-ms-sgx-config-svn"] => permit();',
    "false as a text": '[type=="x-ms-sgx-is-debuggable", value=="false"] => permit();',
    "a number as a text": '[type=="x-ms-sgx-svn", value=="0"] => permit();',
    "another's claim": '[type=="x-ms-sgx-svn", issuer=="CustomClaim"] => permit();',
}


@pytest.mark.parametrize("draft", [False, True], ids=["set", "draft"])
@pytest.mark.parametrize("rules", RULES)
def test_what_a_policy_does_not_permit(service: Service, rules: str, *, draft: bool) -> None:
    """No permit, a deny, a comparison of other types. Refused, and the reasons told. Clause 66."""
    policy = f"version=1.0; authorizationrules{{{RULES[rules]}}}; issuancerules{{}};"
    content: JsonObject = {"quote": quoted()}
    if draft:
        content["draftPolicyForAttestation"] = policy
    else:
        set_policy(service, policy)
    answer = service.attest(content)
    assert refusal(answer) == (400, "PolicyEvaluationError")
    assert ("A Deny claim was issued" in answer.text) == ("a deny" in rules)


def test_a_policy_that_would_say_what_the_service_says(service: Service) -> None:
    """issue(type="iss" …), x-ms-…: refused when it is set. Clause 66."""
    for claim in ("iss", "exp", "x-ms-sgx-mrenclave", "x-ms-policy-hash", "x-donjon-simulated"):
        policy = f'version=1.0; authorizationrules{{=> permit();}}; issuancerules{{=> issue(type="{claim}", value="x");}};'
        assert service.put("/aad/policies/SgxEnclave", policies.unsecured_token(policy)).status_code == 400


STRIPPED = {"blanks", "a line's end"}
"""White space around a body is no part of the token: these arrive as the honest token."""


@pytest.mark.parametrize("name", [name for name in CASES if name not in STRIPPED])
def test_a_confused_token(service: Service, name: str) -> None:
    """Forty ways to confuse an algorithm, a key, a certificate or a body. Refused on both routes of a policy. Clause 67."""
    make, code = CASES[name]
    before = said(service.get("/iso/policies/SgxEnclave"))["x-ms-policy"]
    answer = service.put("/iso/policies/SgxEnclave", make().encode().decode())
    assert answer.status_code == 400
    assert code in answer.text or "DJ450" in answer.text
    assert said(service.get("/iso/policies/SgxEnclave"))["x-ms-policy"] == before
    if name != "a body of a reset":
        assert service.post("/iso/policies/SgxEnclave:reset", make().encode(), "text/plain").status_code == 400


@pytest.mark.parametrize(
    ("by", "of"), [("mallory", "mallory"), ("heir", "heir"), ("mallory", "owner")], ids=["a stranger", "itself", "the owner's"]
)
@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_certificate_that_nobody_trusted_asks_for(service: Service, change: str, by: str, of: str) -> None:
    """Signed by a certificate that is none of the instance's. Refused. Clause 67."""
    for version, content in (
        ("2020-10-01", json.dumps(certificate_token(by=by, of=of))),
        (NEWEST, json.dumps({f"policyCertificateTo{change.capitalize()}": certificate_token(by=by, of=of)})),
    ):
        answer = service.post(f"/iso/certificates:{change}", content.encode(), version=version)
        assert refusal(answer) == (400, "InvalidOperation")
        assert "DJ445" in answer.text


def test_the_last_certificate_and_a_removed_one(service: Service) -> None:
    """The owner removes itself: refused. An heir is added, removed, and asks again: refused. Clause 67."""

    def ask(change: str, **who: str) -> httpx2.Response:
        return service.post(f"/iso/certificates:{change}", json.dumps(certificate_token(**who)).encode())

    last = ask("remove", of="owner")
    assert (refusal(last), "DJ447" in last.text) == ((400, "InvalidOperation"), True)
    heirs = attackers.token(name="heir")
    assert service.put("/iso/policies/OpenEnclave", heirs).status_code == 400
    assert ask("add").status_code == 200
    assert service.put("/iso/policies/OpenEnclave", heirs).status_code == 200
    assert ask("remove").status_code == 200
    assert service.put("/iso/policies/OpenEnclave", heirs).status_code == 400
    assert said(service.get("/iso/certificates"))["x-ms-policy-certificates"] == {
        "keys": [{"alg": "RS256", "kty": "RSA", "use": "sig", "x5c": attackers.x5c(attackers.certificate("owner"))}]
    }


def test_a_signed_draft(service: Service) -> None:
    """A draft that its owner signed. Refused: what comes of a draft is signed by nobody. Clause 68."""
    answer = service.attest({"quote": quoted(), "draftPolicyForAttestation": attackers.token()})
    assert refusal(answer) == (400, "InvalidOperation")


@pytest.mark.parametrize("draft", [attackers.TEXT, policies.unsecured_token(attackers.TEXT)], ids=["text", "token"])
def test_the_token_of_a_draft(service: Service, draft: str) -> None:
    """A draft that permits. The token has algorithm none and no signature: nobody may trust it. Clause 68."""
    answer = service.attest({"quote": quoted(), "draftPolicyForAttestation": draft})
    header, _, signature = answer.json()["token"].split(".")
    assert (recordings.part(header)["alg"], signature) == ("none", "")


def test_a_nonce_sent_again(service: Service) -> None:
    """One nonce twice: each token is another one, as its own jti says; the nonce stands there as it was sent. Clause 69."""
    first, again = (said(service.attest({"quote": quoted(), "nonce": "5f"})) for _ in range(2))
    assert (first["nonce"], again["nonce"]) == ("5f", "5f")
    assert first["jti"] != again["jti"]
    assert "nonce" not in said(service.attest({"quote": quoted()}))
    assert said(service.attest({"quote": quoted(), "nonce": "5e"}))["nonce"] == "5e"


@pytest.mark.parametrize("size", [MAX_BODY + 1, 2 << 20, 3 << 20])
@pytest.mark.parametrize("path", ["/aad/attest/SgxEnclave", "/aad/certificates:add"])
def test_a_body_over_its_limit(service: Service, path: str, size: int) -> None:
    """More than 1 MiB, and more than the server takes at all. Refused. Clause 70."""
    assert service.post(path, b'{"quote":"' + b"A" * size).status_code in {400, 413}


def test_a_policy_of_a_megabyte(service: Service) -> None:
    """1 MB of policy in its token, and in a draft. Refused. Clause 70."""
    long = "version=1.0; authorizationrules{=> permit();};" + " " * 1_000_000
    assert refusal(service.put("/aad/policies/SgxEnclave", policies.unsecured_token(long)[: MAX_BODY - 1]))[0] == 400
    assert service.attest({"quote": quoted(), "draftPolicyForAttestation": long}).status_code == 400


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://certificates.trustedservices.intel.com@169.254.169.254/IntelSGXRootCA.der",
    ],
)
def test_an_address_to_fetch(service: Service, uri: str) -> None:
    """crl?uri= of what is none of Intel's lists. Refused, nothing is fetched. Clause 71."""
    assert service.client.get("/sgx/certification/v4/crl", params={"uri": uri}).status_code == 400


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-URL"])
def test_another_host_in_the_headers(service: Service, header: str) -> None:
    """Host: mallory.example. Answered as ever: who issues a token is what its operator settled. Issue 2."""
    headers = {header: "mallory.example"}
    answer = service.client.post(
        "/aad/attest/SgxEnclave", params={"api-version": "2020-10-01"}, json={"quote": quoted()}, headers=headers
    )
    assert said(answer)["iss"] == f"{SIMULATED_HOST}/aad"
    metadata = service.client.get("/aad/.well-known/openid-configuration", headers=headers)
    assert "mallory" not in metadata.text
    assert recordings.part(answer.json()["token"].split(".")[0])["jku"] == f"{SIMULATED_HOST}/aad/certs"


@pytest.mark.parametrize("kind", ["Tpm", "SevSnpVm", "AzureGuest"])
def test_a_type_that_is_not_attested_here(service: Service, kind: str) -> None:
    """POST /attest/Tpm. Refused with a code of its own; its policies can be set, read and reset. Issue 2."""
    answer = service.post(f"/aad/attest/{kind}", b"{}", version=NEWEST)
    assert refusal(answer) == (400, "InvalidParameter")
    assert "DJ452" in answer.text
    place = f"/aad/policies/{kind}"
    assert said(service.get(place, NEWEST))["x-ms-policy"] == policies.unsecured_token(policies.NOTHING_PERMITTED)
    assert service.put(place, policies.unsecured_token(PERMIT), NEWEST).status_code == 200
    assert said(service.get(place, NEWEST))["x-ms-policy"] == policies.unsecured_token(PERMIT)
    assert service.post(f"{place}:reset", policies.NO_POLICY.encode(), "text/plain", NEWEST).status_code == 200
