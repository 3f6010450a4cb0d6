"""Bodies of requests: read once, to the letter, and refused with our own codes whatever they hold."""

import base64
import json
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.intel import world

from donjon.errors import DonjonError, Malformed
from donjon.formats import base64url
from donjon.formats.json import Json, JsonObject
from donjon.formats.strict_json import Members
from donjon.maa import names, policies, requests, versions
from donjon.maa.requests import Change
from donjon.maa.versions import ATTESTED, TYPES, ApiVersion, AttestationType

SGX, OE, TDX = AttestationType.SGX_ENCLAVE, AttestationType.OPEN_ENCLAVE, AttestationType.TDX_VM
DATA = b'{"a\xc3\xbf>?": 1}'


def quoted(kind: str = "v3 SGX") -> bytes:
    return world(kind).quote.data


def report(kind: str = "v3 SGX") -> bytes:
    quote = quoted(kind)
    return (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + len(quote).to_bytes(8, "little") + quote


def written(content: bytes, form: str = "url") -> str:
    text = (base64.b64encode if form.startswith("std") else base64.urlsafe_b64encode)(content).decode()
    return text if form.endswith("padded") else text.rstrip("=")


def asked(member: str = "quote", evidence: bytes | None = None, **more: Json) -> bytes:
    return json.dumps({member: written(quoted() if evidence is None else evidence), **more}).encode()


def data(content: bytes = DATA, kind: str = "JSON", form: str = "url") -> JsonObject:
    return {"data": written(content, form), "dataType": kind}


@pytest.mark.parametrize("form", ["url", "url padded", "std", "std padded"])
def test_base64_of_either_alphabet_padded_or_not_is_read(form: str) -> None:
    found = requests.attest(asked(runtimeData=data(form=form)), SGX)
    assert found.held_data.runtime is not None
    assert found.held_data.runtime.raw == DATA


def test_evidence_is_kept_as_it_came() -> None:
    found = requests.attest(asked("report", report()), OE)
    assert (found.submitted, found.quote.raw) == (report(), quoted())
    assert requests.attest(asked(), SGX).submitted == quoted()
    assert requests.attest(asked(evidence=quoted("v4 TDX 1.0")), TDX).quote.raw == quoted("v4 TDX 1.0")


def test_what_stands_beside_the_evidence_is_read() -> None:
    body = asked(runtimeData=data(kind="Binary"), initTimeData=data(), draftPolicyForAttestation="policy", nonce="5")
    found = requests.attest(body, SGX)
    assert (found.held_data.nonce, found.draft) == ("5", "policy")
    assert found.held_data.initial is not None
    assert found.held_data.initial.content == json.loads(DATA)
    bare = requests.attest(asked(runtimeData=None, initTimeData=None, draftPolicyForAttestation=None, nonce=None), SGX)
    assert (bare.held_data.runtime, bare.held_data.initial, bare.held_data.nonce, bare.draft) == (None, None, None, None)


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", SGX, "DJ210"),
        (b"[]", SGX, "DJ210"),
        (b"{}", SGX, "DJ211"),
        (b'{"quote": 5}', SGX, "DJ211"),
        (b'{"quote": ""}', SGX, "DJ200"),
        (b'{"quote": "AAAA", "quote": "AAAA"}', SGX, "DJ210"),
        (b'{"quote":' + b"[" * 100_000, SGX, "DJ210"),
        (b" " * (requests.MAX_BODY + 1), SGX, "DJ210"),
        (asked(runtime_data=data()), SGX, "DJ450"),
        (asked("report"), SGX, "DJ450"),
        (asked(runtimeData={**data(), "more": 1}), SGX, "DJ450"),
        (asked(runtimeData=data(kind="Bytes")), SGX, "DJ450"),
        (asked(runtimeData=data(kind="ınary")), SGX, "DJ450"),
        (asked(Quote="AAAA"), SGX, "DJ450"),
        (asked(runtimeData=None, RUNTIMEDATA=None), SGX, "DJ450"),
        (asked(runtimeData={**data(), "DATA": "AAAA"}), SGX, "DJ450"),
        (json.dumps({"quot\u212a": written(quoted())}).encode(), SGX, "DJ450"),
        (asked(nonce=None, nönce=None), SGX, "DJ450"),
        (asked(runtimeData={"dataType": "JSON"}), SGX, "DJ211"),
        (asked(runtimeData="text"), SGX, "DJ211"),
        (asked(runtimeData=data(b"[1]")), SGX, "DJ210"),
        (asked(runtimeData=data(b"x" * 70_000, "Binary")), SGX, "DJ432"),
        (asked(nonce="x" * 2000), SGX, "DJ432"),
        (asked(nonce=5), SGX, "DJ211"),
        (json.dumps({"quote": written(quoted()) + "!"}).encode(), SGX, "DJ450"),
        (json.dumps({"quote": "+_AA"}).encode(), SGX, "DJ450"),
        (json.dumps({"quote": "AAAAA"}).encode(), SGX, "DJ450"),
        (json.dumps({"quote": "AAA=="}).encode(), SGX, "DJ450"),
        (json.dumps({"quote": " " + written(quoted())}).encode(), SGX, "DJ450"),
        (asked(evidence=quoted().hex().encode()), SGX, "DJ201"),  # one encoding, not another within it
        (asked(evidence=quoted("v4 TDX 1.0")), SGX, "DJ453"),
        (asked(), TDX, "DJ453"),
        (asked(evidence=report()), SGX, "DJ453"),
        (asked("report"), OE, "DJ453"),
        (asked("report", report("v4 TDX 1.0")), OE, "DJ453"),
        (asked("report", report()[:4] + b"\x01" + report()[5:]), OE, "DJ201"),
        (asked("report", report() + b"\x00"), OE, "DJ200"),
        (asked(), AttestationType.TPM, "DJ452"),
    ],
)
def test_a_body_that_is_not_what_the_route_takes_is_refused(body: bytes, kind: AttestationType, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        requests.attest(body, kind)
    assert refused.value.code == code


OLD_SAMPLE: JsonObject = {
    "Quote": written(quoted()),
    "RuntimeData": {"Data": written(DATA), "DataType": "Binary"},
    "InittimeData": None,
    "DraftPolicyForAttestation": None,
}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (OLD_SAMPLE, SGX),
        ({"Quote": written(quoted())}, SGX),
        ({"QUOTE": written(quoted()), "runtimedata": data(kind="BINARY"), "NONCE": None}, SGX),
        ({"Report": written(report()), "RunTimeData": data(kind="json")}, OE),
        ({"Quote": written(quoted("v4 TDX 1.0")), "runtimeData": {"DATATYPE": "Json", "DATA": written(DATA)}}, TDX),
    ],
)
def test_names_and_enumerations_are_read_in_any_case(content: JsonObject, kind: AttestationType) -> None:
    said = {name.lower(): value for name, value in content.items()}
    found = requests.attest(json.dumps(content).encode(), kind)
    assert found.submitted == requests.octets(str(said.get("quote") or said.get("report")), "evidence")
    assert (found.held_data.runtime is None) == (said.get("runtimedata") is None)
    assert found.held_data.runtime is None or found.held_data.runtime.raw == DATA
    assert (found.held_data.initial, found.held_data.nonce, found.draft) == (None, None, None)


