"""Every bit of attributes and features on its own, and in every real quote that there is."""

import json
from collections.abc import Mapping
from struct import pack

import pytest
from tests.attestation import vectors

from donjon.attestation.quote import parse
from donjon.sgx import attributes, td
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport, TdReport15

EVERY = range(attributes.BITS)
JUDGED = {*range(8), 28, 29, 30, 31, 63}  # of a TD
FLAGS = {0, 1, 2, 4, 5, 6, 7, 10}

ODD: Mapping[str, str] = {
    "automata/quotes/586c2be0dc38_v5_tdx_90c06f000000.bin": "bound to a service TD",
    "openenclave/quotes/67adfc4acd82_v5_tdx_00806f050000.bin": "migratable, and bound to a service TD",
    "intel/quotes/8cc428aaac34_v3_sgx_ct1.bin": "made up for Intel's tests, with XFRM 0",
    "intel/quotes/aa2cafadb32b_v4_tdx_ct5.bin": "made up for Intel's tests, with XFAM 0",
}
"""The published quotes that are refused now, each with the reason."""


def trust_domain(flags: int = 0, xfam: int = 3) -> TdReport:
    return TdReport(bytes(120) + pack("<QQ", flags, xfam) + bytes(448))


def enclave(flags: int = 1, xfrm: int = 3) -> ReportBody:
    return ReportBody(bytes(48) + pack("<QQ", flags, xfrm) + bytes(320))


def wrong(body: ReportBody | TdReport, features: int = 0) -> list[str]:
    return list(attributes.impossible_features(body, features))


@pytest.mark.parametrize("bit", EVERY)
def test_each_bit_is_judged_by_its_name_or_is_foreign(bit: int) -> None:
    expected = 0 if bit in JUDGED else 1 << bit
    assert attributes.foreign(trust_domain(1 << bit), 0) == expected
    assert attributes.foreign(trust_domain(1 << bit), 1 << bit) == 0
    assert attributes.foreign(enclave(1 << bit), 0) == (0 if bit in FLAGS else 1 << bit)


@pytest.mark.parametrize("bit", EVERY)
def test_a_feature_that_a_td_cannot_have_is_told(bit: int) -> None:
    assert bool(wrong(trust_domain(xfam=3 | 1 << bit))) is (bit not in {0, 1, 2, 8, 9, 14, 15})
    assert wrong(trust_domain(xfam=3 | 1 << bit), (1 << attributes.BITS) - 1) == []


@pytest.mark.parametrize("features", [0x3, 0x7, 0xE7, 0x2E7, 0x618E7, 0x61AE7, 0x642E7, attributes.XFAM])
def test_features_as_modules_give_them_are_taken(features: int) -> None:
    assert wrong(trust_domain(xfam=features)) == []


@pytest.mark.parametrize("features", [0x3, 0x7, 0x1F, 0xE7, 0x602E7, attributes.XFRM])
def test_features_as_processors_give_them_are_taken(features: int) -> None:
    assert wrong(enclave(xfrm=features)) == []


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (0, ["without x87 and SSE (bits 0x3)"]),
        (0x23, ["AVX-512 without AVX", "AVX-512 by halves (0x20 of 0xe0)"]),
        (0x20003, ["AMX by halves (0x20000 of 0x60000)"]),
        (0x80003, ["reserved bits 0x80000"]),
    ],
)
def test_what_is_wrong_with_features_is_told_in_words(features: int, expected: list[str]) -> None:
    assert wrong(enclave(xfrm=features)) == expected


def test_real_quotes_have_nothing_odd_but_those_listed() -> None:
    files = [each["file"] for each in json.loads((vectors.ROOT / "quotes_manifest.json").read_text(encoding="utf-8"))]
    assert len(files) == 97
    assert {file for file in files if _odd(parse((vectors.ROOT / file).read_bytes()).body)} == set(ODD)


def _odd(body: ReportBody | TdReport) -> bool:
    hidden = isinstance(body, TdReport) and (body.migratable or (isinstance(body, TdReport15) and any(body.mr_service_td)))
    return hidden or bool(attributes.foreign(body, 0)) or bool(wrong(body))


def test_bits_are_named_by_name_or_number() -> None:
    assert attributes.mask(["LASS", "0x100", "0x1"], attributes.NEW_ATTRIBUTES) == 1 << 27 | 0x101
    assert attributes.mask(["APX"], attributes.NEW_FEATURES) == 1 << 19
    assert attributes.names(1 << 16 | 1 << 17 | 1 << 40) == "ICSSD, SERVTD_EXT, bit 40"


@pytest.mark.parametrize("word", ["", "lass", "0x", "100", "0x0", "0x10000000000000000", "0x_1", "0b1", " 0x1", "-0x1"])
def test_a_word_that_names_no_bit_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="ICSSD, SERVTD_EXT, LASS, TPA, or bits in hexadecimal"):
        attributes.mask([word], attributes.NEW_ATTRIBUTES)


@pytest.mark.parametrize("text", ["", "66" * 47, "66" * 49, "6g" * 48, " " + "66" * 47 + " ", "٦٦" * 48])
def test_a_text_that_states_no_service_td_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="96 hexadecimal digits"):
        td.service_td(text)
