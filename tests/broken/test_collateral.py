"""Statements about platforms that are another's, old, changed or ambiguous (docs/clauses.md, 35 to 52)."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.broken.worlds import KINDS, SGX, TDX, judge, refusal, with_part
from tests.simulation.intel import MOMENT, world

from donjon.formats.json import JsonObject
from donjon.simulation.intel.documents import TdxModule

Rewrite = Callable[[bytes], bytes]
DOCUMENTS = ("tcb_info", "qe_identity")
SECOND = timedelta(seconds=1)


def put(old: bytes, new: bytes) -> Rewrite:
    """The text with the first of these replaced, before it is signed."""

    def rewrite(text: bytes) -> bytes:
        assert old in text, old
        return text.replace(old, new, 1)

    return rewrite


def edited(edit: Callable[[JsonObject], object]) -> Rewrite:
    """The text of the object after that edit, before it is signed."""

    def rewrite(text: bytes) -> bytes:
        content: JsonObject = json.loads(text)
        edit(content)
        return json.dumps(content, separators=(",", ":")).encode()

    return rewrite


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("field", "value"), [("fmspc", bytes(6)), ("pce_id", b"\1\0")])
def test_a_tcb_info_of_another_platform(kind: str, field: str, value: bytes) -> None:
    """PCK of FMSPC A, **TCB info of FMSPC B** (or another PCE). Refused; dcap-qvl does not look at the PCE. Clause 35."""
    assert refusal(world(kind, {f"tcb_info.{field}": value})) == "DJ231"


@pytest.mark.parametrize("kind", SGX)
def test_a_tdx_tcb_info_for_an_sgx_quote(kind: str) -> None:
    """SGX quote, everything else of TDX. Refused. Clause 36."""
    other = world("v4 TDX 1.0").setting
    changes = {"tcb_info": other.tcb_info, "qe_identity": other.qe_identity}
    assert refusal(world(kind, changes)) == "DJ233"


@pytest.mark.parametrize("kind", TDX)
def test_an_sgx_tcb_info_for_a_tdx_quote(kind: str) -> None:
    """TDX quote, everything else of SGX. Refused. Clause 36."""
    other = world().setting
    changes = {"tcb_info": other.tcb_info, "qe_identity": other.qe_identity}
    assert refusal(world(kind, changes)) == "DJ233"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("identity", ["QE", "TD_QE", "QVE", "QAE", "qe", ""])
def test_an_identity_of_another_enclave(kind: str, identity: str) -> None:
    """SGX quote with the identity TD_QE, TDX quote with QE, either with QVE. Refused. Clause 37."""
    if identity == ("QE" if kind in SGX else "TD_QE"):
        return
    assert refusal(world(kind, {"qe_identity.identity": identity})) in {"DJ212", "DJ233"}


@pytest.mark.parametrize("kind", SGX)
def test_a_tcb_info_of_version_2(kind: str) -> None:
    """SGX quote, TCB info of version 2, as Intel's service had it until 2023. Accepted. Clause 38."""
    assert judge(world(kind, {"tcb_info.version": 2})).tcb.status == "UpToDate"