def test_all_unknown_members_are_named_in_one_refusal() -> None:
    body = asked(runtimeData={**data(), "more": 1}, runtime_data=None, initTimeData={"datum": ""}, Report="AAAA")
    with pytest.raises(Malformed, match=r"runtimeData\.more, runtime_data, initTimeData\.datum, Report, expected") as refused:
        requests.attest(body, SGX)
    assert refused.value.code == "DJ450"


def test_of_very_many_unknown_members_the_refusal_stays_short() -> None:
    with pytest.raises(Malformed, match=r"m0, m1, .*, m15 and 284 more, expected") as refused:
        requests.attest(json.dumps({f"m{number}": 0 for number in range(300)}).encode(), SGX)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("change", Change)
def test_a_certificate_token_stands_where_its_version_says(change: Change) -> None:
    older, newer = json.dumps("a.b.c").encode(), json.dumps({change.value: "a.b.c"}).encode()
    assert requests.certificate_token(older, ApiVersion.V2020_10_01, change) == "a.b.c"
    assert requests.certificate_token(newer, ApiVersion.V2025_06_01, change) == "a.b.c"
    assert requests.certificate_token(newer.replace(b"policy", b"Policy"), ApiVersion.V2025_06_01, change) == "a.b.c"


@pytest.mark.parametrize(
    ("body", "version", "code"),
    [
        (b'{"policyCertificateToAdd": "a.b.c"}', ApiVersion.V2020_10_01, "DJ450"),
        (b'"a.b.c"', ApiVersion.V2025_06_01, "DJ210"),
        (b'{"policyCertificateToRemove": "a.b.c"}', ApiVersion.V2025_06_01, "DJ450"),
        (b'{"policyCertificateToAdd": 5}', ApiVersion.V2025_06_01, "DJ211"),
        (b'{"policyCertificateToAdd": "a.b.c", "PolicyCertificateToAdd": "a.b.c"}', ApiVersion.V2025_06_01, "DJ450"),
        (b"a.b.c", ApiVersion.V2020_10_01, "DJ450"),
        (b"[" * 100_000, ApiVersion.V2020_10_01, "DJ450"),
        (b" " * (requests.MAX_BODY + 1), ApiVersion.V2020_10_01, "DJ450"),
        (b'"\xff"', ApiVersion.V2020_10_01, "DJ450"),
    ],
)
def test_a_certificate_token_elsewhere_is_refused(body: bytes, version: ApiVersion, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        requests.certificate_token(body, version, Change.ADD)
    assert refused.value.code == code


def test_a_policy_token_is_a_text_of_ascii() -> None:
    assert requests.policy_token(b" a.b.c\r\n") == "a.b.c"
    for body in (b"\xe2\x80\xa6", b" " * (requests.MAX_BODY + 1)):
        with pytest.raises(Malformed) as refused:
            requests.policy_token(body)
        assert refused.value.code == "DJ450"


@pytest.mark.parametrize("text", [None, "", "2019-01-01", "2025-06-01 ", "2020-10-01\n", "٢٠٢٠-10-01"])
def test_an_api_version_that_nobody_serves_is_refused(text: str | None) -> None:
    with pytest.raises(Malformed) as refused:
        versions.parse(text)
    assert refused.value.code == "DJ451"


def test_every_version_is_known_by_its_name_and_knows_no_less_than_the_one_before() -> None:
    found = [versions.parse(version.value) for version in ApiVersion]
    assert found == list(ApiVersion)
    assert all(TYPES[older] <= TYPES[newer] for older, newer in zip(ApiVersion, list(ApiVersion)[1:], strict=False))
    assert TYPES[ApiVersion.V2025_06_01] >= ATTESTED


@pytest.mark.parametrize(
    ("text", "version", "known"),
    [
        ("SgxEnclave", ApiVersion.V2020_10_01, True),
        ("TdxVm", ApiVersion.V2022_08_01, False),
        ("TdxVm", ApiVersion.V2022_09_01_PREVIEW, True),
        ("AzureGuest", ApiVersion.V2025_06_01, True),
        ("TdxVm", ApiVersion.V2023_04_01_PREVIEW, True),
        ("sgxenclave", ApiVersion.V2025_06_01, True),
        ("SEVSNPVM", ApiVersion.V2022_08_01, True),
        ("tdxvm", ApiVersion.V2022_08_01, False),
        ("SgxEnclaveſ", ApiVersion.V2025_06_01, False),
        ("", ApiVersion.V2025_06_01, False),
    ],
)
def test_a_type_is_known_from_its_version_on(text: str, version: ApiVersion, *, known: bool) -> None:
    if known:
        assert versions.attestation_type(text, version).value.lower() == text.lower()
        return
    with pytest.raises(Malformed) as refused:
        versions.attestation_type(text, version)
    assert refused.value.code == "DJ452"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["quote", "data", "dataType", "nonce", "x"]), inner)
    ),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["quote", "report", "runtimeData", "initTimeData", "draftPolicyForAttestation", "nonce", "other"])


