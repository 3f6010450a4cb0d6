"""`donjon token` as a relying party meets it: keys from a file, so that no service is needed."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.calling import call
from tests.maa import attackers

from donjon.adapters import clock
from donjon.adapters.keys import signing
from donjon.formats import base64url
from donjon.formats.json import Json, JsonObject
from donjon.signing.signer import Algorithm, Signer, serialize

ISSUER = "https://attest.example/team-a"
SIGNER, ENCLAVE, DATA = "ab" * 32, "cd" * 32, b'{"key": "of the enclave"}'
MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW = int(MOMENT.timestamp())
CLAIMS: JsonObject = {
    "iss": ISSUER,
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 8 * 3600,
    "nonce": "mine",
    "x-ms-attestation-type": "sgx",
    "x-ms-sgx-is-debuggable": False,
    "x-ms-sgx-mrenclave": ENCLAVE,
    "x-ms-sgx-mrsigner": SIGNER,
    "x-ms-sgx-product-id": 1,
    "x-ms-sgx-report-data": hashlib.sha256(DATA).hexdigest() + "00" * 32,
    "x-ms-sgx-svn": 3,
    "x-ms-runtime": {"key": "of the enclave"},
}
TRUST_DOMAIN: JsonObject = {
    **{name: value for name, value in CLAIMS.items() if not name.startswith("x-ms-sgx-")},
    "x-ms-attestation-type": "tdxvm",
    "tdx_mrtd": "ef" * 48,
    "tdx_td_attributes_debug": False,
    "tdx_report_data": hashlib.sha256(DATA).hexdigest() + "00" * 32,
}
MEANT = ("--mrsigner", SIGNER, "--product-id", "1", "--min-svn", "2", "--nonce", "mine")


def signer(name: str, algorithm: Algorithm = Algorithm.RS256) -> Signer:
    key = attackers.key(name, algorithm)
    return signing.parse_signer(key, signing.self_signed(key, ISSUER, MOMENT, timedelta(days=2)))


@dataclass(frozen=True)
class Desk:
    """A folder with the keys that the issuer published, in the form of Microsoft's service: x5c, kid and kty alone."""

    folder: Path
    key: Signer

    def file(self, claims: Mapping[str, Json], header: Mapping[str, Json] | None = None, key: Signer | None = None) -> Path:
        head = {"alg": str(self.key.algorithm), "kid": self.key.kid, "jku": "https://evil.example/certs", **(header or {})}
        text = serialize(json.dumps(head).encode(), json.dumps(claims).encode(), key or self.key)
        (self.folder / "token.jwt").write_text(f"{text}\n")
        return self.folder / "token.jwt"

    def verify(self, token: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        named = "--issuer", ISSUER, "--keys", self.folder / "certs.json", "--at", f"{MOMENT:%FT%TZ}"
        return call("token", "verify", token, *named, *words)


ALGORITHMS = pytest.mark.parametrize("algorithm", [Algorithm.RS256, Algorithm.ES256])


@pytest.fixture
def algorithm() -> Algorithm:
    """How the issuer signs, where it is not told."""
    return Algorithm.ES256


@pytest.fixture
def desk(tmp_path: Path, algorithm: Algorithm) -> Desk:
    key = signer("service", algorithm)
    keys = [{name: key.jwk()[name] for name in ("x5c", "kid", "kty")}]
    (tmp_path / "certs.json").write_text(json.dumps({"keys": keys}))
    return Desk(tmp_path, key)


@ALGORITHMS
def test_the_enclave_that_is_meant_is_accepted(desk: Desk) -> None:
    (desk.folder / "data").write_bytes(DATA)
    done = desk.verify(desk.file(CLAIMS), *MEANT, "--runtime-data", desk.folder / "data")
    assert (done.returncode, done.stderr) == (0, "")
    assert "accepted; good until " in done.stdout
    assert done.stdout.endswith('what the enclave bound to its quote: {"key": "of the enclave"}\n')


def test_a_trust_domain_is_accepted(desk: Desk) -> None:
    done = desk.verify(desk.file(TRUST_DOMAIN), "--mrtd", "EF" * 48)
    assert (done.returncode, done.stdout.count("\n")) == (0, 2)


@pytest.mark.parametrize(
    ("changes", "words", "codes"),
    [
        ({"x-donjon-simulated": True}, (), ["DJ586"]),
        ({"x-donjon-simulated": "yes"}, (), ["DJ586"]),
        ({"x-donjon-judged-at": NOW - 864_000}, (), ["DJ591"]),
        ({"x-donjon-judged-at": "long ago"}, ("--allow-simulated",), ["DJ591"]),
        ({"x-ms-sgx-is-debuggable": True}, (), ["DJ585"]),
        ({"x-ms-sgx-is-debuggable": None}, (), ["DJ585"]),
        ({"x-ms-attestation-type": "sevsnpvm"}, (), ["DJ585", "DJ587"]),
        ({"x-ms-attestation-type": ["sgx"]}, (), ["DJ585", "DJ587"]),
        ({"x-ms-sgx-mrsigner": ENCLAVE}, (), ["DJ587"]),
        ({"x-ms-sgx-mrsigner": {}}, (), ["DJ587"]),
        ({"x-ms-sgx-product-id": True}, (), ["DJ587"]),
        ({"x-ms-sgx-svn": 1}, (), ["DJ587"]),
        ({"x-ms-sgx-svn": "9"}, (), ["DJ587"]),
        ({}, ("--mrenclave", SIGNER), ["DJ587"]),
        ({}, ("--mrtd", "ef" * 48), ["DJ587"]),
        ({"nonce": "yours"}, (), ["DJ588"]),
        ({}, ("--audience", "me"), ["DJ588"]),
        ({"aud": ["you", "us"]}, ("--audience", "me"), ["DJ588"]),
        ({"exp": NOW - 3600, "nbf": NOW - 7200}, (), ["DJ584"]),
        ({"nbf": NOW + 3600}, (), ["DJ584"]),
        ({"exp": None}, (), ["DJ584"]),
        ({"exp": NOW + 0.5}, (), ["DJ584"]),
        ({"iss": "https://other.example"}, (), ["DJ581"]),
    ],
    ids=str,
)
def test_any_other_is_refused_with_every_reason(
    desk: Desk, changes: JsonObject, words: tuple[str, ...], codes: list[str]
) -> None:
    done = desk.verify(desk.file({**CLAIMS, **changes}), *MEANT, *words, "-o", "json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["accepted"], answer["proved"]) == (1, False, True)
    assert [each["code"] for each in answer["reasons"]] == codes


def test_data_that_the_enclave_did_not_hold_are_refused(desk: Desk) -> None:
    (desk.folder / "data").write_bytes(DATA + b" ")
    done = desk.verify(desk.file(CLAIMS), *MEANT, "--runtime-data", desk.folder / "data")
    assert (done.returncode, "[DJ588]" in done.stdout) == (1, True)
    assert "its signature holds, but it is refused" in done.stdout


def test_an_audience_among_several_will_do(desk: Desk) -> None:
    assert desk.verify(desk.file({**CLAIMS, "aud": ["me", "you"]}), *MEANT, "--audience", "me").returncode == 0


@pytest.mark.parametrize(
    ("changes", "option", "code"),
    [({"x-donjon-simulated": True}, "--allow-simulated", "DJ586"), ({"x-ms-sgx-is-debuggable": True}, "--allow-debug", "DJ585")],
)
def test_a_rehearsal_and_a_trial_are_accepted_by_name_and_with_a_warning(
    desk: Desk, changes: JsonObject, option: str, code: str
) -> None:
    done = desk.verify(desk.file({**CLAIMS, **changes}), *MEANT, option)
    assert (done.returncode, f"[{code}]" in done.stdout, "warning: " in done.stdout) == (0, True, True)


@pytest.mark.parametrize("words", [(), ("--mrsigner", SIGNER)])
def test_who_names_no_enclave_is_warned(desk: Desk, words: tuple[str, ...]) -> None:
    done = desk.verify(desk.file(CLAIMS), *words)
    assert (done.returncode, "[DJ589]" in done.stdout) == (0, True)


def forged(desk: Desk, how: str) -> Path:
    match how:
        case "another key":
            return desk.file(CLAIMS, key=signer("mallory", desk.key.algorithm))
        case "another kid":
            return desk.file(CLAIMS, {"kid": "x"})
        case "another algorithm":
            return desk.file(CLAIMS, {"alg": "HS256"})
        case "crit":
            return desk.file(CLAIMS, {"crit": ["b64"], "b64": False})
        case _:
            file = desk.file(CLAIMS)
            head, body, signature = file.read_text().split(".")
            if how == "altered":
                body = base64url.encode(json.dumps({**CLAIMS, "x-ms-sgx-svn": 9}).encode())
            else:
                head, signature = base64url.encode(b'{"alg":"none"}'), ""
            file.write_text(f"{head}.{body}.{signature}")
            return file


@ALGORITHMS
@pytest.mark.parametrize("how", ["another key", "another kid", "another algorithm", "crit", "altered", "unsigned"])
def test_what_the_issuer_did_not_sign_is_refused_unread(desk: Desk, how: str) -> None:
    file = forged(desk, how)
    done, read = desk.verify(file, *MEANT), json.loads(desk.verify(file, *MEANT, "-o", "json").stdout)
    assert (done.returncode, done.stdout, "[DJ581]" in done.stderr) == (1, "", True)
    assert (read["proved"], read["claims"], read["reasons"][0]["code"]) == (False, None, "DJ581")


@pytest.mark.parametrize(
    ("keys", "token", "code"),
    [
        ('{"keys":[]}', None, "DJ581"),
        ('{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}', None, "DJ581"),
        ("[]", None, "DJ210"),
        (None, "no.token", "DJ440"),
        (None, "{}", "DJ440"),
        (None, '{"token": 1}', "DJ440"),
        (None, "{", "DJ210"),
        (None, "\u00e9", "DJ440"),
    ],
)
def test_what_is_no_token_or_no_set_of_keys_is_malformed(desk: Desk, keys: str | None, token: str | None, code: str) -> None:
    file = desk.file(CLAIMS)
    if keys is not None:
        (desk.folder / "certs.json").write_text(keys)
    if token is not None:
        file.write_text(token, encoding="utf-8")
    done = desk.verify(file, *MEANT)
    assert (done.returncode, f"[{code}]" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_request_in_the_place_of_its_token_is_told_as_one(desk: Desk, command: str) -> None:
    file = desk.file(CLAIMS)
    file.write_text('{"quote": "AAAA", "runtimeData": {"data": "e30", "dataType": "JSON"}}')
    done = call("token", "show", file) if command == "show" else desk.verify(file, *MEANT)
    assert (done.returncode, done.stdout) == (2, "")
    assert "this is a request, which a service answers with a token" in done.stderr
    assert "[DJ440]" in done.stderr


def test_a_measurement_that_is_none_is_a_mistake_of_usage(desk: Desk) -> None:
    done = desk.verify(desk.file(CLAIMS), "--mrsigner", SIGNER[:-2])
    assert (done.returncode, "expected 64 hexadecimal digits" in done.stderr) == (2, True)


def test_a_token_is_shown_with_what_weakens_it_first_and_its_times_in_words(desk: Desk) -> None:
    now = int(clock.moment().timestamp())
    times = {"exp": now + 8 * 3600 + 1800, "nbf": now - 3 * 86_400 - 1800}
    claims = {**CLAIMS, "x-donjon-simulated": True, "x-ms-sgx-is-debuggable": True, **times}
    done = call("token", "show", desk.file(claims))
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].startswith("simulated: ")
    assert lines[1].startswith("debug: ")
    assert lines[2] == "nothing of it is proved here: donjon token verify does that"
    assert f"  alg: {desk.key.algorithm}" in lines
    exp, nbf = (next(line for line in lines if line.startswith(f"  {name}: ")) for name in ("exp", "nbf"))
    assert f"{now + 8 * 3600 + 1800} (2" in exp
    assert " in 8 h " in exp
    assert nbf.endswith("3 d 0 h ago)")


def test_the_answer_of_a_service_is_read_as_its_token(desk: Desk) -> None:
    (desk.folder / "answer.json").write_text(json.dumps({"token": desk.file(CLAIMS).read_text().strip()}))
    shown = json.loads(call("token", "show", desk.folder / "answer.json", "-o", "json").stdout)
    assert (shown["claims"], shown["proved"]) == (CLAIMS, False)
