"""Quotes that nobody signed, or whose signatures are spliced together (docs/clauses.md, 12 to 16)."""

import hashlib

import pytest
from tests.broken.worlds import KINDS, flipped, judge, refusal, with_part, with_piece, with_quote
from tests.simulation.intel import MOMENT, SEED, world

from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.setting import setting
from donjon.simulation.intel.world import make

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BAD_NUMBERS = {"0": 0, "n": ORDER, "n + 1": ORDER + 1, "2^256 - 1": (1 << 256) - 1}
PIECES = ("header", "body", "signature", "key", "qe_report", "qe_signature", "authentication_data", "certification")
DOCUMENTS = ("tcb_info", "tcb_info_signature", "qe_identity", "qe_identity_signature", "pck_crl", "root_ca_crl")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 0.99])
def test_one_bit_turned_in_a_piece_of_the_quote(kind: str, piece: str, share: float) -> None:
    """[… | **piece** | …]: one bit turned. Refused. Clause 12; every bit in `make differential`."""
    made = world(kind)
    place = made.quote.pieces[piece]
    at = place.start + int(share * (place.stop - place.start))
    assert refusal(with_quote(made, flipped(made.quote.data, at))).startswith("DJ2")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 0.99])
def test_one_bit_turned_in_the_collateral(kind: str, document: str, share: float) -> None:
    """A signed document, its signature or a CRL: one bit turned. Refused. Clause 12."""
    made = world(kind)
    data: bytes = getattr(made, document)
    assert refusal(with_part(made, document, flipped(data, int(share * len(data))))).startswith("DJ2")


@pytest.mark.parametrize("piece", ["signature", "qe_signature"])
@pytest.mark.parametrize("half", [0, 1], ids=["r", "s"])
@pytest.mark.parametrize("number", BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_a_signature_with_a_number_out_of_range(piece: str, half: int, number: int) -> None:
    """r ‖ s, one of them 0 or at least the order n. Refused. Clause 13."""
    made = world()
    signature = made.quote.data[made.quote.pieces[piece]]
    bad = number.to_bytes(32, "big")
    spoilt = bad + signature[32:] if half == 0 else signature[:32] + bad
    assert refusal(with_piece(made, piece, spoilt)) == {"signature": "DJ243", "qe_signature": "DJ240"}[piece]


@pytest.mark.parametrize("document", ["tcb_info_signature", "qe_identity_signature"])
@pytest.mark.parametrize("number", BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_a_documents_signature_with_a_number_out_of_range(document: str, number: int) -> None:
    """r ‖ s of a document, r 0 or at least the order n. Refused. Clause 13."""
    made = world()
    signature: bytes = getattr(made, document)
    assert refusal(with_part(made, document, number.to_bytes(32, "big") + signature[32:])) == "DJ230"


def _bound(kind: str, key: bytes) -> str:
    """What a quote is refused with whose QE report really binds that key."""
    made = world(kind)
    bound = hashlib.sha256(key + made.setting.quote.authentication_data).digest() + bytes(32)
    return refusal(world(kind, {"quote.qe_report_data": bound, "quote.overrides": (("key", key),)}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", [bytes(64), bytes(63) + b"\1", b"\xff" * 64], ids=["(0, 0)", "(0, 1)", "beyond the field"])
def test_an_attestation_key_that_is_no_point(kind: str, key: bytes) -> None:
    """QE report binds X ‖ Y, which is not on P-256. Refused. Clause 13."""
    assert _bound(kind, key) == "DJ207"


@pytest.mark.parametrize("kind", KINDS)
def test_a_quote_signed_by_a_key_that_the_qe_does_not_bind(kind: str) -> None:
    """[key B | signature by B | QE report binds A]. Refused. Clause 14."""
    bound = world(kind).quote
    report = bound.data[bound.pieces["qe_report"]]
    made = world(kind, {"quote.attestation_key": "key B", "quote.qe_report_data": report[320:384]})
    assert refusal(made) == "DJ241"


@pytest.mark.parametrize("kind", KINDS)
def test_a_quote_signed_by_another_key_than_it_carries(kind: str) -> None:
    """[key A | signature by B | QE report binds A]. Refused. Clause 14."""
    assert refusal(world(kind, {"quote.signed_by": "key B"})) == "DJ243"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"\1" + bytes(31), bytes(31) + b"\1", b"\xff" * 32])
def test_a_qe_report_with_something_behind_the_hash(kind: str, tail: bytes) -> None:
    """QE report data: hash ‖ **not zero**, signed so by the PCK key. Refused; QVL and dcap-qvl do not look. Clause 15."""
    made = world(kind).quote
    digest = made.data[made.pieces["qe_report"]][320:352]
    assert refusal(world(kind, {"quote.qe_report_data": digest + tail})) == "DJ241"


@pytest.mark.parametrize("kind", KINDS)
def test_a_qe_report_that_another_platform_signed(kind: str) -> None:
    """[our body, our key | **QE report and signature of another platform** | our chain]. Refused. Clause 16."""
    made, other = world(kind), make(setting(b"another platform", MOMENT, kind)).quote
    spliced = with_piece(made, "qe_report", other.data[other.pieces["qe_report"]])
    assert refusal(with_piece(spliced, "qe_signature", other.data[other.pieces["qe_signature"]])) == "DJ240"


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_qe_report_of_the_same_platform_for_another_key(kind: str) -> None:
    """[our key | **QE report of this platform for its former key** | our chain]. Refused. Clause 16."""
    made, other = world(kind), world(kind, {"quote.attestation_key": "former key"}).quote
    spliced = with_piece(made, "qe_report", other.data[other.pieces["qe_report"]])
    assert refusal(with_piece(spliced, "qe_signature", other.data[other.pieces["qe_signature"]])) == "DJ241"


@pytest.mark.parametrize("kind", KINDS)
def test_a_qe_report_that_the_pck_key_did_not_sign(kind: str) -> None:
    """[QE report | **signature by another certificate's key** | chain]. Refused. Clause 14."""
    for signer in (SimulatedRole.PROCESSOR_CA, SimulatedRole.TCB_SIGNING, SimulatedRole.ROOT):
        assert refusal(world(kind, {"quote.qe_signed_by": signer.name})) == "DJ240"


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_of_ones_own_changes_nothing(kind: str) -> None:
    """Another platform under another root of the same shape, looked at under its own root. Accepted: the worlds are honest."""
    assert judge(make(setting(SEED + b"!", MOMENT, kind))).tcb.status == "UpToDate"
