"""Microsoft's own client, unmodified and over TLS: every behaviour that its own tests cover, but Tpm attestation.

Its quote is the one of those tests, of 2021; judged as of May 2023, of which its platform's collateral is published, by a gate
that accepts what it is since: OutOfDate.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

import pytest
from azure.core.exceptions import HttpResponseError
from azure.security.attestation import (
    AttestationPolicyToken,
    AttestationToken,
    AttestationTokenValidationException,
    AttestationType,
    CertificateModification,
    PolicyModification,
)
from cryptography import x509
from tests.adapters.postgres import Server
from tests.attestation import recordings
from tests.conformance.azure import FORMS, Clients, clients
from tests.services.attesting import REAL_HOST, Service, instance, isolated, owner, real

from donjon.formats import base64url
from donjon.maa import policies
from donjon.pki import pem

GATE = 'accept = ["OutOfDate"]'
POLICY = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
TYPES = (AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE, AttestationType.TPM)
ATTEST = {each.path: recordings.request(each) for each in recordings.under("/attest/")}
REPORT = recordings.octets(recordings.text(ATTEST["/attest/OpenEnclave"]["report"]))
QUOTE = recordings.octets(recordings.text(ATTEST["/attest/SgxEnclave"]["quote"]))
JSON_DATA = next(
    recordings.octets(recordings.text(data["data"]))
    for each in recordings.under("/attest/OpenEnclave")
    if isinstance(data := recordings.request(each)["runtimeData"], dict)
)
"""What the enclave of the client's tests held: the text of a JSON object."""

