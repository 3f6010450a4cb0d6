"""From a bound quote to a token: the operator's gate, what no policy can change, and who signs."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, RSAKey
from tests.attestation import recordings, signers
from tests.attestation.worlds import verified
from tests.simulation.intel import MOMENT

from donjon.adapters.keys import signing
from donjon.attestation import binding, claims, token
from donjon.attestation.acceptance import Acceptance, AcceptedQuote, accept
from donjon.attestation.appraise import Appraisal, PolicyInForce, appraise, baseline, narrow_gate
from donjon.attestation.binding import BoundQuote, HeldData
from donjon.attestation.claims import ClaimSet
from donjon.attestation.token import Authorities, TokenAuthority
from donjon.errors import Malformed, Misconfigured
from donjon.formats.json import JsonObject
from donjon.pki import pem
from donjon.policy import parsing
from donjon.policy.decision import Decision, PolicyVerdict
from donjon.policy.incoming import INCOMING
from donjon.policy.meaning import is_reserved
from donjon.signing.signer import Algorithm

PERMIT_ALL = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
CONFIGURED = (
    'version=1.1; configurationrules{{=> issueproperty(type="x-ms-sgx-tcbidentifier", value={});}};'
    "authorizationrules{{=> permit();}};"
)
DEBUG = 0x07
JTI = "cd" * 32
LONG_ISSUER = "https://attestation.donjon-system.svc.cluster.example:8443/tenants/one"
KEYS: dict[Algorithm, type[RSAKey | ECKey]] = {Algorithm.RS256: RSAKey, Algorithm.ES256: ECKey}


def statement(kind: str = "v3 SGX", changes: Mapping[str, object] | None = None, held: HeldData | None = None) -> ClaimSet:
    accepted = accept(verified(kind, changes), Acceptance(allow_debug=True))
    assert isinstance(accepted, AcceptedQuote)
    return claims.derive(binding.bind(accepted, held or HeldData()), b"as submitted")


def in_force(text: str = PERMIT_ALL, *, draft: bool = False, signer: JsonObject | None = None) -> PolicyInForce:
    policy = parsing.parse(text)
    return PolicyInForce(policy=policy, baseline=baseline(policy), hash="hash", text="", signer=signer, draft=draft)


def appraised(of: ClaimSet, applied: PolicyInForce | None = None) -> Appraisal:
    answer = appraise(of, applied or in_force())
    assert isinstance(answer, Appraisal)
    return answer


@pytest.mark.parametrize("kind", ["v3 SGX", "v4 TDX 1.0"])
def test_no_policy_may_say_what_the_service_could_say_itself(kind: str) -> None:
    found = verified(kind)
    accepted = accept(found, Acceptance())
    assert isinstance(accepted, AcceptedQuote)
    for data in (binding.binary(b"{}", "data"), binding.json(b"{}", "data")):
        held = HeldData(runtime=data, nonce="n")
        said = claims.derive(BoundQuote(accepted_quote=accepted, held_data=held), b"as submitted").token_claims
        assert [name for name in said if not is_reserved(name)] == []


def issued(of: Appraisal, algorithm: Algorithm = Algorithm.RS256) -> str:
    return token.issue(of, signers.authorities(algorithm), MOMENT, JTI)


def payload(of: Appraisal) -> JsonObject:
    return recordings.part(issued(of).split(".")[1])


def published(authority: TokenAuthority) -> dict[str, str | list[str]]:
    keys: list[dict[str, str | list[str]]] = json.loads(json.dumps(token.key_set(authority)["keys"]))
    return keys[0]


def test_a_policy_that_permits_everything_does_not_open_the_operators_gate() -> None:
    answer = accept(verified(changes={"quote.body.flags": DEBUG}), narrow_gate(Acceptance(), parsing.parse(PERMIT_ALL)))
    assert not isinstance(answer, AcceptedQuote)
    assert [finding.code for finding in answer] == ["DJ263"]


@pytest.mark.parametrize(
    ("identifier", "gate", "expected"),
    [
        ('"azuredefault"', 12, 12),
        ('"azuredefault"', None, None),
        ('"17"', 12, 17),
        ('"17"', None, 17),
        ('"11"', 12, 12),  # a policy never asks for less than the operator does
        ("17", 12, 17),
    ],
)
def test_a_policy_can_raise_the_tcb_baseline_and_never_lower_it(identifier: str, gate: int | None, expected: int | None) -> None:
    policy = parsing.parse(CONFIGURED.format(identifier))
    assert narrow_gate(Acceptance(min_evaluation=gate), policy).min_evaluation == expected


@pytest.mark.parametrize("identifier", ['"latest"', '""', '"-1"', '"٣"', "true", "-4", '"99999999999999999999"'])
def test_a_baseline_that_nobody_knows_is_refused(identifier: str) -> None:
    with pytest.raises(Malformed) as refused:
        narrow_gate(Acceptance(), parsing.parse(CONFIGURED.format(identifier)))
    assert refused.value.code == "DJ433"


def test_a_quote_accepted_by_less_than_the_policy_asks_for_is_not_appraised() -> None:
    with pytest.raises(Misconfigured) as refused:
        appraise(statement(), in_force(CONFIGURED.format('"17"')))
    assert refused.value.code == "DJ438"


def test_a_policys_no_is_its_decision_with_its_trace() -> None:
    answer = appraise(statement(), in_force('version=1.0;authorizationrules{[type=="$tee", value=="tdx"] => permit();};'))
    assert isinstance(answer, Decision)
    assert answer.verdict is PolicyVerdict.NOT_PERMITTED
    assert len(answer.trace) == 1


@pytest.mark.parametrize(
    "name", ["$is-debuggable", "$product-id", "$sgx-mrsigner", "$sgx-mrenclave", "$svn", "$tee", "x-ms-sgx-report-data"]
)
def test_policies_see_older_names_too(name: str) -> None:
    appraised(statement(), in_force(f'version=1.0;authorizationrules{{[type=="{name}"] => permit();}};'))


def test_what_a_policy_issues_is_in_the_token_one_value_or_a_list() -> None:
    rules = '=> issue(type="level", value=5); => issue(type="colour", value="red"); => issue(type="colour", value="blue");'
    found = payload(appraised(statement(), in_force(f"version=1.0;authorizationrules{{=> permit();}};issuancerules{{{rules}}};")))
    assert (found["level"], found["colour"]) == (5, ["red", "blue"])


@pytest.mark.parametrize(
    "name", ["tdx_mrtd", "attester_tcb_status", "dbgstat", "eat_profile", "nonce", "maa-ehd", "x-ms-runtime"]
)
def test_no_policy_says_what_only_the_service_can_prove(name: str) -> None:
    with pytest.raises(Malformed) as refused:
        in_force(f'version=1.0;authorizationrules{{=> permit();}};issuancerules{{=> issue(type="{name}", value="forged");}};')
    assert refused.value.code == "DJ406"


def test_a_policy_cannot_be_written_that_says_a_platform_is_real() -> None:
    with pytest.raises(Malformed) as refused:
        in_force('version=1.0;authorizationrules{=> permit();};issuancerules{=> issue(type="x-donjon-simulated", value=false);};')
    assert refused.value.code == "DJ406"


@pytest.mark.parametrize("kind", ["v3 SGX", "v4 TDX 1.0", "v5 TDX 1.5"])
def test_a_token_of_a_simulated_platform_says_so_by_claim_issuer_and_key(kind: str) -> None:
    found = issued(appraised(statement(kind)))
    said = recordings.part(found.split(".")[1])
    assert said["x-donjon-simulated"] is True
    assert said["iss"] == signers.SIMULATED
    jws.deserialize_compact(found, RSAKey.import_key(published(signers.authority(issuer=signers.SIMULATED))), ["RS256"])
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(found, RSAKey.import_key(published(signers.authority())), ["RS256"])


def test_nobody_speaks_of_simulated_platforms_unless_told_to() -> None:
    with pytest.raises(Misconfigured) as refused:
        token.issue(appraised(statement()), Authorities(real=signers.authority()), MOMENT, JTI)
    assert refused.value.code == "DJ435"


@pytest.mark.parametrize("issuer", [signers.REAL, signers.SIMULATED])
def test_simulated_platforms_need_a_name_and_a_key_of_their_own(issuer: str) -> None:
    other = TokenAuthority(
        issuer=issuer, signer=signers.signer(Algorithm.RS256, signers.SIMULATED if issuer == signers.REAL else signers.REAL)
    )
    with pytest.raises(Misconfigured) as refused:
        Authorities(real=signers.authority(), simulated=other)
    assert refused.value.code == "DJ435"


@pytest.mark.parametrize(
    "issuer",
    [
        "http://attest.example",
        "https://",
        "https://a.example/",
        "https://a.example?x",
        "https://a b",
        "https://a@b.example",
        f"https://{'a' * 256}.example",
    ],
)
def test_an_issuer_is_a_plain_https_url(issuer: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        TokenAuthority(issuer=issuer, signer=signers.signer(Algorithm.RS256, signers.REAL))
    assert refused.value.code == "DJ434"


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_token_is_good_by_the_key_that_is_published(algorithm: Algorithm) -> None:
    authority = signers.authority(algorithm, signers.SIMULATED)
    read = jws.deserialize_compact(
        issued(appraised(statement()), algorithm), KEYS[algorithm].import_key(published(authority)), [algorithm]
    )
    assert read.headers() == {"alg": algorithm, "jku": f"{signers.SIMULATED}/certs", "kid": authority.signer.kid, "typ": "JWT"}
    assert json.loads(read.payload or b"")["jti"] == JTI


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("issuer", [signers.REAL, LONG_ISSUER])
def test_the_published_certificate_is_the_keys_own_in_the_name_of_the_issuer(algorithm: Algorithm, issuer: str) -> None:
    key = published(signers.authority(algorithm, issuer))
    certificate = x509.load_der_x509_certificate(base64.b64decode(key["x5c"][0]))
    certificate.verify_directly_issued_by(certificate)
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert issuer.startswith(str(name.value))
    uris = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert uris.get_values_for_type(x509.UniformResourceIdentifier) == [issuer]
    own = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert KEYS[algorithm].import_key(own).thumbprint() == KEYS[algorithm].import_key(key).thumbprint()


@pytest.mark.parametrize("algorithm", Algorithm)
def test_nothing_of_the_private_key_is_published(algorithm: Algorithm) -> None:
    assert published(signers.authority(algorithm)).keys() <= {*("kty", "kid", "use", "alg", "x5c", "n", "e", "crv", "x", "y")}


def test_a_signed_policys_key_is_named_and_an_unsigned_ones_is_not() -> None:
    signer: JsonObject = {"kty": "RSA", "x5c": ["certificate"]}
    assert payload(appraised(statement(), in_force(signer=signer)))["x-ms-policy-signer"] == signer
    assert "x-ms-policy-signer" not in payload(appraised(statement()))


def test_an_answer_of_the_service_about_itself_is_good_for_an_hour() -> None:
    made = token.answer({"x-ms-policy-result": "Updated"}, signers.authority(), MOMENT)
    now = int(MOMENT.timestamp())
    assert recordings.part(made.split(".")[1]) == {
        "iss": signers.REAL,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "x-ms-policy-result": "Updated",
    }


@pytest.mark.parametrize(
    ("later", "expected"), [(timedelta(minutes=5), None), (timedelta(minutes=6), MOMENT), (-timedelta(days=900), MOMENT)]
)
def test_a_token_says_when_the_quote_was_judged_at_another_time(later: timedelta, expected: datetime | None) -> None:
    made = token.issue(appraised(statement()), signers.authorities(), MOMENT + later, JTI)
    found = recordings.part(made.split(".")[1])
    assert found.get("x-donjon-judged-at") == (None if expected is None else int(expected.timestamp()))


def test_a_token_holds_the_largest_data_that_an_enclave_may_show() -> None:
    raw = b"x" * binding.MAX_DATA
    held = HeldData(runtime=binding.binary(raw, "runtime data"))
    changes = {"quote.body.report_data": held.runtime.digest() + bytes(32)} if held.runtime else {}
    assert len(issued(appraised(statement(changes=changes, held=held)))) > 3 * len(raw)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_longest_issuer_signs(algorithm: Algorithm) -> None:
    issuer = f"https://{'a' * (token.MAX_ISSUER - len('https://'))}"
    made = token.answer({}, TokenAuthority(issuer=issuer, signer=signers.signer(algorithm, issuer)), MOMENT)
    assert recordings.part(made.split(".")[1])["iss"] == issuer


@pytest.mark.parametrize(
    "pem",
    [b"", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", b"x" * (signing.MAX_PEM + 1)],
    ids=["none", "empty", "long"],
)
def test_a_key_that_cannot_sign_is_refused(pem: bytes) -> None:
    with pytest.raises(Misconfigured) as refused:
        signing.self_signed(pem, signers.REAL, MOMENT, timedelta(days=1))
    assert refused.value.code == "DJ437"


def test_a_certificate_of_another_key_is_refused() -> None:
    one, other = signing.fresh_key(Algorithm.ES256), signing.fresh_key(Algorithm.ES256)
    with pytest.raises(Misconfigured) as refused:
        signing.parse_signer(one, signing.self_signed(other, signers.REAL, MOMENT, timedelta(days=1)))
    assert refused.value.code == "DJ437"


def test_a_certificate_is_read_in_pem_too() -> None:
    key = signing.fresh_key(Algorithm.ES256)
    der = signing.self_signed(key, signers.REAL, MOMENT, timedelta(days=1))
    assert signing.parse_signer(key, pem.encode((der,))).jwk() == signing.parse_signer(key, der).jwk()


def test_keys_are_published_side_by_side_while_one_follows_another() -> None:
    older, newer = (signers.authority(algorithm) for algorithm in Algorithm)
    keys = token.key_set(older, newer)["keys"]
    assert isinstance(keys, list)
    assert [key["kid"] for key in keys if isinstance(key, dict)] == [older.signer.kid, newer.signer.kid]
    assert older.signer.kid != newer.signer.kid


def test_no_two_tokens_have_one_name() -> None:
    names = {signing.fresh_jti() for _ in range(100)}
    assert len(names) == 100
    assert {len(bytes.fromhex(name)) for name in names} == {32}


def test_a_token_is_bounded_however_its_data_are_written() -> None:
    """Numbers that are written four times as long as they came."""
    long = binding.json(b'{"a":[' + b",".join([b"1e15"] * 13_000) + b"]}", "data").content
    one = appraised(statement())

    def said(times: int) -> Appraisal:
        return replace(
            one, claim_set=replace(one.claim_set, token_claims={**one.claim_set.token_claims, "again": [long] * times})
        )

    assert len(issued(said(2))) < 2 * token.MAX_PAYLOAD
    with pytest.raises(Malformed) as refused:
        issued(said(4))
    assert refused.value.code == "DJ454"


@pytest.mark.parametrize("kind", ["v3 SGX", "v4 TDX 1.0", "v5 TDX 1.5"])
def test_every_claim_that_policies_see_is_in_the_list_that_they_are_warned_by(kind: str) -> None:
    seen = {each.type for each in statement(kind).incoming}
    assert len(seen) > 8
    assert seen <= INCOMING
