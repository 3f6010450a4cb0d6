"""The recorded exchanges, sent to the running service as they were sent to the real one: each answer equal claim by claim.

What differs is a list. The service's clock stands at a moment at which the recorded signers' certificates were good; quotes are
judged a year later, of which their platform's collateral is published in the form that is served today.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import pytest
from tests.attestation import recordings, vectors
from tests.attestation.recordings import Exchange, text
from tests.attestation.test_recordings import POLICIES
from tests.attestation.vectors import ROOT
from tests.maa.test_recordings import trust
from tests.services.attesting import REAL_HOST, Service, instance, real

from donjon.formats.json import JsonObject
from donjon.maa import policies
from donjon.pki import pem

NOW = datetime(2022, 5, 1, tzinfo=UTC)
GATE = 'accept = ["OutOfDate"]'

DIFFERS = {
    "iss": "the host",
    "iat": "the time of the test, not of the recording",
    "nbf": "〃",
    "exp": "〃",
}
ATTESTATIONS_DIFFER = {
    **DIFFERS,
    "jti": "new with every token",
    "x-donjon-judged-at": "the quote was judged at another time than the token's, which the real service had no need to say",
}
HASHES_DIFFER = {
    "tcbinfohash": "the TCB info of July 2021 is not published",
    "qeidhash": "nor is that identity",
    "tcbinfocrlhash": "the root's list of 2021 had ended when this collateral was good",
    "qeidcrlhash": "〃",
}


def name(exchange: Exchange) -> str:
    """The instance: the first part of the host that the recorded token names."""
    return text(exchange.payload["iss"]).removeprefix("https://").partition(".")[0]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    (manager,) = trust(next(each for each in recordings.exchanges() if name(each).endswith("iso"))).certificates
    (folder / "manager.pem").write_bytes(pem.encode((manager.der,)))
    isolated = 'mode = "Isolated"', f'certificates = ["{folder}/manager.pem"]'
    tables = [
        instance(folder, each, *(isolated if each.endswith("iso") else ()), gate=GATE)
        for each in {name(exchange) for exchange in recordings.exchanges()}
    ]
    with real(folder, "".join(tables), now=lambda: NOW) as running:
        yield running


def prepared(service: Service, exchange: Exchange) -> None:
    """What was set before: the recording shows its outcome."""
    if exchange.method == "GET" and "x-ms-policy" in exchange.payload and "shared" not in name(exchange):
        policy = text(exchange.payload["x-ms-policy"])
    elif "/attest/" in exchange.path and exchange.header["alg"] != "none":
        hashed = POLICIES[text(exchange.payload["x-ms-policy-hash"])]
        policy = policies.unsecured_token(
            (ROOT / "maa-policies" / "recordings" / hashed).read_text(encoding="utf-8").rstrip("\n")
        )
    else:
        return
    kind = exchange.path.rpartition("/")[2]
    assert service.put(f"/{name(exchange)}/policies/{kind}", policy).status_code == 200


def answered(service: Service, exchange: Exchange) -> httpx2.Response:
    prepared(service, exchange)
    path = f"/{name(exchange)}{exchange.path}"
    if exchange.method == "GET":
        return service.get(path)
    if exchange.method == "PUT":
        return service.put(path, exchange.body)
    return service.post(path, exchange.body.encode(), "text/plain" if exchange.path.endswith(":reset") else "application/json")


def claims(answer: httpx2.Response, part: int = 1) -> JsonObject:
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"token"}
    return recordings.part(answer.json()["token"].split(".")[part])


def differing(mine: JsonObject, theirs: JsonObject) -> set[str]:
    return {claim for claim in mine.keys() | theirs.keys() if mine.get(claim) != theirs.get(claim)}


@pytest.mark.parametrize("exchange", recordings.exchanges(), ids=lambda each: each.name)
def test_a_recorded_request_is_answered_as_recorded(service: Service, exchange: Exchange) -> None:
    answer = answered(service, exchange)
    mine, theirs = claims(answer), exchange.payload
    if "/attest/" in exchange.path:
        assert differing(mine, theirs) - {"x-ms-sgx-collateral", "maa-attestationcollateral"} == ATTESTATIONS_DIFFER.keys()
        for claim in ("x-ms-sgx-collateral", "maa-attestationcollateral"):
            ours, others = mine[claim], theirs[claim]
            assert isinstance(ours, dict)
            assert isinstance(others, dict)
            assert differing(ours, others) == HASHES_DIFFER.keys()
        assert mine["x-donjon-judged-at"] == vectors.cases()[675]["time"]
    else:
        unread = theirs.get("x-ms-policy") == policies.NO_POLICY  # Microsoft's own JavaScript client cannot read that.
        assert differing(mine, theirs) == DIFFERS.keys() | ({"x-ms-policy"} if unread else set())
    assert mine["iss"] == f"{REAL_HOST}/{name(exchange)}"
    header = claims(answer, 0)
    assert header.keys() == exchange.header.keys()
    assert (header["alg"], header["jku"]) == (exchange.header["alg"], f"{mine['iss']}/certs")


def test_an_owner_whose_certificate_has_ended_changes_nothing(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same request, a year later: refused, and nothing is changed."""
    del service
    folder = tmp_path_factory.mktemp("later")
    signed = next(each for each in recordings.exchanges() if "x-ms-policy-signer" in each.payload)
    with real(folder, instance(folder, name(signed)), now=lambda: NOW.replace(year=2023)) as later:
        refused = answered(later, signed)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "InvalidOperation")
        assert "DJ444" in refused.text