Story = Callable[[Clients], Awaitable[None]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    tables = instance(folder, "shared", gate=GATE) + instance(folder, "aad", gate=GATE) + isolated(folder, gate=GATE)
    where = f"sqlite:///{folder}/attestation.db"
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgresql")
        where = server.prepared()
    with real(folder, tables, database=where) as running:
        yield running


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def told(service: Service, form: str, instance: str, story: Story, **more: object) -> None:
    async def tell() -> None:
        async with clients(service, form, instance, **more) as both:
            await story(both)

    asyncio.run(tell())


@pytest.mark.parametrize("instance", ["shared", "aad", "iso"])
def test_openid_metadata(service: Service, form: str, instance: str) -> None:
    async def story(both: Clients) -> None:
        metadata = await both.attest("get_open_id_metadata")
        assert metadata["issuer"] == f"{REAL_HOST}/{instance}"
        assert metadata["jwks_uri"] == f"{REAL_HOST}/{instance}/certs"
        assert metadata["response_types_supported"] == ["token", "none"]
        assert metadata["id_token_signing_alg_values_supported"] == ["RS256"]

    told(service, form, instance, story)


@pytest.mark.parametrize("instance", ["shared", "aad", "iso"])
def test_signing_certificates(service: Service, form: str, instance: str) -> None:
    async def story(both: Clients) -> None:
        signers = await both.attest("get_signing_certificates")
        assert len(signers) == 1
        for signer in signers:
            (certificate,) = (x509.load_pem_x509_certificate(each.encode()) for each in signer.certificates)
            assert f"{REAL_HOST}/{instance}" in certificate.subject.rfc4514_string()
            assert signer.key_id

    told(service, form, instance, story)


@pytest.mark.parametrize(("name", "shown"), [("attest_open_enclave", REPORT), ("attest_sgx_enclave", QUOTE)])
@pytest.mark.parametrize("instance", ["shared", "aad", "iso"])
def test_attest(service: Service, form: str, instance: str, name: str, shown: bytes) -> None:
    """Data as bytes and as JSON, and by a policy of the caller's own, which no token is signed for."""
    issuer = f"{REAL_HOST}/{instance}"

    async def story(both: Clients) -> None:
        result, token = await both.attest(name, shown, runtime_data=JSON_DATA, validate_issuer=True, issuer=issuer)
        assert (result.enclave_held_data, result.runtime_claims, result.issuer) == (JSON_DATA, None, issuer)
        assert token.algorithm == "RS256"
        assert result.sgx_collateral["quotehash"] == hashlib.sha256(shown).hexdigest()
        result, _ = await both.attest(name, shown, runtime_json=JSON_DATA)
        assert (result.enclave_held_data, result.runtime_claims) == (None, json.loads(JSON_DATA))
        result, _ = await both.attest(name, shown)
        assert (result.enclave_held_data, result.runtime_claims, result.is_debuggable) == (None, None, False)
        result, token = await both.attest(name, shown, runtime_data=JSON_DATA, draft_policy=POLICY)
        assert (token.algorithm, result.policy_claims) == ("none", None)

    told(service, form, instance, story)


def test_attest_what_the_enclave_did_not_hold(service: Service, form: str) -> None:
    async def story(both: Clients) -> None:
        with pytest.raises(HttpResponseError) as refused:
            await both.attest("attest_sgx_enclave", QUOTE, runtime_data=JSON_DATA + b" ")
        assert refused.value.status_code == 400
        assert "(InvalidParameter)" in str(refused.value)
        assert "DJ430" in str(refused.value)

    told(service, form, "shared", story)


def test_attest_by_a_draft_that_denies(service: Service, form: str) -> None:
    async def story(both: Clients) -> None:
        with pytest.raises(HttpResponseError, match=r"A Deny claim was issued, authorization failed\.") as refused:
            await both.attest("attest_sgx_enclave", QUOTE, draft_policy="version=1.0; authorizationrules{=> deny();};")
        assert "(PolicyEvaluationError)" in str(refused.value)

    told(service, form, "shared", story)


def test_a_saved_token_is_checked_without_the_service(service: Service) -> None:
    """With the keys that were published then; a token that says something else, or that another signed, is refused."""
    said = service.attest({"quote": ATTEST["/attest/SgxEnclave"]["quote"]}, "/shared/attest/SgxEnclave").json()["token"]
    other = service.attest({"quote": ATTEST["/attest/SgxEnclave"]["quote"]}, "/aad/attest/SgxEnclave").json()["token"]

    async def story(both: Clients) -> None:
        signers = await both.attest("get_signing_certificates")
        AttestationToken(token=said)._validate_token(signers, validate_issuer=True, issuer=f"{REAL_HOST}/shared")
        head, body, signature = said.split(".")
        forged = ".".join((head, base64url.encode(json.dumps({**recordings.part(body), "x-ms-sgx-svn": 9}).encode()), signature))
        for wrong, options in ((other, {}), (forged, {}), (said, {"validate_issuer": True, "issuer": REAL_HOST})):
            with pytest.raises(AttestationTokenValidationException):
                AttestationToken(token=wrong)._validate_token(signers, **options)

    told(service, "sync", "shared", story)


@pytest.mark.parametrize("kind", TYPES)
def test_get_policy(service: Service, form: str, kind: AttestationType) -> None:
    """Where none was set: what applies, which permits nothing where nothing is attested."""

    async def story(both: Clients) -> None:
        policy, token = await both.administer("get_policy", kind)
        assert policy == (policies.NOTHING_PERMITTED if kind is AttestationType.TPM else policies.SGX_DEFAULT)
        assert token.issuer == f"{REAL_HOST}/shared"

    told(service, form, "shared", story)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    ("instance", "signed"), [("aad", False), ("aad", True), ("iso", True)], ids=["AAD unsigned", "AAD signed", "Isolated"]
)
def test_set_and_reset_a_policy(service: Service, form: str, instance: str, kind: AttestationType, *, signed: bool) -> None:
    key, certificate = owner()
    by = {"signing_key": key, "signing_certificate": certificate} if signed else {}

    async def story(both: Clients) -> None:
        result, _ = await both.administer("set_policy", kind, POLICY, **by)
        assert result.policy_resolution == PolicyModification.UPDATED
        expected = AttestationPolicyToken(POLICY, **by).to_jwt_string()
        assert result.policy_token_hash == hashlib.sha256(expected.encode()).digest()
        if signed:
            assert result.policy_signer.certificates[0].strip() == certificate.strip()
        else:
            assert result.policy_signer is None
        found, _ = await both.administer("get_policy", kind)
        assert found == POLICY
        result, _ = await both.administer("reset_policy", kind, **by)
        assert result.policy_resolution == PolicyModification.REMOVED
        found, _ = await both.administer("get_policy", kind)
        assert found != POLICY

    told(service, form, instance, story)


