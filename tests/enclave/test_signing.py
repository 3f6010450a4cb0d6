"""A SIGSTRUCT is signed as others sign it, to the byte, and nothing is signed that would not start."""

from datetime import date

import pytest
from tests.enclave.keys import signer
from tests.enclave.vectors import EDP, FOLDER, OPEN_ENCLAVE_FILE, SAMPLE, SDK_FILE, changed

from donjon.enclave.open_enclave import SIGSTRUCT_AT
from donjon.enclave.search import Enclave, EnclaveFamily, enclaves
from donjon.enclave.signable import Signable, check_measured, put_back, redraft, signable
from donjon.enclave.signature import check_key, signature_faults
from donjon.enclave.signing import KSS, SigstructFields, blank, change, complete, draft_of, parse_message, sign
from donjon.errors import DonjonError, Malformed, Misconfigured, Untrusted
from donjon.sgx.sigstruct import MODULUS_SIZE, SigStruct

WHOLE = (1 << 64) - 1
STREAM = (FOLDER / "edp_test_enclave.sgxs").read_bytes()
DAY = date(2026, 11, 30)


def parts(whole: SigStruct) -> tuple[int, bytes]:
    """The modulus, and the signature as a tool that signs writes it."""
    return int.from_bytes(whole.modulus, "little"), whole.signature[::-1]


def test_fortanix_own_test_of_its_signer_is_reproduced_to_the_byte_from_its_arguments() -> None:
    """sgxs-sign -x 3/0xe4 --date 20160109 --in-hash c5067362… with the key sig1, whose signature stands in the vector."""
    fields = SigstructFields(day=date(2016, 1, 9), flags_mask=WHOLE ^ 2, xfrm=3, xfrm_mask=WHOLE ^ 0xE4)
    draft = change(blank(SAMPLE.mr_enclave), fields)
    assert draft.message == SAMPLE.message
    assert complete(draft, *parts(SAMPLE)).raw == SAMPLE.raw


@pytest.mark.parametrize("whole", [EDP, SAMPLE, *(each.sigstruct for each in enclaves(SDK_FILE))])
def test_what_others_signed_is_put_together_again_to_the_byte(whole: SigStruct) -> None:
    assert complete(parse_message(draft_of(whole).message), *parts(whole)).raw == whole.raw


def test_the_same_key_signs_the_same_fields_with_the_same_bytes() -> None:
    draft = draft_of(EDP)
    assert sign(draft, signer()) == sign(draft, signer())
    assert sign(draft, signer()).message == EDP.message


def test_every_field_that_is_said_stands_where_it_belongs_and_no_other_changes() -> None:
    fields = SigstructFields(
        day=DAY,
        vendor=0x8086,
        software_defined=5,
        product_id=0x1234,
        svn=7,
        family_id=b"f" * 16,
        ext_product_id=b"e" * 16,
        flags=0x84,
        flags_mask=WHOLE,
        xfrm=7,
        xfrm_mask=WHOLE ^ 7,
        misc_select=1,
        misc_mask=0xFFFFFFFE,
    )
    whole = sign(change(blank(EDP.mr_enclave), fields), signer())
    assert list(signature_faults(whole)) == []
    assert (whole.date.hex(), whole.vendor, whole.software_defined) == ("30112620", 0x8086, 5)
    assert (whole.isv_prod_id, whole.isv_svn, whole.isv_family_id, whole.isv_ext_prod_id) == (0x1234, 7, b"f" * 16, b"e" * 16)
    assert (whole.attributes.hex(), whole.attribute_mask.hex()) == ("84" + "00" * 7 + "07" + "00" * 7, "ff" * 8 + "f8" + "ff" * 7)
    assert (whole.misc_select.hex(), whole.misc_mask.hex(), whole.mr_enclave) == ("01000000", "feffffff", EDP.mr_enclave)
    assert change(draft_of(whole), SigstructFields()).message == whole.message


@pytest.mark.parametrize(("allow", "flag", "mask"), [(True, 2, 0), (False, 0, 2)])
def test_debugging_is_allowed_or_held_to_never(allow: bool, flag: int, mask: int) -> None:  # noqa: FBT001 - a table's column.
    sigstruct = change(draft_of(EDP), SigstructFields(debug=allow)).sigstruct
    assert (sigstruct.attributes[0] & 2, sigstruct.attribute_mask[0] & 2) == (flag, mask)


@pytest.mark.parametrize(
    "fields", [SigstructFields(flags=5), SigstructFields(family_id=b"f" * 16), SigstructFields(ext_product_id=b"e" * 16)]
)
def test_what_einit_takes_from_nobody_is_refused(fields: SigstructFields) -> None:
    with pytest.raises(Misconfigured, match="enclave's fields") as caught:
        change(draft_of(EDP), fields)
    assert caught.value.code == "DJ342"


