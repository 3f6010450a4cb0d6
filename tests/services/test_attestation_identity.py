"""Every answer has the request's name, which a caller may choose; log and audit have it, too. And what a 404 tells."""

import json
import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import select
from tests.adapters.https import SERVING, trusting
from tests.maa import attackers
from tests.services.attesting import Service, instance, simulated
from tests.simulation.intel import world

from donjon.adapters import clock
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.tables import RECORDS
from donjon.formats import base64url
from donjon.maa import policies

MADE = world("v3 SGX")
QUOTE = base64url.encode(MADE.quote.data)
DEADLINE = 3.0  # seconds, within which the kubelet must have its answer from the same loop of events
MINE = "0b2c7d1e-5a52-4e9c-9a52-0d5f1c2b3a49"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with simulated(folder, instance(folder, "aad"), MADE) as running:
        yield running


def ask(service: Service, method: str, path: str, said: str | None = MINE, **more: object) -> tuple[int, str, str]:
    headers = {} if said is None else {"x-ms-client-request-id": said}
    answer = service.client.request(method, service.address + path, headers=headers, **more)  # type: ignore[arg-type] # What httpx2 takes.
    return answer.status_code, answer.headers["x-ms-request-id"], answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/aad/certs", 200),
        ("GET", "/aad/policies/Tpm?api-version=2020-10-01", 200),
        ("GET", "/aad/policies/Tpm", 400),
        ("PATCH", "/aad/certs", 405),
        ("POST", "/aad/attest/SgxEnclave?api-version=2020-10-01", 415),
        ("GET", "/nowhere", 404),
        ("GET", "/sgx/certification/v4/tcb", 400),
        ("GET", "/sgx/certification/v4/rootcacrl", 200),
        ("GET", "/sgx/certification/v4tcb", 404),
    ],
)
def test_every_answer_has_the_name_that_its_caller_gave(service: Service, method: str, path: str, status: int) -> None:
    assert ask(service, method, path)[:2] == (status, MINE)


@pytest.mark.parametrize("said", [None, "", "a" * 65, "two words", "x/y", "{}", "../x"])
def test_a_name_that_is_not_short_and_plain_is_replaced(service: Service, said: str | None) -> None:
    names = {ask(service, "GET", "/aad/certs", said)[1] for _ in range(3)}
    assert len(names) == 3
    assert {len(name) for name in names} == {32}


def test_of_two_names_none_is_believed(service: Service) -> None:
    headers = [("x-ms-client-request-id", "one"), ("x-ms-client-request-id", "other")]
    assert len(service.client.get("/aad/certs", headers=headers).headers["x-ms-request-id"]) == 32


def test_the_audit_and_the_log_have_the_name(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    query = "?api-version=2020-10-01"
    with caplog.at_level(logging.INFO):
        assert ask(service, "POST", f"/aad/attest/SgxEnclave{query}", json={"quote": QUOTE})[0] == 200
        token = policies.unsecured_token(attackers.TEXT).encode()
        headers = {"content-type": "text/plain", "x-ms-client-request-id": "another"}
        assert service.client.put(f"/aad/policies/SgxEnclave{query}", content=token, headers=headers).status_code == 200
    lines = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "policy-set"]
    assert [line["request"] for line in lines] == ["another"]
    assert [line["policy"] for line in lines] == [policies.parse_stored(token.decode()).hash]
    database = Database(f"sqlite:///{service.folder}/attestation.db")
    with database.reading() as connection:
        events = [json.loads(row) for row in connection.scalars(select(RECORDS.c.event).order_by(RECORDS.c.number))]
    database.close()
    assert [event["request"] for event in events if event["kind"] != "keys"] == [MINE, "another"]