def ours(act: Callable[[], object]) -> None:
    """Whatever comes in, nothing but our own errors comes out."""
    try:
        act()
    except DonjonError:
        return


@settings(max_examples=150)
@given(content=st.dictionaries(MEMBERS, ANYTHING, max_size=5), kind=st.sampled_from(AttestationType))
def test_any_json_is_read_or_refused(content: dict[str, object], kind: AttestationType) -> None:
    ours(lambda: requests.attest(json.dumps(content).encode(), kind))


@settings(max_examples=150)
@given(body=st.binary(max_size=200), kind=st.sampled_from(AttestationType))
def test_any_bytes_are_read_or_refused(body: bytes, kind: AttestationType) -> None:
    ours(lambda: requests.attest(body, kind))
    ours(lambda: requests.certificate_token(body, ApiVersion.V2020_10_01, Change.ADD))
    ours(lambda: requests.policy_token(body))


HEADERS = st.dictionaries(
    st.sampled_from(["alg", "typ", "jwk", "x5c", "kid", "crit"]),
    st.sampled_from(["none", "RS256", ["AAAA"], {"x5c": ["AA"]}, 5, None, "JWT"]),
)


@settings(max_examples=300)
@given(header=HEADERS | ANYTHING, payload=ANYTHING, signature=st.binary(max_size=8))
def test_any_token_is_proved_or_refused(header: object, payload: object, signature: bytes) -> None:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    ours(lambda: policies.parse_stored(".".join(map(base64url.encode, parts))))


@settings(max_examples=150)
@given(text=st.text(max_size=60) | st.text(alphabet="ab.-_=", max_size=12))
def test_any_text_is_a_token_or_a_draft_or_refused(text: str) -> None:
    ours(lambda: policies.parse_stored(text))
    ours(lambda: policies.draft(text))


def test_a_request_that_waits_takes_no_more_than_twice_what_was_sent() -> None:
    hostile = json.dumps([{f"{number:x}": {}} for number in range(4_900)], separators=(",", ":")).encode()
    held = data(b'{"x":' + hostile + b"}")
    body = asked(runtimeData=held, initTimeData=held)
    requests.attest(body, SGX)
    tracemalloc.start()
    waiting = [requests.attest(body, SGX) for _ in range(10)]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2 * len(body) * len(waiting)


@pytest.mark.parametrize("spelt", ["\u017fpec", "\uff33PEC", "\u212aind"])
def test_letters_beyond_ascii_have_no_case(spelt: str) -> None:
    """They look alike, or fold into one: two readers would not agree on the name."""
    with pytest.raises(Malformed, match="expected none but spec, kind"):
        names.canonical(Members("body", {spelt: 1}), {"spec": (), "kind": ()}, "DJ450")
    assert names.canonical(Members("body", {"SPEC": 1}), {"spec": (), "kind": ()}, "DJ450").content == {"spec": 1}