@pytest.mark.parametrize("place", [0, 20, 128, 255])
def test_a_signature_of_other_bytes_is_refused(place: int) -> None:
    message = bytearray(EDP.message)
    message[place] ^= 1
    whole = SigStruct(bytes(message[:128]) + EDP.raw[128:900] + bytes(message[128:]) + EDP.raw[1028:])
    with pytest.raises(Untrusted, match="none of this message by this key"):
        complete(draft_of(whole), *parts(EDP))


@pytest.mark.parametrize(
    "signature", [b"", bytes(MODULUS_SIZE - 1), bytes(MODULUS_SIZE), b"\xff" * MODULUS_SIZE, bytes(MODULUS_SIZE + 1)]
)
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(Untrusted, match="signature"):
        complete(draft_of(EDP), parts(EDP)[0], signature)


@pytest.mark.parametrize(
    ("modulus", "exponent", "words"),
    [(1 << 3071 | 1, 65537, "exponent is 65537"), (1 << 2047 | 1, 3, "2048 bits"), (1 << 3071, 3, "3072")],
)
def test_a_key_that_einit_does_not_take_is_refused_in_words(modulus: int, exponent: int, words: str) -> None:
    with pytest.raises(Misconfigured, match=words) as caught:
        check_key(modulus, exponent, "key")
    assert caught.value.code == "DJ340"


@pytest.mark.parametrize(
    "message", [b"", EDP.message[:-1], EDP.message + b"\0", bytes(256), EDP.message[:100] + b"\1" + EDP.message[101:]]
)
def test_a_message_of_no_sigstruct_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_message(message)
    assert caught.value.code == "DJ341"


def test_a_stream_is_signed_as_what_it_measures_and_its_signature_is_a_file_of_its_own() -> None:
    subject = signable(STREAM)
    whole = sign(redraft(subject, SigstructFields(day=DAY)), signer())
    assert (subject.alone, whole.mr_enclave, put_back(subject, whole)) == (True, EDP.mr_enclave, whole.raw)


def test_a_program_of_intels_sdk_differs_by_its_sigstruct_alone() -> None:
    subject = signable(SDK_FILE)
    whole = sign(redraft(subject, SigstructFields(day=DAY, svn=9, debug=False)), signer())
    written, at = put_back(subject, whole), subject.enclave.offset
    assert (written[:at], written[at + SigStruct.SIZE :]) == (SDK_FILE[:at], SDK_FILE[at + SigStruct.SIZE :])
    (again,) = enclaves(written)
    assert (again.sigstruct, again.measurement) == (whole, whole.mr_enclave)


def test_what_intels_loader_asks_the_processor_for_is_changed_along_with_the_signature() -> None:
    subject = signable(SDK_FILE)
    fields = SigstructFields(flags=4 | KSS, xfrm=7, misc_select=0)
    written, at = put_back(subject, sign(redraft(subject, fields), signer())), subject.enclave.offset
    assert written[at - 16 : at].hex() == "84" + "00" * 7 + "07" + "00" * 7
    (again,) = enclaves(written)
    assert again.sigstruct is not None
    assert again.measurement == again.sigstruct.mr_enclave


def test_intels_loader_asks_for_no_more_of_miscselect_than_is_signed() -> None:
    at = signable(SDK_FILE).enclave.offset
    subject = signable(SDK_FILE[: at - 32] + b"\3\0\0\0" + SDK_FILE[at - 28 :])
    written = put_back(subject, sign(redraft(subject, SigstructFields(misc_select=1)), signer()))
    assert written[at - 32 : at - 28] == b"\1\0\0\0"
    assert put_back(subject, sign(redraft(subject, SigstructFields(svn=1)), signer()))[at - 32 : at - 28] == b"\3\0\0\0"


@pytest.mark.parametrize(
    "fields",
    [
        SigstructFields(product_id=1),
        SigstructFields(svn=1),
        SigstructFields(debug=True),
        SigstructFields(xfrm=7),
        SigstructFields(flags=0x84),
    ],
)
def test_what_a_measured_place_repeats_is_refused_where_the_family_may_be_open_enclave(fields: SigstructFields) -> None:
    subject = Signable(b"", Enclave(family=EnclaveFamily.UNKNOWN, sigstruct=EDP, offset=0))
    with pytest.raises(Misconfigured, match="stands in what is measured") as caught:
        redraft(subject, fields)
    assert caught.value.code == "DJ345"
    assert redraft(subject, SigstructFields(day=DAY)).message != EDP.message


