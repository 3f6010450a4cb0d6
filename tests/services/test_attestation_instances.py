"""Instances of the running service: their algorithms, gates, policies and audit, and what replicas make of one another."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner
from joserfc import jws, jwt
from joserfc.jwk import KeySet
from sqlalchemy import select
from testbed import clock
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.attestation import recordings
from tests.attestation.signers import DECADES, MADE
from tests.maa import attackers
from tests.ports import free_port
from tests.services.attesting import (
    REAL_HOST,
    SIMULATED_HOST,
    Service,
    certificate,
    chosen,
    instance,
    isolated,
    owner,
    serving,
    simulated,
)
from tests.simulation.intel import MOMENT, world

from donjon.adapters import clock as clock_of_the_product
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.tables import RECORDS
from donjon.cli.audit.command import audit
from donjon.formats.json import JsonObject, at
from donjon.maa import policies
from donjon.maa.versions import TYPES, ApiVersion, AttestationType
from donjon.signing.signer import Algorithm
from donjon.simulation.intel.world import World

PERMIT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
DENY = "version=1.0; authorizationrules{=> deny();}; issuancerules{};"
NOT_MIGRATABLE = """version=1.0; authorizationrules{
[type=="tdx_td_attributes_migratable", value==false] && [type=="tdx_mrservicetd", value=="%s"] => permit();}; issuancerules{};"""
QUOTE = world().quote.data
SERVICE_TD = "66" * 48
"""Of a service TD that one instance's operator knows."""


def quoted(quote: bytes = QUOTE) -> JsonObject:
    return {"quote": base64.urlsafe_b64encode(quote).decode().rstrip("=")}


