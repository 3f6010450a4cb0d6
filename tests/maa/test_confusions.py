"""Token confusions, with a real JOSE library on the attacker's side: one thing wrong in each token."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from joserfc.jws import JWSRegistry
from tests.attestation.recordings import octets
from tests.maa import attackers
from tests.maa.attackers import (
    AAD,
    NOW,
    RSA,
    YEAR,
    body,
    certificate,
    encoded,
    handle,
    isolated,
    key,
    put_together,
    signed,
    signer,
    token,
    x5c,
)

from donjon.adapters.keys import signing
from donjon.errors import DonjonError, Malformed, Misconfigured, Untrusted
from donjon.findings import Severity
from donjon.maa import certificates, instances, policies
from donjon.maa.instances import MAX_CERTIFICATES, Mode, Trust
from donjon.signing import jws, selfsigned, signer_certificate
from donjon.signing.signer import Algorithm
from donjon.signing.signer_certificate import SignerCertificate

Making = Callable[[], str]
DAY = timedelta(days=1)


def altered(made: str, part: int, content: str) -> str:
    parts = made.split(".")
    parts[part] = content
    return ".".join(parts)


def flipped(made: str) -> str:
    signature = bytearray(octets(made.split(".")[2]))
    signature[0] ^= 1
    return altered(made, 2, encoded(bytes(signature)))


def with_hmac() -> str:
    """The classic: the public key, which everybody has, as an HMAC secret. The library will not make it any more."""
    unsigned = put_together({"alg": "HS256", "x5c": x5c(certificate("owner"))}, body()).removesuffix(".")
    return f"{unsigned}.{encoded(hmac.digest(handle('owner').as_pem(private=False), unsigned.encode(), 'sha256'))}"


def token_header(**changes: object) -> str:
    return encoded(json.dumps({"alg": "RS256", "x5c": x5c(certificate("owner")), **changes}).encode())


def without_x5c(**header: object) -> str:
    return signed({"alg": "RS256", **header}, body(), handle("mallory"))


CASES: dict[str, tuple[Making, str]] = {
    "unsigned": (lambda: policies.unsecured_token(attackers.TEXT), "DJ442"),
    "none, with the owner's certificate": (
        lambda: put_together({"alg": "none", "x5c": x5c(certificate("owner"))}, body()),
        "DJ441",
    ),
    "none, with a signature": (lambda: put_together({"alg": "none"}, body(), b"x"), "DJ441"),
    "None in other letters": (lambda: put_together({"alg": "nOnE"}, body()), "DJ441"),
    "no algorithm": (lambda: put_together({"x5c": x5c(certificate("owner"))}, body(), b"x"), "DJ211"),
    "an algorithm that is a list": (lambda: put_together({"alg": ["none"]}, body()), "DJ211"),
    "HMAC with the public key": (with_hmac, "DJ441"),
    "another hash": (lambda: token(alg="RS512"), "DJ441"),
    "another padding": (lambda: token(alg="PS256"), "DJ441"),
    "RSA key, ES256 stated": (lambda: altered(token(), 0, token_header(alg="ES256")), "DJ441"),
    "the alias in a shape of its own": (lambda: altered(token(), 0, token_header(alg="RSA256 ")), "DJ441"),
    "signed by another key": (
        lambda: signed({"alg": "RS256", "x5c": x5c(certificate("owner"))}, body(), handle("mallory")),
        "DJ443",
    ),
    "a changed signature": (lambda: flipped(token()), "DJ443"),
    "a changed body": (lambda: altered(token(), 1, encoded(body("version=1.0;authorizationrules{};"))), "DJ443"),
    "a changed header": (lambda: altered(token(), 0, token_header(kid="other")), "DJ443"),
    "no signature": (lambda: altered(token(), 2, ""), "DJ443"),
    "another's certificate": (lambda: token(name="mallory"), "DJ445"),
    "another's certificate, of the owner's name": (
        lambda: token(name="mallory", x5c=x5c(certificate("mallory", issuer="owner"))),
        "DJ445",
    ),
    "another's first, the owner's behind": (
        lambda: token(name="mallory", x5c=x5c(certificate("mallory")) + x5c(certificate("owner"))),
        "DJ440",
    ),
    "the owner's first, another's key": (
        lambda: token(name="mallory", x5c=x5c(certificate("owner")) + x5c(certificate("mallory"))),
        "DJ440",
    ),
    "a key beside the certificate": (lambda: token(name="mallory", jwk=handle("mallory").as_dict(private=False)), "DJ441"),
    "a key in the place of the certificate": (lambda: without_x5c(jwk=handle("mallory").as_dict(private=False)), "DJ440"),
    "a key within the certificate's jwk": (
        lambda: without_x5c(jwk={**handle("mallory").as_dict(private=False), "x5c": x5c(certificate("owner"))}),
        "DJ440",
    ),
    "no certificate": (without_x5c, "DJ441"),
    "a place to fetch keys": (lambda: token(jku="https://mallory.example/keys"), "DJ441"),
    "a place to fetch certificates": (lambda: token(x5u="https://mallory.example/chain"), "DJ441"),
    "an extension that must be known": (lambda: altered(token(), 0, token_header(crit=["exp"], exp=1)), "DJ441"),
    "an unencoded body": (lambda: altered(token(), 0, token_header(b64=False, crit=["b64"])), "DJ441"),
    "nested, and says so": (lambda: token(token().encode(), cty="JWT"), "DJ441"),
    "nested": (lambda: token(token().encode()), "DJ210"),
    "encrypted": (lambda: f"{token()}.x.x", "DJ440"),
    "another type of token": (lambda: token(typ="at+jwt"), "DJ441"),
    "a header twice": (lambda: altered(token(), 0, encoded(b'{"alg":"none","alg":"RS256"}')), "DJ210"),
    "padded": (lambda: altered(policies.unsecured_token(attackers.TEXT), 1, encoded(b"{}") + "="), "DJ440"),
    "bits behind the end": (lambda: altered(token(), 2, "AB"), "DJ440"),
    "blanks": (lambda: " " + token(), "DJ440"),
    "a line's end": (lambda: token() + "\n", "DJ440"),
    "letters of another script": (lambda: "é" + token(), "DJ440"),
    "a body of a reset": (lambda: token(b""), "DJ446"),
    "a body of a certificate": (
        lambda: token(json.dumps({"policyCertificate": {"x5c": x5c(certificate("mallory"))}}).encode()),
        "DJ446",
    ),
    "a body with its policy twice": (
        lambda: token(json.dumps({**json.loads(body()), "attestationPolicy": ""}).encode()),
        "DJ446",
    ),
    "a body with more": (lambda: token(json.dumps({**json.loads(body()), "more": 1}).encode()), "DJ446"),
    "a policy that is no base64url": (lambda: token(json.dumps({"AttestationPolicy": attackers.TEXT}).encode()), "DJ440"),
    "a policy that is none": (lambda: token(body("permit();")), "DJ400"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_confusion_is_refused_where_policies_must_be_signed(name: str) -> None:
    make, code = CASES[name]
    with pytest.raises(DonjonError) as refused:
        policies.parse_submitted(make(), isolated(), NOW)
    assert refused.value.code == code


@pytest.mark.parametrize("form", ["x5c", "jwk"])
@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_owners_token_is_taken(algorithm: Algorithm, form: str) -> None:
    trust = Trust(mode=Mode.ISOLATED, certificates=(signer("owner", algorithm),))
    header: dict[str, object] = {"alg": str(algorithm), "typ": "JWT"}
    chain: dict[str, object] = {"x5c": x5c(certificate("owner", algorithm))}
    made = signed(header | (chain if form == "x5c" else {"jwk": chain}), body(), handle("owner", algorithm))
    found = policies.parse_submitted(made, trust, NOW)
    assert found.signer == trust.certificates[0]
    assert policies.parse_stored(made) == found


def test_microsofts_name_for_the_algorithm_is_taken() -> None:
    header = json.dumps({"alg": "RSA256", "jwk": {"x5c": x5c(certificate("owner"))}}).encode()
    signing_input = f"{encoded(header)}.{encoded(body())}"
    signature = JWSRegistry.algorithms["RS256"].sign(signing_input.encode(), handle("owner"))
    assert policies.parse_submitted(f"{signing_input}.{encoded(signature)}", isolated(), NOW).signer is not None


@pytest.mark.parametrize("moment", [NOW - timedelta(days=1), NOW + YEAR + timedelta(days=1)], ids=["before", "after"])
def test_a_certificate_outside_its_window_signs_nothing(moment: object) -> None:
    with pytest.raises(Untrusted) as refused:
        policies.parse_submitted(token(), isolated(), moment)  # type: ignore[arg-type]  # The table's values are moments.
    assert refused.value.code == "DJ444"


def test_an_instance_of_mode_aad_takes_unsigned_policies_and_those_that_anybody_signed() -> None:
    assert policies.parse_submitted(policies.unsecured_token(attackers.TEXT), AAD, NOW).signer is None
    assert policies.parse_submitted(token(name="mallory"), AAD, NOW).signer == signer("mallory")


@pytest.mark.parametrize("name", [name for name, (_, code) in CASES.items() if code not in {"DJ442", "DJ445"}])
def test_a_confusion_is_refused_where_signatures_authorise_nothing_too(name: str) -> None:
    make, code = CASES[name]
    with pytest.raises(DonjonError) as refused:
        policies.parse_submitted(make(), AAD, NOW)
    assert refused.value.code == code


def test_a_policy_does_not_reset_and_a_reset_sets_nothing() -> None:
    with pytest.raises(Malformed) as refused:
        policies.reset(token(), isolated(), NOW)
    assert refused.value.code == "DJ446"
    assert policies.reset(token(b""), isolated(), NOW) == signer("owner")
    assert policies.reset(policies.NO_POLICY, AAD, NOW) is None


def test_a_draft_is_a_text_or_an_unsecured_token_and_never_a_signed_one() -> None:
    by_text, by_token = policies.draft(attackers.TEXT), policies.draft(policies.unsecured_token(attackers.TEXT))
    assert by_text == by_token
    assert by_text.draft
    with pytest.raises(Untrusted) as refused:
        policies.draft(token())
    assert refused.value.code == "DJ441"


def test_a_kept_policy_that_somebody_changed_is_refused() -> None:
    with pytest.raises(Untrusted) as refused:
        policies.parse_stored(altered(token(), 1, encoded(body("version=1.0;authorizationrules{=> permit();};"))))
    assert refused.value.code == "DJ443"


def test_a_policy_that_asks_for_an_unknown_baseline_is_refused_when_it_is_set() -> None:
    rule = 'configurationrules{=> issueproperty(type="x-ms-sgx-tcbidentifier", value="best");};'
    with pytest.raises(Malformed) as refused:
        policies.parse_submitted(policies.unsecured_token(f"version=1.1;{rule}authorizationrules{{=> permit();}};"), AAD, NOW)
    assert refused.value.code == "DJ433"


def certificate_token(by: str = "owner", of: str = "heir", **more: object) -> str:
    return token(json.dumps({"policyCertificate": {"kty": "RSA", "x5c": x5c(certificate(of))}, **more}).encode(), name=by)


def test_a_holder_of_a_trusted_certificate_adds_and_removes_others() -> None:
    added = certificates.change(certificate_token(), isolated(), NOW).certificate
    trust = isolated().with_certificate(added, NOW)
    assert trust == isolated("owner", "heir")
    assert certificates.claims_when_changed(added, trust)["x-ms-policycertificates-result"] == "IsPresent"
    assert trust.with_certificate(added, NOW) == trust
    change = certificates.change(certificate_token(by="heir", of="owner"), trust, NOW)
    assert (change.certificate, change.signer) == (signer("owner"), signer("heir"))
    assert trust.without_certificate(signer("owner"), NOW) == isolated("heir")
    assert isolated().without_certificate(added, NOW) == isolated()
    assert certificates.claims_when_changed(added, isolated())["x-ms-policycertificates-result"] == "IsAbsent"


@pytest.mark.parametrize(
    ("make", "trust", "code"),
    [
        (lambda: certificate_token(by="mallory", of="mallory"), isolated, "DJ445"),
        (lambda: certificate_token(by="heir", of="heir"), isolated, "DJ445"),
        (lambda: put_together({"alg": "none"}, b"{}"), isolated, "DJ442"),
        (token, isolated, "DJ446"),
        (lambda: token(b""), isolated, "DJ210"),
        (lambda: certificate_token(AttestationPolicy=""), isolated, "DJ446"),
        (certificate_token, lambda: AAD, "DJ447"),
    ],
    ids=["a stranger", "itself", "nobody", "a policy", "a reset", "both", "none to manage"],
)
def test_nobody_else_changes_the_certificates(make: Making, trust: Callable[[], Trust], code: str) -> None:
    with pytest.raises(DonjonError) as refused:
        certificates.change(make(), trust(), NOW)
    assert refused.value.code == code


def ended(name: str) -> SignerCertificate:
    """A certificate that was good until yesterday."""
    return signer_certificate.parse(signing.self_signed(key(name, RSA), f"https://{name}.example", NOW - YEAR, YEAR - DAY))


def test_one_that_has_ended_is_not_added_and_does_not_let_the_last_good_one_go() -> None:
    old = ended("heir")
    with pytest.raises(Misconfigured, match=f"{old.thumbprint()}, which ended 2026-05-31"):
        isolated().with_certificate(old, NOW)
    both = Trust(mode=Mode.ISOLATED, certificates=(signer("owner"), old))
    with pytest.raises(Misconfigured, match="nobody could change this instance any more; add the next first") as refused:
        both.without_certificate(signer("owner"), NOW)
    assert refused.value.code == "DJ447"
    assert both.without_certificate(old, NOW) == isolated()


def test_who_comes_when_all_have_ended_is_told_that_there_is_a_way_out() -> None:
    alone = Trust(mode=Mode.ISOLATED, certificates=(ended("heir"),))
    with pytest.raises(Untrusted, match="nobody can sign: donjon explain DJ444 says the way out") as refused:
        policies.parse_submitted(token(), alone, NOW)
    assert refused.value.code == "DJ444"


@pytest.mark.parametrize(
    ("later", "severity", "words"),
    [
        (DAY, None, ""),
        (YEAR - 13 * DAY, Severity.WARNING, "ends 2027-06-01"),
        (YEAR + DAY, Severity.ERROR, "ended 2027-06-01"),
    ],
)
def test_signers_that_have_ended_or_soon_will_are_told_of(later: timedelta, severity: Severity | None, words: str) -> None:
    finding = instances.appraise(isolated(), NOW + later, "signers")
    assert (finding and finding.severity) == severity
    assert words in (finding.observation if finding else "")
    assert instances.appraise(AAD, NOW + later, "signers") is None


def test_the_last_certificate_stays() -> None:
    with pytest.raises(Misconfigured) as refused:
        isolated().without_certificate(signer("owner"), NOW)
    assert refused.value.code == "DJ447"


@pytest.mark.parametrize(
    ("mode", "count"), [(Mode.AAD, 1), (Mode.ISOLATED, 0), (Mode.ISOLATED, MAX_CERTIFICATES + 1)], ids=["aad", "none", "too many"]
)
def test_a_mode_and_its_certificates_fit_one_another(mode: Mode, count: int) -> None:
    with pytest.raises(Misconfigured) as refused:
        Trust(mode=mode, certificates=(signer("owner"),) * count)
    assert refused.value.code == "DJ447"


@pytest.mark.parametrize("size", [1024, 1536])
def test_a_short_rsa_key_signs_nothing(size: int) -> None:
    der = selfsigned.certificate(generate_private_key(65537, size), "https://owner.example", 1, NOW, YEAR)
    with pytest.raises(Malformed) as refused:
        signer_certificate.parse(der)
    assert refused.value.code == "DJ448"


def test_a_header_of_very_many_values_is_refused_before_it_is_read() -> None:
    header = base64.urlsafe_b64encode(b'{"alg":[' + b"1," * 1000 + b"1]}").decode().rstrip("=")
    with pytest.raises(Malformed, match="more values and names than the 1000") as refused:
        jws.parse(f"{header}..", "token")
    assert refused.value.code == "DJ210"


def test_a_token_longer_than_its_bound_is_not_looked_at() -> None:
    with pytest.raises(Malformed) as refused:
        jws.parse("." * (jws.MAX_TOKEN + 1), "token")
    assert refused.value.code == "DJ440"