def test_open_enclave_keeps_what_is_measured_and_gets_another_key_and_day() -> None:
    subject = signable(OPEN_ENCLAVE_FILE)
    for fields in (SigstructFields(product_id=1), SigstructFields(debug=True)):
        with pytest.raises(Misconfigured, match="oesign"):
            redraft(subject, fields)
    whole = sign(redraft(subject, SigstructFields(day=DAY, product_id=7, svn=4)), signer())
    (again,) = enclaves(put_back(subject, whole))
    assert (again.sigstruct, again.measurement) == (whole, whole.mr_enclave)


def unsigned(*spoils: tuple[int, bytes]) -> bytes:
    """Our stand-in for a program of Open Enclave as a compiler leaves it, with other properties where that is said."""
    raw = bytearray(OPEN_ENCLAVE_FILE)
    at = signable(OPEN_ENCLAVE_FILE).enclave.offset
    raw[at : at + SigStruct.SIZE] = bytes(SigStruct.SIZE)
    for place, octets in spoils:
        raw[at - SIGSTRUCT_AT + place : at - SIGSTRUCT_AT + place + len(octets)] = octets
    return bytes(raw)


@pytest.mark.parametrize(
    ("spoils", "flags", "mask", "misc", "ids"),
    [
        ((), "04", "7b", "ff", bytes(32)),
        (((72, b"\x06"),), "06", "79", "ff", bytes(32)),
        (((36, b"\x01"),), "04", "7b", "fe", bytes(32)),
        (((40, b"f" * 16 + b"e" * 16),), "04", "7b", "ff", bytes(32)),
        (((72, b"\x84"), (40, b"f" * 16 + b"e" * 16)), "84", "fb", "ff", b"f" * 16 + b"e" * 16),
    ],
    ids=["plain", "debug", "faults", "ids without KSS", "KSS"],
)
def test_open_enclave_without_a_signature_gets_the_one_that_its_own_tool_would_make(
    spoils: tuple[tuple[int, bytes], ...], flags: str, mask: str, misc: str, ids: bytes
) -> None:
    subject = signable(unsigned(*spoils))
    whole = sign(redraft(subject, SigstructFields(day=DAY)), signer())
    (again,) = enclaves(put_back(subject, whole))
    assert (again.sigstruct, again.measurement, again.uses_debug_key) == (whole, whole.mr_enclave, False)
    assert (whole.isv_prod_id, whole.isv_svn, whole.isv_family_id + whole.isv_ext_prod_id) == (7, 4, ids)
    assert (whole.attributes.hex(), whole.attribute_mask.hex()) == (
        f"{flags}00000000000000" + "0300000000000000",
        f"{mask}ffffffffffffff" + "1bffffffffffffff",
    )
    assert (whole.misc_select.hex(), whole.misc_mask.hex()) == ("00000000", f"{misc}ffffff")


def test_what_can_be_measured_by_nobody_is_signed_by_nobody() -> None:
    with pytest.raises(Malformed, match="more than") as caught:
        signable(unsigned((16, (1 << 21).to_bytes(8, "little"))))
    assert caught.value.code == "DJ344"


def test_every_copy_that_intels_sdk_makes_for_older_loaders_is_signed() -> None:
    at = signable(SDK_FILE).enclave.offset
    subject = signable(SDK_FILE + SDK_FILE[at - 64 : at + SigStruct.SIZE])
    whole = sign(redraft(subject, SigstructFields(svn=9, flags=4 | KSS)), signer())
    written = put_back(subject, whole)
    assert written[len(SDK_FILE) + 48 :] == whole.attributes + whole.raw
    assert written[at - 16 : at + SigStruct.SIZE] == whole.attributes + whole.raw


def test_a_message_of_another_enclave_is_refused() -> None:
    with pytest.raises(Misconfigured, match="MRENCLAVE"):
        check_measured(signable(STREAM), draft_of(SAMPLE))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "DJ344"),
        (b"\x7fELF", "DJ344"),
        (b"\x7fELF .oeinfo", "DJ310"),
        (SDK_FILE[:0x2000] + b"\xcc" + SDK_FILE[0x2001:], "DJ305"),
        (b"x" + EDP.raw + SAMPLE.raw, "DJ344"),
    ],
)
def test_a_file_in_which_nothing_can_be_signed_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(DonjonError) as caught:
        signable(content)
    assert caught.value.code == code


def test_a_signature_file_whose_signature_is_broken_is_signed_anew() -> None:
    broken = changed(EDP, 600, EDP.raw[600] ^ 1)
    whole = sign(redraft(signable(broken.raw), SigstructFields()), signer())
    assert (whole.message, list(signature_faults(whole))) == (EDP.message, [])
