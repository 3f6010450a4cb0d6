"""Quotes whose bytes are not what their format says (docs/clauses.md, 1 to 11)."""

import struct
from dataclasses import replace

import pytest
from tests.broken.worlds import KINDS, SGX, TDX, judge, refusal, with_piece, with_quote
from tests.simulation.intel import world

from donjon.attestation import quote
from donjon.errors import DonjonError, Malformed, Unavailable
from donjon.simulation.intel.certificates import SimulatedRole


@pytest.mark.parametrize("kind", KINDS)
def test_the_valid_world_is_accepted(kind: str) -> None:
    """[header | body | length | signature … chain]: nothing wrong. Accepted: what follows is refused for its one change."""
    assert judge(world(kind)).tcb.status == "UpToDate"


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_at_any_length(kind: str) -> None:
    """[header | body | le~ : cut after 0 … n-1 bytes. Refused. Clause 1."""
    data = world(kind).quote.data
    codes = set()
    for length in range(len(data)):
        with pytest.raises(Malformed) as caught:
            quote.parse(data[:length])
        codes.add(caught.value.code)
    assert codes == {"DJ200"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [0, 1, 2, 6, 65535])
def test_a_version_that_nobody_wrote_down(kind: str, version: int) -> None:
    """[**version** | …]: 0, 1, 2, 6 or 65535, signed so. Refused. Clause 2."""
    header = world(kind).quote.data[:48]
    made = with_piece(world(kind), "header", struct.pack("<H", version) + header[2:])
    assert refusal(made) == "DJ201"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key_type", [0, 1, 3, 65535])
def test_another_type_of_attestation_key(kind: str, key_type: int) -> None:
    """[version | **key type** | …]: not 2, ECDSA with P-256. Refused. Clause 3."""
    assert refusal(world(kind, {"quote.attestation_key_type": key_type})) == "DJ201"


@pytest.mark.parametrize(
    ("kind", "tee", "code"),
    [
        ("v3 SGX", 0x81, "DJ201"),
        *((kind, 0x81, "DJ200") for kind in ["v4 SGX"]),
        ("v5 SGX", 0x81, "DJ201"),
        ("v4 TDX 1.0", 0x00, "DJ200"),
        ("v5 TDX 1.0", 0x00, "DJ201"),
        ("v5 TDX 1.5", 0x00, "DJ201"),
        *((kind, tee, "DJ201") for kind in KINDS for tee in (0x01, 0x80, 0x82, 0x81000000)),
    ],
)
def test_a_tee_that_does_not_fit_the_version_or_the_body(kind: str, tee: int, code: str) -> None:
    """[version | key type | **TEE** | …]: the other one, or one that is not known. Refused. Clause 4."""
    assert refusal(world(kind, {"quote.tee_type": tee})) == code


@pytest.mark.parametrize("kind", KINDS)
def test_a_quoting_enclave_of_another_vendor(kind: str) -> None:
    """[… | **vendor** | user data | …]: zeros. Refused. Clause 5."""
    assert refusal(world(kind, {"quote.vendor": bytes(16)})) == "DJ201"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("difference", [-1, 1, None])
def test_a_signature_section_of_another_length(kind: str, difference: int | None) -> None:
    """[header | body | **length** | …]: one less, one more, or 0xFFFFFFFF. Refused. Clause 6."""
    made = world(kind)
    (length,) = struct.unpack("<I", made.quote.data[made.quote.pieces["auth_length"]])
    other = 0xFFFFFFFF if difference is None else length + difference
    assert refusal(with_piece(made, "auth_length", struct.pack("<I", other))) == "DJ200"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [0xFFFF, 31, 33, 0])