def test_a_signer_named_once_signs_every_change(service: Service, form: str) -> None:
    key, certificate = owner()

    async def story(both: Clients) -> None:
        await both.administer("set_policy", AttestationType.SGX_ENCLAVE, POLICY)
        _, token = await both.attest("attest_sgx_enclave", QUOTE)
        said = json.loads(recordings.octets(token.to_jwt_string().split(".")[1]))
        (der,) = map(base64.b64decode, said["x-ms-policy-signer"]["x5c"])
        assert pem.encode((der,)).decode() == certificate  # What the client itself has for that raises.
        assert "tee" not in said
        await both.administer("reset_policy", AttestationType.SGX_ENCLAVE)
        _, token = await both.attest("attest_sgx_enclave", QUOTE)
        said = json.loads(recordings.octets(token.to_jwt_string().split(".")[1]))
        assert (said["tee"], "x-ms-policy-signer" in said) == ("sgx", False)

    told(service, form, "iso", story, signing_key=key, signing_certificate=certificate)


@pytest.mark.parametrize("change", ["set_policy", "reset_policy"])
@pytest.mark.parametrize("by", ["nobody", "stranger"])
def test_an_isolated_instance_takes_no_change_but_its_owners(service: Service, form: str, change: str, by: str) -> None:
    key, certificate = owner("stranger")
    said = {"signing_key": key, "signing_certificate": certificate} if by == "stranger" else {}

    async def story(both: Clients) -> None:
        arguments = (AttestationType.SGX_ENCLAVE, POLICY)[: 2 if change == "set_policy" else 1]
        with pytest.raises(HttpResponseError) as refused:
            await both.administer(change, *arguments, **said)
        assert refused.value.status_code == 400
        assert "(InvalidOperation)" in str(refused.value)

    told(service, form, "iso", story)


def test_a_policy_that_is_none(service: Service, form: str) -> None:
    async def story(both: Clients) -> None:
        with pytest.raises(HttpResponseError, match=r"line 1, column \d+") as refused:
            await both.administer("set_policy", AttestationType.SGX_ENCLAVE, "version=1.0; authorizationrules{=> permit(};")
        assert "(PolicyParsingError)" in str(refused.value)

    told(service, form, "aad", story)


@pytest.mark.parametrize(("instance", "count"), [("shared", 0), ("aad", 0), ("iso", 1)])
def test_policy_management_certificates(service: Service, form: str, instance: str, count: int) -> None:
    async def story(both: Clients) -> None:
        found, token = await both.administer("get_policy_management_certificates")
        assert [chain[0].strip() for chain in found] == [owner()[1].strip()] * count
        assert token.expires - token.issued == timedelta(hours=1)

    told(service, form, instance, story)


def test_add_and_remove_a_policy_certificate(service: Service, form: str) -> None:
    """Twice each: what is there already is there, what is gone is gone. Then the added one's owner could sign."""
    (key, certificate), (_, added) = owner(), owner("another")
    (der,) = pem.parse(added.encode(), 1)
    thumbprint = hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()

    async def story(both: Clients) -> None:
        for change, expected, count in (
            ("add_policy_management_certificate", CertificateModification.IS_PRESENT, 2),
            ("remove_policy_management_certificate", CertificateModification.IS_ABSENT, 1),
        ):
            for _ in range(2):
                result, _ = await both.administer(change, added)
                assert result.certificate_resolution == expected
                assert result.certificate_thumbprint == thumbprint
                found, _ = await both.administer("get_policy_management_certificates")
                assert len(found) == count

    told(service, form, "iso", story, signing_key=key, signing_certificate=certificate)