@pytest.mark.parametrize("kind", TDX)
@pytest.mark.parametrize("tee", ["SGX", "TDX"])
def test_a_tcb_info_of_version_2_for_tdx(kind: str, tee: str) -> None:
    """TDX quote, TCB info of version 2 (which knows no TDX). Refused. Clause 38."""
    assert refusal(world(kind, {"tcb_info.version": 2, "tcb_info.tee": tee})) == "DJ211"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_past_its_next_update(kind: str, document: str) -> None:
    """nextUpdate a second ago. Verified and told (`outside_validity`), for acceptance to refuse. Clause 39."""
    assert judge(world(kind, {f"{document}.next_update": MOMENT - SECOND})).outside_validity == (document,)
    assert judge(world(kind, {f"{document}.next_update": MOMENT})).outside_validity == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_from_the_future(kind: str, document: str) -> None:
    """issueDate in a second. Refused; QVL does not look. Clause 39."""
    assert refusal(world(kind, {f"{document}.issue_date": MOMENT + SECOND})) == "DJ226"
    assert judge(world(kind, {f"{document}.issue_date": MOMENT})).tcb.status == "UpToDate"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_whose_text_was_changed(kind: str, document: str) -> None:
    """[OutOfDate → UpToDate | the old signature]. Refused. Clause 40."""
    made = world(kind)
    text: bytes = getattr(made, document)
    assert refusal(with_part(made, document, text.replace(b"OutOfDate", b"UpToDate"))) == "DJ230"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_with_the_signature_of_the_other(document: str) -> None:
    """[TCB info | signature of the identity]. Refused. Clause 40."""
    made = world()
    other = next(each for each in DOCUMENTS if each != document)
    assert refusal(with_part(made, f"{document}_signature", getattr(made, f"{other}_signature"))) == "DJ230"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_documents_signature_of_another_length(document: str, length: int) -> None:
    """r ‖ s of other than 64 bytes. Refused. Clause 40."""
    made = world()
    signature: bytes = getattr(made, f"{document}_signature")
    assert refusal(with_part(made, f"{document}_signature", (signature + b"\0")[:length])) == "DJ230"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"version":', b'"version":9,"version":'),
        (b'"tcbStatus":"UpToDate"', b'"tcbStatus":"Revoked","tcbStatus":"UpToDate"'),
        (b'"tcbLevels":', b'"tcbLevels":[],"tcbLevels":'),
        (b'"version":', b'"versi\\u006fn":9,"version":'),
    ],
)
def test_a_key_that_stands_twice(document: str, old: bytes, new: bytes) -> None:
    """{"tcbStatus":"Revoked","tcbStatus":"UpToDate"}, signed so: one reader sees the first, one the last. Refused. Clause 41."""
    assert refusal(world("v3 SGX", {f"{document}.rewrite": put(old, new)})) == "DJ210"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    "rewrite",
    [lambda text: json.dumps(json.loads(text)).encode(), lambda text: json.dumps(json.loads(text), sort_keys=True).encode()],
    ids=["spaced", "in another order"],
)
def test_a_document_written_otherwise(document: str, rewrite: Rewrite) -> None:
    """The same content, other spaces or order. Refused under the old signature (of bytes), accepted under its own. Clause 42."""
    made = world()
    assert refusal(with_part(made, document, rewrite(getattr(made, document)))) == "DJ230"
    assert judge(world("v3 SGX", {f"{document}.rewrite": rewrite})).tcb.status == "UpToDate"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("behind", [b"{}", b"x", b",", b"\0", b"]"])
def test_bytes_behind_a_document(document: str, behind: bytes) -> None:
    """{…}{}, signed so. Refused. Clause 43."""
    assert refusal(world("v3 SGX", {f"{document}.rewrite": lambda text: text + behind})) == "DJ210"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_document_nested_deeply(document: str, opening: bytes) -> None:
    """[[[[… 10^5 deep, signed so. Refused (a stack was exhausted in QVL). Clause 44."""
    closing = b"]" if opening == b"[" else b"}"
    deep = opening * 100_000 + b"1" + closing * 100_000
    assert refusal(world("v3 SGX", {f"{document}.rewrite": put(b'"version":', b'"deep":' + deep + b',"version":')})) == "DJ210"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 15, 17])
def test_components_of_another_number(kind: str, count: int) -> None:
    """ "sgxtcbcomponents": 15 or 17 of them, the missing ones unbounded for a careless zip. Refused. Clause 45."""
    assert refusal(world(kind, {"tcb_info.levels.0.components": (1,) * count})) == "DJ211"


@pytest.mark.parametrize("kind", TDX)
@pytest.mark.parametrize("components", [None, (), (0,) * 15, (0,) * 17])
def test_tdx_components_of_another_number(kind: str, components: tuple[int, ...] | None) -> None:
    """ "tdxtcbcomponents": none, 15 or 17 of them. Refused. Clause 45."""
    assert refusal(world(kind, {"tcb_info.levels.0.tdx_components": components})) == "DJ211"