def test_authentication_data_of_another_length(kind: str, length: int) -> None:
    """[… | QE signature | **length** | data | …]: beyond the end, or not what there is. Refused. Clause 7."""
    assert refusal(with_piece(world(kind), "authentication_length", struct.pack("<H", length))) in {"DJ200", "DJ202"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("difference", [-1, 1, None])
def test_certification_data_of_another_length(kind: str, difference: int | None) -> None:
    """[… | type | **length** | PEM]: one less, one more, or 0xFFFFFFFF. Refused. Clause 8."""
    made = world(kind)
    (length,) = struct.unpack("<I", made.quote.data[made.quote.pieces["certification_length"]])
    other = 0xFFFFFFFF if difference is None else length + difference
    assert refusal(with_piece(made, "certification_length", struct.pack("<I", other))) == "DJ200"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("certification", [0, 6, 7, 8])
def test_certification_data_of_a_type_that_nobody_reads(kind: str, certification: int) -> None:
    """[… | **type** | length | …]: 0, 6 (inside), 7 or 8. Refused. Clause 9."""
    assert refusal(world(kind, {"quote.certification_type": certification, "quote.certification": b"data"})) == "DJ202"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("certification", [1, 2, 3, 4])
def test_certification_data_without_a_chain(kind: str, certification: int) -> None:
    """[… | **type** | length | PPID]: 1 to 4, and nobody has the PCK certificate. Refused as unavailable. Clause 9."""
    with pytest.raises(Unavailable, match="DJ203"):
        judge(world(kind, {"quote.certification_type": certification}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("certification", [1, 2, 3, 4])
def test_certification_data_without_a_chain_where_the_collateral_has_it(kind: str, certification: int) -> None:
    """[… | type 1 to 4 | …] and PCK, CA, root beside it. Accepted. Clause 9."""
    made = world(kind, {"quote.certification_type": certification})
    chain = b"".join(made.certificates[role] for role in (SimulatedRole.PCK, SimulatedRole.PROCESSOR_CA, SimulatedRole.ROOT))
    assert judge(replace(made, pck_certificate_chain=chain)).tcb.status == "UpToDate"


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("outer", [0, 1, 2, 3, 4, 5, 7])
def test_an_outer_type_other_than_six(kind: str, outer: int) -> None:
    """[… | key | **outer type** | …] of versions 4 and 5: not 6. Refused. Clause 9."""
    assert refusal(world(kind, {"quote.outer_type": outer})) == "DJ202"


@pytest.mark.parametrize("kind", KINDS[3:])
@pytest.mark.parametrize("body_type", [0, 4, 5, 65535])
def test_a_body_of_a_type_that_nobody_reads(kind: str, body_type: int) -> None:
    """[header | **type** | size | body | …]: unknown, or 4 (TDX 1.5 with its extended body). Refused. Clause 10."""
    assert refusal(world(kind, {"quote.body_type": body_type})) == "DJ201"


@pytest.mark.parametrize("kind", KINDS[3:])
@pytest.mark.parametrize("difference", [-1, 1, 64, 0xFFFF])
def test_a_body_whose_size_is_not_its_types(kind: str, difference: int) -> None:
    """[header | type | **size** | body | …]: not 384, 584 or 648. Refused. Clause 10."""
    made = world(kind)
    (size,) = struct.unpack("<I", made.quote.data[made.quote.pieces["body_size"]])
    assert refusal(with_piece(made, "body_size", struct.pack("<I", size + difference))) == "DJ201"


PCK, CA, ROOT = SimulatedRole.PCK, SimulatedRole.PROCESSOR_CA, SimulatedRole.ROOT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chain", [(), (PCK,), (PCK, CA), (PCK, CA, ROOT, ROOT), (PCK, CA, CA, ROOT)])
def test_a_chain_of_other_than_three(kind: str, chain: tuple[SimulatedRole, ...]) -> None:
    """PEM: none, one, two or four certificates. Refused. Clause 11."""
    assert refusal(world(kind, {"quote.chain": chain})) == ("DJ204" if chain else "DJ202")


@pytest.mark.parametrize(
    ("chain", "code"),
    [
        ((ROOT, CA, PCK), "DJ220"),
        ((PCK, ROOT, CA), "DJ220"),
        ((CA, PCK, ROOT), "DJ221"),
        ((CA, ROOT, PCK), "DJ220"),
        ((ROOT, PCK, CA), "DJ220"),
    ],
)
def test_a_chain_in_another_order(chain: tuple[SimulatedRole, ...], code: str) -> None:
    """PEM: anything but leaf, CA, root. Refused (`cryptography` takes any order). Clause 11."""
    assert refusal(world("v3 SGX", {"quote.chain": chain})) == code


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"-----END CERTIFICATE-----\n", b"-----END CERTIFICATE-----\njunk\n"),
        (b"-----END CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n\0"),
        (b"-----BEGIN", b" -----BEGIN"),
        (b"-----BEGIN", b"\0-----BEGIN"),
        (b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        (b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----\nComment: x\n\n"),
        (b"\nMII", b"\n MII"),
        (b"\nMII", b"\n\0MII"),
        (b"\nMII", b"\n=MII"),
    ],
)
def test_a_chain_with_something_between(before: bytes, after: bytes) -> None:
    """PEM with junk, NULs, headers or other labels between and inside its blocks. Refused. Clause 11."""
    made = world()
    chain = made.quote.data[made.quote.pieces["certification"]]
    assert before in chain
    assert refusal(world("v3 SGX", {"quote.certification": chain.replace(before, after, 1)})) == "DJ204"


@pytest.mark.parametrize("ending", [b"", b"\0", b"\n\0", b"\r\n"])
def test_a_chain_with_what_writers_leave_behind_it(ending: bytes) -> None:
    """PEM, then a NUL or the end of a line, as Intel's own library leaves it. Accepted. Clause 11."""
    made = world()
    chain = made.quote.data[made.quote.pieces["certification"]]
    assert judge(world("v3 SGX", {"quote.certification": chain + ending})).tcb.status == "UpToDate"


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_chain(kind: str) -> None:
    """PEM of 10 MiB. Refused before it is read. Clause 11."""
    made = world(kind)
    chain = made.quote.data[made.quote.pieces["certification"]]
    assert refusal(world(kind, {"quote.certification": chain * 3000})) == "DJ200"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trailing", [b"\0", bytes(70), bytes(3065), b"anything"])
def test_bytes_behind_the_quote(kind: str, trailing: bytes) -> None:
    """[quote] 00 00 00 …: as TDX quotes carry them. Accepted, told, and no part of the quote."""
    with_more, without = (quote.parse(world(kind, {"quote.trailing": behind}).quote.data) for behind in (trailing, b""))
    assert (with_more.trailing, with_more.raw) == (len(trailing), without.raw)
    assert judge(with_quote(world(kind), world(kind).quote.data + trailing)).tcb.status == "UpToDate"


@pytest.mark.parametrize("data", [b"", b"\0", bytes(48), b"\xff" * 5000, b"\x03\0\x02\0" * 2000])
def test_bytes_that_are_no_quote(data: bytes) -> None:
    """Anything. Refused with one of our errors. Clause 1."""
    with pytest.raises(DonjonError, match=r"DJ20[01]"):
        quote.parse(data)


def test_both_tees_are_in_the_tables() -> None:
    assert {*SGX, *TDX} == set(KINDS)