@pytest.mark.parametrize(
    ("sent", "status", "name"),
    [
        (b"POST /aad/certs HTTP/1.1\r\nhost: x\r\nx-ms-client-request-id: %b\r\ncontent-length: 99999999\r\n\r\n", b"413", MINE),
        (b"no HTTP\r\n\r\n", b"400", None),
    ],
)
def test_what_the_server_itself_turns_away_has_a_name_too(service: Service, sent: bytes, status: bytes, name: str | None) -> None:
    context = trusting(SERVING.authority.pem)
    assert isinstance(context, ssl.SSLContext)
    with (
        socket.create_connection(("127.0.0.1", service.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(sent % MINE.encode() if b"%b" in sent else sent)
        head = connection.recv(65536).partition(b"\r\n\r\n")[0]
    (found,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"x-ms-request-id: ")]
    assert head.split()[1] == status
    told = found.partition(b": ")[2].decode()
    assert told == name if name is not None else len(told) == 32


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/sgx/certification/v4tcb?fmspc=00606A000000", "with a slash at its end"),
        ("/tdx/certification/v4qe/identity", "with a slash at its end"),
        ("/sgx/certification/v3pckcrl", "with a slash at its end"),
        ("//sgx/certification/v4/tcb", "without a slash at its end"),
        ("/sgx/certification/v4//tcb", "without a slash at its end"),
        ("//tdx//certification/v4/qe/identity", "without a slash at its end"),
        ("/aad//attest/SgxEnclave", "without a slash at its end"),
        ("/sgx/certification/v4/sgx/certification/v4/tcb", "twice"),
        ("/sgx/certification/v2/tcb?fmspc=00606A000000", "/sgx/certification/v4/"),
        ("/sgx/certification/v5/qe/identity", "/sgx/certification/v4/"),
        ("/tdx/certification/v3/tcb?fmspc=00606A000000", "/tdx/certification/v4/"),
    ],
)
def test_a_404_says_what_is_wrong_with_the_url(service: Service, path: str, says: str) -> None:
    status, _, text = ask(service, "GET", path)
    assert status == 404
    assert says in text
    assert ("DJ533" if path.startswith("/aad") else "DJ561") in text
    assert text.startswith("{") == path.startswith("/aad")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nowhere",
        "/aad",
        "/sgx",
        "/sgx/certification/v4/nothing",
        "/sgx/certification/v3/nothing",
        "/tdx/certification/v4/pckcert",
        "/sgxtcb",
    ],
)
def test_a_404_whose_url_is_well_says_nothing_of_it(service: Service, path: str) -> None:
    status, _, text = ask(service, "GET", path)
    assert (status, "DJ561" in text) == (404, False)


@pytest.mark.parametrize(
    "path",
    [
        "/" * 15_000,
        "/sgx/certification/v" + "1" * 15_000,
        "/" * 7_000 + "sgx/certification/v" + "1" * 7_000,
        "/sgx/certification/v4" * 700 + "x",
        "/certification/v4" * 880,
    ],
    ids=["slashes", "digits", "both", "the cache's", "versions"],
)
def test_a_path_of_any_length_and_form_is_nowhere_at_once(service: Service, path: str) -> None:
    answered: list[int] = []
    asking = Thread(target=lambda: answered.append(ask(service, "GET", path)[0]), daemon=True)
    asking.start()
    asking.join(DEADLINE)
    assert answered == [404]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/aad/attest/Tee/OpenEnclave?api-version=2018-09-01-preview", "expected /attest/OpenEnclave"),
        ("/aad/attest/SgxEnclave/?api-version=2020-10-01", "without the slash at its end"),
    ],
)
def test_what_is_wrong_with_a_path_of_attestation_is_told(service: Service, path: str, says: str) -> None:
    status, _, text = ask(service, "POST", path)
    assert (status, says in text) == (404, True), text


def test_a_cache_alone_says_it_too(tmp_path: Path) -> None:
    with simulated(tmp_path, "", MADE) as cache:
        status, name, text = ask(cache, "GET", "/sgx/certification/v4tcb")
        assert (status, name) == (404, MINE)
        assert "DJ561" in text


def test_a_caller_has_one_budget_for_tokens_and_for_collateral_that_is_to_be_fetched(tmp_path: Path) -> None:
    """Of one request a second, two at once, whichever routes they are for."""
    policy, unknown = "/aad/policies/SgxEnclave?api-version=2020-10-01", "/sgx/certification/v4/tcb?fmspc=aaaaaaaaaa"
    paths = [each for number in range(3) for each in (policy, f"{unknown}{number:02}")]
    with simulated(tmp_path, instance(tmp_path, "aad"), MADE, rate_limit="1") as running:
        began = clock.monotonic()
        statuses = [running.client.get(running.address + path).status_code for path in paths]
        taken = clock.monotonic() - began
    assert 429 not in statuses[:2]
    assert len(statuses) - statuses.count(429) <= 2 + taken