ODD_NUMBERS = (b"256", b"-1", b"1.0", b"1e0", b'"1"', b"null", b"true", b"[1]", b"1" * 400, b"-0")


@pytest.mark.parametrize("number", [each for each in ODD_NUMBERS if each != b"-0"])
def test_a_component_that_is_no_number_of_a_byte(number: bytes) -> None:
    """{"svn": 256}, negative, a fraction, a string, true. Refused. Clause 45."""
    rewrite = put(b'{"svn":11}', b'{"svn":' + number + b"}")
    assert refusal(world("v3 SGX", {"tcb_info.rewrite": rewrite})) in {"DJ210", "DJ211"}


@pytest.mark.parametrize("number", [b"65536", b"-1", b"13.0", b'"13"', b"null", b"true"])
def test_a_pcesvn_that_is_no_number(number: bytes) -> None:
    """{"pcesvn": "13"}. Refused. Clause 45."""
    rewrite = put(b'"pcesvn":13', b'"pcesvn":' + number)
    assert refusal(world("v3 SGX", {"tcb_info.rewrite": rewrite})) in {"DJ210", "DJ211"}


@pytest.mark.parametrize("kind", KINDS)
def test_levels_that_stand_twice(kind: str) -> None:
    """tcbLevels: [A, A′ of the same TCB and another status]. Refused. Clause 46."""
    levels = world(kind).setting.tcb_info.levels
    assert refusal(world(kind, {"tcb_info.levels": (levels[0], *levels)})) == "DJ211"


@pytest.mark.parametrize("kind", KINDS)
def test_levels_in_another_order(kind: str) -> None:
    """tcbLevels: the lowest first. Refused: Intel's are sorted, and the first that fits is to be the highest. Clause 46."""
    assert refusal(world(kind, {"tcb_info.levels": world(kind).setting.tcb_info.levels[::-1]})) == "DJ211"
    assert refusal(world(kind, {"qe_identity.levels": world(kind).setting.qe_identity.levels[::-1]})) == "DJ211"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_levels(kind: str, document: str) -> None:
    """tcbLevels: []. Refused. Clause 47."""
    assert refusal(world(kind, {f"{document}.levels": ()})) == "DJ211"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("value", ["null", "{}", '"UpToDate"', "[[]]", "[1]"])
def test_levels_that_are_no_list_of_objects(document: str, value: str) -> None:
    """ "tcbLevels": {}. Refused. Clause 47."""
    rewrite = edited(lambda content: content.update(tcbLevels=json.loads(value)))
    assert refusal(world("v3 SGX", {f"{document}.rewrite": rewrite})) == "DJ211"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", ["", "uptodate", "UpToDate ", "Unknown", "TDRelaunchAdvised", "NotSupported", "Unrecognized"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_status_that_nobody_knows(kind: str, document: str, status: str) -> None:
    """ "tcbStatus": "uptodate". Verified as unrecognised, which nobody can accept. Clause 48."""
    assert judge(world(kind, {f"{document}.levels.0.status": status})).tcb.status == "Unrecognized"


@pytest.mark.parametrize("value", [1, -1, 2])
def test_a_tcb_type_that_nobody_knows(value: int) -> None:
    """ "tcbType": 1. Refused: how its levels compare is not known. Clause 49."""
    assert refusal(world("v3 SGX", {"tcb_info.tcb_type": value})) == "DJ211"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("version", [0, 1, 4, 5])
def test_a_version_that_nobody_knows(document: str, version: int) -> None:
    """ "version": 4. Refused. PCS API v4."""
    assert refusal(world("v3 SGX", {f"{document}.version": version})) in {"DJ211", "DJ212"}


