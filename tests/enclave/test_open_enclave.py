"""Enclaves of Open Enclave: what their loader would measure is worked out of the file.

The code that does it was held against signed enclaves of four public repositories (`vectors/PROVENANCE.md`); the file here is
our own.
"""

import struct
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.enclave.vectors import OPEN_ENCLAVE_FILE, OPEN_ENCLAVE_MEASUREMENT

from donjon.enclave.elf import read_elf
from donjon.enclave.lint import lint_enclave
from donjon.enclave.open_enclave import MAX_PAGES, OpenEnclave, read_open_enclave
from donjon.enclave.search import Enclave, EnclaveFamily, enclaves
from donjon.enclave.signature import signature_faults
from donjon.errors import Malformed
from donjon.sgx.sigstruct import SigStruct

PROGRAM = read_elf(OPEN_ENCLAVE_FILE)
AT = PROGRAM.sections[".oeinfo"][0]
TODAY = date(2026, 12, 1)
DEBUG = 6  # of attributes, with MODE64BIT


def spoilt(*changes: tuple[int, bytes]) -> bytes:
    """The file with other bytes in its properties."""
    content = bytearray(OPEN_ENCLAVE_FILE)
    for place, value in changes:
        content[AT + place : AT + place + len(value)] = value
    return bytes(content)


def number(value: int, size: int = 8) -> bytes:
    return value.to_bytes(size, "little")


def the_enclave(content: bytes) -> Enclave:
    (enclave,) = enclaves(content)
    return enclave


def read(content: bytes) -> OpenEnclave:
    enclave = read_open_enclave(content, read_elf(content))
    assert enclave is not None
    return enclave


UNSIGNED = (144, bytes(SigStruct.SIZE))


def test_it_is_found_and_what_is_measured_was_signed() -> None:
    enclave = the_enclave(OPEN_ENCLAVE_FILE)
    assert enclave.family is EnclaveFamily.OPEN_ENCLAVE
    assert enclave.sigstruct is not None
    assert list(signature_faults(enclave.sigstruct)) == []
    assert enclave.measurement == enclave.sigstruct.mr_enclave == bytes.fromhex(OPEN_ENCLAVE_MEASUREMENT)
    assert (enclave.threads, enclave.size, enclave.offset) == (3, 256 << 10, AT + 144)


def test_its_layout_counts_threads_data_and_relocations() -> None:
    enclave = read(OPEN_ENCLAVE_FILE)
    assert (enclave.image_size, len(enclave.relocations), enclave.thread_local_pages) == (0x3000, 0x1000, 2)
    assert enclave.loaded_size == 0x4000 + (16 + 3 * (2 + 2 + 4 + 2 + 1)) * 4096
    own_copy = struct.pack("<QQq", 0x1FD0, 0xD << 32 | 18, 0x140)
    assert own_copy in enclave.relocations  # Looked up before it is loaded.


@pytest.mark.parametrize(("place", "value"), [(8, 17), (16, 3), (24, 2), (32, 8)])
def test_every_setting_is_measured_and_the_signature_is_not(place: int, value: int) -> None:
    assert the_enclave(spoilt((place, bytes([value])), UNSIGNED)).measurement != bytes.fromhex(OPEN_ENCLAVE_MEASUREMENT)
    assert the_enclave(spoilt(UNSIGNED)).measurement == bytes.fromhex(OPEN_ENCLAVE_MEASUREMENT)


def test_it_may_begin_elsewhere_than_at_its_base() -> None:
    enclave = read(spoilt((36, b"\x02"), (88, number(0x10000))))
    assert (enclave.start, enclave.size) == (0x10000, 512 << 10)
    assert the_enclave(spoilt((36, b"\x02"), (88, number(0x10000)))).measurement is not None


def test_without_a_signature_and_for_debugging_its_loader_signs_it_with_a_public_key() -> None:
    enclave = the_enclave(spoilt(UNSIGNED, (72, bytes([DEBUG]))))
    assert enclave.uses_debug_key
    (finding,) = lint_enclave("x", enclave, TODAY)
    assert (finding.code, "debug key" in finding.words()) == ("DJ315", True)


def test_without_a_signature_it_does_not_start_otherwise() -> None:
    enclave = the_enclave(spoilt(UNSIGNED))
    assert not enclave.uses_debug_key
    assert [each.code for each in lint_enclave("x", enclave, TODAY)] == ["DJ316"]


def test_another_file_than_the_signed_one_is_told() -> None:
    enclave = the_enclave(spoilt((32, b"\x08")))
    assert "DJ305" in [each.code for each in lint_enclave("x", enclave, TODAY)]


def test_a_program_of_ego_is_not_measured_alone() -> None:
    end = bytes(2048 - 1960) + struct.pack("<QQ", 100, 10)
    content = bytearray(OPEN_ENCLAVE_FILE[: AT + 1960] + end + OPEN_ENCLAVE_FILE[AT + 1960 :])
    at = len(end) + struct.unpack_from("<Q", content, 40)[0]  # Its section headers are behind all that.
    struct.pack_into("<Q", content, 40, at)
    for header in range(at, len(content), 64):
        offset, size = struct.unpack_from("<QQ", content, header + 24)
        if offset == AT:
            struct.pack_into("<Q", content, header + 32, size + len(end))
        elif offset > AT:
            struct.pack_into("<Q", content, header + 24, offset + len(end))
    enclave = the_enclave(bytes(content))
    assert (enclave.family, enclave.measurement) == (EnclaveFamily.EGO, None)
    assert "another file" in enclave.unmeasured


def test_a_program_of_ego_that_nobody_signed_yet_is_none() -> None:
    assert enclaves(spoilt((0, bytes(1960)))) == ()


@pytest.mark.parametrize(
    "change",
    [
        (0, number(1959, 4)),
        (4, number(3, 4)),  # of OP-TEE
        (8, number(MAX_PAGES + 1)),
        (8, number((1 << 64) - 1)),
        (16, number(MAX_PAGES)),  # of each of three threads
        (24, number(1025)),
        (88, number(4097)),
    ],
)
def test_properties_that_lie_are_refused(change: tuple[int, bytes]) -> None:
    with pytest.raises(Malformed, match="oeinfo"):
        enclaves(spoilt(change))


def test_more_than_is_measured_is_said() -> None:
    enclave = the_enclave(spoilt((8, number(1 << 23)), UNSIGNED))
    assert (enclave.measurement, enclave.unmeasured) == (None, "it has more than 4194304 pages")
    other = the_enclave(spoilt((16, number(1 << 18)), UNSIGNED))
    assert (other.measurement, other.unmeasured) == (None, "it has more than 524288 pages beside its heap")


@given(st.integers(0, len(OPEN_ENCLAVE_FILE) - 1), st.binary(min_size=1, max_size=8))
def test_whatever_bytes_are_changed_there_is_an_answer_or_a_coded_error(place: int, value: bytes) -> None:
    content = OPEN_ENCLAVE_FILE[:place] + value + OPEN_ENCLAVE_FILE[place + len(value) :]
    try:
        enclaves(content)
    except Malformed as error:
        assert error.code in {"DJ310", "DJ314", "DJ313"}  # noqa: PT017 - either answer is right.


@given(st.integers(0, len(OPEN_ENCLAVE_FILE)))
def test_wherever_it_ends_there_is_an_answer_or_a_coded_error(length: int) -> None:
    try:
        enclaves(OPEN_ENCLAVE_FILE[:length])
    except Malformed as error:
        assert error.code in {"DJ310", "DJ314"}  # noqa: PT017 - either answer is right.