def report(quote: bytes = QUOTE) -> JsonObject:
    header = (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + len(quote).to_bytes(8, "little")
    return {"report": base64.b64encode(header + quote).decode()}


def said(answer: httpx2.Response) -> JsonObject:
    assert answer.status_code == 200, answer.text
    return recordings.part(answer.json()["token"].split(".")[1])


def checked(service: Service, answer: httpx2.Response, name: str) -> JsonObject:
    """The claims, after any JOSE library has checked the token by the published keys."""
    keys = KeySet.import_key_set(service.client.get(f"/{name}/certs").json())
    token = jwt.decode(answer.json()["token"], keys, algorithms=["RS256", "ES256"])
    claims: JsonObject = token.claims
    return claims


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    first = certificate("ec", Algorithm.ES256, "https://ec.example")
    tables = (
        instance(folder, "aad")
        + instance(folder, "elliptic", algorithm=Algorithm.ES256)
        + isolated(folder, "owned", first=first)
        + instance(folder, "lenient", gate="allow-debug = true")
        + instance(folder, "migrating", gate=f'allow-migratable = true\nservice-td = ["{SERVICE_TD}"]')
        + instance(folder, "audited")
        + instance(folder, "weighed")
    )
    with simulated(folder, tables, world(), world("v4 TDX 1.0")) as running:
        yield running


@pytest.mark.parametrize(("name", "algorithm"), [("aad", "RS256"), ("elliptic", "ES256")])
def test_tokens_are_checked_by_any_jose_library(service: Service, name: str, algorithm: str) -> None:
    answer = service.attest(quoted(), f"/{name}/attest/SgxEnclave")
    assert checked(service, answer, name)["iss"] == f"{SIMULATED_HOST}/{name}"
    assert recordings.part(answer.json()["token"].split(".")[0])["alg"] == algorithm
    published = service.client.get(f"/{name}/.well-known/openid-configuration").json()
    assert published["id_token_signing_alg_values_supported"] == [algorithm]


def signed(name: str, payload: bytes | None = None) -> str:
    """A policy token, or one of another body."""
    made = certificate(name, Algorithm.ES256, f"https://{name}.example")
    x5c = attackers.x5c(base64.b64decode(b"".join(made.splitlines()[1:-1])))
    content = attackers.body() if payload is None else payload
    return jws.serialize_compact({"alg": "ES256", "x5c": x5c}, content, attackers.handle(name, Algorithm.ES256))


def test_a_policy_that_an_elliptic_key_signed_is_taken_from_its_owner_alone(service: Service) -> None:
    assert service.put("/owned/policies/SgxEnclave", signed("mallory-ec")).status_code == 400
    assert said(service.put("/owned/policies/SgxEnclave", signed("ec")))["x-ms-policy-result"] == "Updated"
    signer = said(service.attest(quoted(), "/owned/attest/SgxEnclave"))["x-ms-policy-signer"]
    assert isinstance(signer, dict)
    assert signer["kty"] == "EC"


def test_a_simulated_platforms_token_says_so_under_a_name_of_its_own(service: Service) -> None:
    """And no other: the name for real platforms is not used, and the token says at which time the quote was judged."""
    claims = said(service.attest(quoted()))
    assert (claims["x-donjon-simulated"], claims["iss"]) == (True, f"{SIMULATED_HOST}/aad")
    assert claims["x-donjon-judged-at"] == int(world().setting.moment.timestamp())
    assert REAL_HOST not in service.client.get("/aad/.well-known/openid-configuration").text


@pytest.mark.parametrize(
    ("kind", "content", "attested", "version"),
    [
        ("SgxEnclave", quoted(), "sgx", "2020-10-01"),
        ("OpenEnclave", report(), "sgx", "2020-10-01"),
        ("TdxVm", quoted(world("v4 TDX 1.0").quote.data), "tdxvm", "2022-09-01-preview"),
        ("TdxVm", quoted(world("v4 TDX 1.0").quote.data), "tdxvm", "2023-04-01-preview"),
        ("TdxVm", quoted(world("v4 TDX 1.0").quote.data), "tdxvm", "2025-06-01"),
        ("sgxenclave", quoted(), "sgx", "2020-10-01"),
    ],
)
def test_each_kind_of_evidence_gets_its_claims(
    service: Service, kind: str, content: JsonObject, attested: str, version: str
) -> None:
    assert said(service.attest(content, f"/aad/attest/{kind}", version))["x-ms-attestation-type"] == attested


@pytest.mark.parametrize("version", ApiVersion)
def test_each_version_knows_its_types_and_no_others(service: Service, version: ApiVersion) -> None:
    for kind in AttestationType:
        expected = 200 if kind in TYPES[version] else 400
        assert service.get(f"/aad/policies/{kind}", version).status_code == expected
    baselines = service.get("/aad/tcbbaselines/SgxEnclave", version)
    assert baselines.status_code == (200 if version is ApiVersion.V2025_06_01 else 404)


@pytest.mark.parametrize("tee", ["SgxEnclave", "OpenEnclave", "TdxVm"])
def test_baselines_are_those_of_the_tcb_infos_that_are_here(service: Service, tee: str) -> None:
    service.attest(quoted())
    service.attest(quoted(world("v4 TDX 1.0").quote.data), "/aad/attest/TdxVm", "2025-06-01")
    (found,) = service.get(f"/aad/tcbbaselines/{tee}", "2025-06-01").json()["tcbBaselines"]
    info = world().setting.tcb_info
    date = max(level.date for level in info.levels)
    assert found == {
        "tcbIdentifier": str(info.evaluation_number),
        "tcbEvaluationDataNumber": info.evaluation_number,
        "tcbReleaseDate": f"{date:%FT%TZ}",
        "isSelectedTcb": False,
    }


def test_one_instances_gate_and_policy_are_no_others(service: Service) -> None:
    debug = quoted(world("v3 SGX", {"quote.body.flags": 0x07}).quote.data)
    assert said(service.attest(debug, "/lenient/attest/SgxEnclave"))["x-ms-sgx-is-debuggable"] is True
    assert service.attest(debug).status_code == 400
    assert service.put("/lenient/policies/SgxEnclave", policies.unsecured_token(DENY)).status_code == 200
    assert service.attest(quoted(), "/lenient/attest/SgxEnclave").status_code == 400
    assert service.attest(quoted()).status_code == 200


def movable(service_td: str = SERVICE_TD) -> JsonObject:
    """A TD that its host may migrate, by that service TD."""
    changes = {"quote.body.attributes": 1 << 28 | 1 << 29, "quote.body.mr_service_td": bytes.fromhex(service_td)}
    return quoted(world("v5 TDX 1.5", changes).quote.data)


def test_a_td_that_may_migrate_is_attested_where_its_service_td_is_named_and_its_token_says_so(service: Service) -> None:
    refused = service.attest(movable(), "/aad/attest/TdxVm", "2025-06-01")
    assert refused.status_code == 400
    assert "DJ272" in refused.text
    assert "DJ273" in refused.text
    claims = said(service.attest(movable(), "/migrating/attest/TdxVm", "2025-06-01"))
    assert (claims["tdx_td_attributes_migratable"], claims["tdx_mrservicetd"]) == (True, SERVICE_TD)
    assert service.attest(movable("67" * 48), "/migrating/attest/TdxVm", "2025-06-01").status_code == 400


def test_a_policy_refuses_a_td_that_the_gate_lets_migrate(service: Service) -> None:
    tried = {**movable(), "draftPolicyForAttestation": NOT_MIGRATABLE % ("00" * 48)}
    assert "PolicyEvaluationError" in service.attest(tried, "/migrating/attest/TdxVm", "2025-06-01").text
    plain = quoted(world("v5 TDX 1.5").quote.data)
    allowed = {**plain, "draftPolicyForAttestation": NOT_MIGRATABLE % ("00" * 48)}
    assert said(service.attest(allowed, "/migrating/attest/TdxVm", "2025-06-01"))["tdx_mrservicetd"] == "00" * 48


@pytest.mark.parametrize(
    "path",
    ["/attest/SgxEnclave", "/nobody/attest/SgxEnclave", "/aad", "/aad/", "/aad/attest", "/aad//attest/SgxEnclave", "/AAD/certs"],
)
def test_no_other_path_is_an_instances(service: Service, path: str) -> None:
    assert service.attest(quoted(), path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/attest/SgxEnclave"), ("DELETE", "/certs"), ("POST", "/policies/SgxEnclave")]
)
def test_another_method_is_told_which_there_are(service: Service, method: str, path: str) -> None:
    answer = service.client.request(method, f"/aad{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "MethodNotAllowed")
    assert answer.headers["allow"]


def recorded(service: Service, name: str) -> list[bytes]:
    """What was recorded of an instance, but for its keys."""
    database = Database(f"sqlite:///{service.folder}/attestation.db")
    with database.reading() as connection:
        rows = connection.scalars(select(RECORDS.c.event).order_by(RECORDS.c.number)).all()
    database.close()
    return [row for row in rows if (event := json.loads(row))["instance"] == name and event["kind"] != "keys"]


def audited(service: Service) -> list[JsonObject]:
    return [*map(json.loads, recorded(service, "audited"))]


PAGE = Path(__file__).parents[2] / "docs" / "limits.md"
WEIGHTS = re.compile(
    r"\(([0-9.]+) KiB for a quote that is not true, ([0-9.]+) for one that is refused, ([0-9.]+) for a token by the"
)


def test_a_record_weighs_what_the_page_of_limits_says(service: Service) -> None:
    (promised,) = WEIGHTS.findall(" ".join(PAGE.read_text(encoding="utf-8").split()))
    place = "/weighed/attest/SgxEnclave"
    assert service.attest(quoted(QUOTE[:500] + b"\xff" + QUOTE[501:]), place).status_code == 400
    assert service.attest(quoted(world("v3 SGX", {"quote.body.flags": 0x07}).quote.data), place).status_code == 400
    assert service.attest(quoted(), place).status_code == 200
    weights = [len(row) / 1024 for row in recorded(service, "weighed")]
    assert weights == pytest.approx([float(each) for each in promised], abs=0.1)


def printed(service: Service, policy: str) -> tuple[int, str, str]:
    """What is shown under that hash: exit code, text, why not."""
    done = CliRunner().invoke(audit, ["policy", policy, "--database", f"sqlite:///{service.folder}/attestation.db"])
    return done.exit_code, done.stdout, done.stderr


def test_every_decision_and_change_is_audited_by_hashes_and_with_its_trace(service: Service) -> None:
    place, key = "/audited/policies/SgxEnclave", policies.unsecured_token(PERMIT)
    token = said(service.attest({**quoted(), "nonce": "5f"}, "/audited/attest/SgxEnclave"))
    assert service.put(place, key).status_code == 200
    assert service.put(place, policies.unsecured_token("permit();")).status_code == 400
    draft = f"{DENY} // which nobody sets"
    assert service.attest({**quoted(), "draftPolicyForAttestation": draft}, "/audited/attest/SgxEnclave").status_code == 400
    assert (
        service.attest(quoted(world("v3 SGX", {"quote.body.flags": 0x07}).quote.data), "/audited/attest/SgxEnclave").status_code
        == 400
    )
    assert service.attest(quoted(QUOTE[:500] + b"\xff" + QUOTE[501:]), "/audited/attest/SgxEnclave").status_code == 400
    assert service.post(f"{place}:reset", policies.NO_POLICY.encode(), "text/plain").status_code == 200
    found = audited(service)
    assert [(each["kind"], each["verdict"]) for each in found] == [
        ("attest", "allowed"),
        ("policy-set", "allowed"),
        ("policy-set", "refused"),
        ("draft", "refused"),
        ("attest", "refused"),
        ("attest", "refused"),
        ("policy-reset", "allowed"),
    ]
    first = found[0]
    enclave = {
        "mrenclave": token["x-ms-sgx-mrenclave"],
        "mrsigner": token["x-ms-sgx-mrsigner"],
        "product": str(token["x-ms-sgx-product-id"]),
        "svn": str(token["x-ms-sgx-svn"]),
    }
    assert first["facts"] == {
        "type": "SgxEnclave",
        "quote": hashlib.sha256(QUOTE).hexdigest(),
        "nonce": "5f",
        "policy": token["x-ms-policy-hash"],
        "tcb": "UpToDate",
        **enclave,
        "jti": token["jti"],
    }
    trace = first["trace"]
    assert isinstance(trace, list)
    assert [each["outcome"] for each in trace if isinstance(each, dict)] == ["fired"] * 7
    for number in (3, 4):  # The policy refuses one, the gate the other.
        facts = found[number]["facts"]
        assert isinstance(facts, dict)
        assert enclave.items() <= facts.items()
    assert "mrenclave" not in json.dumps(found[5]), "what a quote says that is not true is nobody's identity"
    assert [each["codes"] for each in found[2:6]] == [["DJ400"], ["DJ410"], ["DJ263"], ["DJ241"]]
    texts = [printed(service, str(policy)) for each in found if (policy := at(each, "facts", "policy"))]
    assert [each[:2] for each in texts] == [
        (0, policies.SGX_DEFAULT),
        (0, PERMIT),
        (1, ""),
        (0, PERMIT),
        (0, policies.SGX_DEFAULT),
    ]
    assert "DJ631" in texts[2][2]
    assert "a draft of the caller's" in texts[2][2]
    whole = json.dumps(found)
    assert base64.urlsafe_b64encode(QUOTE).decode()[:200] not in whole
    assert owner()[0] not in whole


def test_replicas_never_answer_by_a_policy_that_another_has_replaced(tmp_path: Path) -> None:
    """Two services over one database; each has its policies ready."""
    first, second = tmp_path / "one", tmp_path / "other"
    first.mkdir()
    second.mkdir()
    shared = f"sqlite:///{tmp_path}/shared.db"
    with (
        simulated(first, instance(first, "aad"), world(), database=shared) as one,
        simulated(second, instance(second, "aad"), world(), database=shared) as other,
    ):
        for each in (one, other):
            assert each.attest(quoted()).status_code == 200
        assert one.put("/aad/policies/SgxEnclave", policies.unsecured_token(DENY)).status_code == 200
        assert other.attest(quoted()).status_code == 400
        assert other.put("/aad/policies/SgxEnclave", policies.unsecured_token(PERMIT)).status_code == 200
        answer = one.attest(quoted())
        assert said(answer)["x-ms-policy-hash"] == policies.parse_stored(policies.unsecured_token(PERMIT)).hash


def test_a_policy_stays_when_the_service_is_started_again(tmp_path: Path) -> None:
    tables = instance(tmp_path, "aad")
    with simulated(tmp_path, tables, world()) as service:
        assert service.put("/aad/policies/SgxEnclave", policies.unsecured_token(DENY)).status_code == 200
    with simulated(tmp_path, tables, world()) as service:
        assert service.attest(quoted()).status_code == 400


@contextmanager
def offered(folder: Path, first: World, gate: str = "", **flags: str) -> Iterator[tuple[Service, Pccs]]:
    """The service and its upstream, which can have something else later."""
    (folder / "root.der").write_bytes(first.root)
    with fakepccs.serving(Pccs(fakepccs.answers(first))) as upstream:
        said = {"unsafe-trust-root": f"{folder}/root.der", "upstream": upstream.address, "unsafe-clock": f"{MOMENT:%FT%TZ}"}
        made = chosen(folder, instance(folder, "aad", gate=gate), said | flags)
        with serving(folder, made) as service:
            yield service, upstream


def test_documents_of_two_tcb_recoveries_are_made_one(tmp_path: Path) -> None:
    """The identity is here already when both are published anew, and the TCB info is asked for first then."""
    newer = world(changes={"tcb_info.evaluation_number": 21, "qe_identity.evaluation_number": 21})
    with offered(tmp_path, world()) as (service, upstream):
        assert service.client.get("/sgx/certification/v4/qe/identity").status_code == 200
        upstream.answers.update(fakepccs.answers(newer))
        assert service.attest(quoted()).status_code == 200


def test_an_upstream_with_two_tcb_recoveries_is_not_asked_with_every_quote(tmp_path: Path) -> None:
    with offered(tmp_path, world(changes={"qe_identity.evaluation_number": 19})) as (service, upstream):
        assert "DJ267" in service.attest(quoted()).text
        count = len(upstream.asked)
        assert "DJ267" in service.attest(quoted()).text
        assert len(upstream.asked) == count


@pytest.mark.parametrize(
    ("gate", "days", "ready", "status"), [("", 29, 503, 503), ('staleness = "7d"', 29, 200, 200), ("", 1, 200, 200)]
)
def test_collateral_that_has_ended_is_used_as_long_as_the_gate_says(
    tmp_path: Path, gate: str, days: int, ready: int, status: int
) -> None:
    """Without a network, a day and 29 days later: the documents were good for 28 days, the lists for 27."""
    with offered(tmp_path, world(), gate) as (service, _):
        assert service.attest(quoted()).status_code == 200
    probes = free_port()
    later = {
        "unsafe-clock": f"{MOMENT + timedelta(days=days):%FT%TZ}",
        "mode": "offline",
        "unsafe-trust-root": f"{tmp_path}/root.der",
    }
    made = replace(chosen(tmp_path, instance(tmp_path, "aad", gate=gate), later), probes=("127.0.0.1", probes))
    with serving(tmp_path, made) as service:
        assert service.attest(quoted()).status_code == status
        assert httpx2.get(f"http://127.0.0.1:{probes}/readyz").status_code == ready


def test_a_service_of_which_every_key_has_ended_is_not_ready(tmp_path: Path) -> None:
    probes, now = free_port(), [clock_of_the_product.moment()]
    made = replace(chosen(tmp_path, instance(tmp_path, "aad"), {"mode": "offline"}), probes=("127.0.0.1", probes))
    with serving(tmp_path, made, lambda: now[0]):
        before = httpx2.get(f"http://127.0.0.1:{probes}/readyz")
        now[0] = MADE + DECADES + timedelta(days=1)
        after = httpx2.get(f"http://127.0.0.1:{probes}/readyz")
    assert "[DJ541]" not in before.text
    assert (after.status_code, "no instance has one that signs now [DJ541]" in after.text) == (503, True)


def test_what_the_service_did_is_counted_by_verdict_code_and_status(tmp_path: Path) -> None:
    probes = free_port()
    (tmp_path / "root.der").write_bytes(world().root)
    flags = {"unsafe-trust-root": f"{tmp_path}/root.der", "mode": "offline", "unsafe-clock": f"{MOMENT:%FT%TZ}"}
    made = replace(chosen(tmp_path, instance(tmp_path, "aad"), flags), probes=("127.0.0.1", probes))
    with serving(tmp_path, made) as service:
        assert service.attest(quoted()).status_code == 400
        told = httpx2.get(f"http://127.0.0.1:{probes}/metrics").text
        assert httpx2.get(f"http://127.0.0.1:{probes}/readyz").status_code == 503
    assert 'donjon_attestation_decisions_total{code="DJ530",type="SgxEnclave",verdict="refused"} 1.0' in told
    assert 'donjon_attestation_requests_total{route="/attest/",status="400"} 1.0' in told


def test_an_upstream_that_hangs_keeps_nobody_from_the_database(tmp_path: Path) -> None:
    (tmp_path / "root.der").write_bytes(world().root)
    flags = {"unsafe-trust-root": str(tmp_path / "root.der"), "unsafe-clock": f"{MOMENT:%FT%TZ}"}
    with fakepccs.serving(Pccs(fakepccs.answers(world()))) as upstream:
        with_settings = chosen(tmp_path, instance(tmp_path, "aad"), {**flags, "upstream": upstream.address})
        with serving(tmp_path, with_settings) as service, ThreadPoolExecutor(16) as many:
            asked = [f"/sgx/certification/v4/tcb?fmspc={number:012x}" for number in range(8)]
            said = f"cpusvn={'00' * 16}&pcesvn=0000&pceid=0000"
            asked += [f"/sgx/certification/v4/pckcert?qeid={number:032x}&{said}" for number in range(8)]
            with upstream.hanging():
                waiting = [many.submit(service.client.get, path, timeout=30) for path in asked]
                assert clock.wait_until(lambda: len(upstream.asked) == 8, seconds=10)
                assert service.client.get("/aad/policies/SgxEnclave?api-version=2020-10-01", timeout=3).status_code == 200
            wait(waiting)


def test_an_instance_that_becomes_isolated_attests_by_no_unsigned_policy(tmp_path: Path) -> None:
    path, first = "/aad/policies/SgxEnclave", certificate("ec", Algorithm.ES256, "https://ec.example")
    with simulated(tmp_path, instance(tmp_path, "aad"), world()) as service:
        assert service.put(path, policies.unsecured_token(policies.TDX_DEFAULT)).status_code == 200
        assert service.attest(quoted()).status_code == 200
    with simulated(tmp_path, isolated(tmp_path, "aad", first=first), world()) as service:
        refused = service.attest(quoted())
        assert (refused.status_code, "DJ531" in refused.text) == (500, True)
        assert service.post(f"{path}:reset", signed("ec", b"").encode(), "text/plain").status_code == 200
        assert service.attest(quoted()).status_code == 200


def test_a_policy_is_read_once_however_often_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = policies.parse_stored

    def kept(text: str) -> policies.PolicyToken:
        read.append(text)
        return original(text)

    first, other = (policies.unsecured_token(f"{policies.TDX_DEFAULT}{space}") for space in (" ", "  "))
    with simulated(tmp_path, instance(tmp_path, "aad"), world()) as service:
        assert service.put("/aad/policies/SgxEnclave", first).status_code == 200
        monkeypatch.setattr(policies, "parse_stored", kept)
        for _ in range(3):
            assert service.get("/aad/policies/SgxEnclave").status_code == 200
            assert service.attest(quoted()).status_code == 200
        assert read == [first]
        assert service.put("/aad/policies/SgxEnclave", other).status_code == 200
        assert service.attest(quoted()).status_code == 200
        assert read == [first, other]