def test_the_evaluation_numbers_are_told_apart() -> None:
    """TCB info of evaluation 20, identity of 19. Verified, both told, for acceptance to refuse. Clause 50."""
    collateral = judge(world("v3 SGX", {"qe_identity.evaluation_number": 19})).collateral
    assert (collateral.tcb_info.evaluation_number, collateral.qe_identity.evaluation_number) == (20, 19)


@pytest.mark.parametrize("field", ["issueDate", "nextUpdate"])
@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    "date",
    [
        *("2026-05-30T12:00:00", "2026-05-30T12:00:00+00:00", "2026-05-30 12:00:00Z", "2026-05-30T12:00:00.5Z", "2026-05-30"),
        *("2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z", "2026-05-30T25:00:00Z", "", "1780000000", "２０２６-05-30T12:00:00Z"),
        *(
            "2026-05-30T12:00:00Z\n",
            " 2026-05-30T12:00:00Z",
            "26-05-30T12:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-05-30T24:00:00Z",
        ),
    ],
)
def test_a_date_in_another_form(document: str, field: str, date: str) -> None:
    """ "issueDate": without Z, with a fraction, 30 February. Refused. Clause 52."""
    rewrite = edited(lambda content: content.update({field: date}))
    assert refusal(world("v3 SGX", {f"{document}.rewrite": rewrite})) == "DJ211"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1" * 5000, b"-1", b"4294967296", b"1.5", b"01", b"0x10", b"1_0"]
)
def test_an_evaluation_number_that_is_none(document: str, number: bytes) -> None:
    """ "tcbEvaluationDataNumber": NaN, or 5,000 digits. Refused. Clause 52."""
    rewrite = put(b'"tcbEvaluationDataNumber":20', b'"tcbEvaluationDataNumber":' + number)
    assert refusal(world("v3 SGX", {f"{document}.rewrite": rewrite})) in {"DJ210", "DJ211"}


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    "member",
    ["issueDate", "nextUpdate", "tcbEvaluationDataNumber", "tcbLevels", "version", "id", "fmspc", "pceId", "tcbType", "mrsigner"],
)
def test_a_member_that_is_missing(document: str, member: str) -> None:
    """A document without one of its members. Refused. PCS API v4."""
    if f'"{member}":'.encode() not in getattr(world(), document):
        return
    rewrite = edited(lambda content: content.pop(member))
    assert refusal(world("v3 SGX", {f"{document}.rewrite": rewrite})) in {"DJ211", "DJ212"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_member_that_nobody_knows(document: str) -> None:
    """A document with one member more, as Intel adds them over the years. Accepted: it is signed, and says nothing of ours."""
    rewrite = edited(lambda content: content.update(later={"more": [1]}))
    assert judge(world("v3 SGX", {f"{document}.rewrite": rewrite})).tcb.status == "UpToDate"


@pytest.mark.parametrize("kind", SGX)
def test_an_sgx_tcb_info_with_tdx_modules(kind: str) -> None:
    """TCB info of SGX with "tdxModule". Refused. PCS API v4."""
    assert refusal(world(kind, {"tcb_info.module": TdxModule()})) == "DJ211"


@pytest.mark.parametrize("kind", TDX)
def test_a_tdx_tcb_info_without_its_module(kind: str) -> None:
    """TCB info of TDX without "tdxModule". Refused. PCS API v4."""
    assert refusal(world(kind, {"tcb_info.module": None})) == "DJ211"


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("text", [b"", b"null", b"[]", b'"text"', b"1", b"\xff\xfe{}", b"\xef\xbb\xbf{}"])
def test_a_text_that_is_no_object(document: str, text: bytes) -> None:
    """Another value than an object, or other bytes than UTF-8, signed so. Refused. PCS API v4."""
    assert refusal(world("v3 SGX", {f"{document}.rewrite": lambda _: text})) in {"DJ210", "DJ211"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_huge_document(document: str) -> None:
    """Two MiB of spaces before the end, signed so. Refused before it is read. Style 13."""
    assert refusal(world("v3 SGX", {f"{document}.rewrite": lambda text: text[:-1] + b" " * (2 << 20) + b"}"})) == "DJ210"
