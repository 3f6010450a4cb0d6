"""An enclave of Intel's SDK: what its author's tool measured is worked out again from its file."""

import struct
from dataclasses import replace

import pytest
from tests.enclave.vectors import SDK_FILE

from donjon.enclave.elf import read_elf
from donjon.enclave.intel_sdk import read_sdk_enclave
from donjon.enclave.intel_sdk_pages import measure_sdk_enclave
from donjon.enclave.search import enclaves
from donjon.enclave.signature import signature_faults
from donjon.errors import Malformed

PROGRAM = read_elf(SDK_FILE)
AT = 555229 - 64
"""Where the metadata begin: at an odd place, behind a name of 13 bytes."""


def spoilt(place: int, value: bytes) -> bytes:
    return SDK_FILE[: AT + place] + value + SDK_FILE[AT + place + len(value) :]


def test_its_signature_is_where_its_note_says_and_true() -> None:
    enclave = read_sdk_enclave(SDK_FILE, PROGRAM)
    assert enclave is not None
    assert enclave.offset == 555229
    assert list(signature_faults(enclave.sigstruct)) == []
    assert enclave.sigstruct.mr_signer.hex().startswith("d412a4f0")
    assert (enclave.threads, enclave.metadata.enclave_size) == (1, 4 << 20)


def test_its_measurement_is_that_of_its_signature() -> None:
    enclave = read_sdk_enclave(SDK_FILE, PROGRAM)
    assert enclave is not None
    assert measure_sdk_enclave(SDK_FILE, PROGRAM, enclave) == enclave.sigstruct.mr_enclave


def test_one_byte_of_its_code_makes_another_measurement() -> None:
    text = PROGRAM.sections[".text"][0]
    other = SDK_FILE[:text] + bytes([SDK_FILE[text] ^ 1]) + SDK_FILE[text + 1 :]
    enclave = read_sdk_enclave(other, PROGRAM)
    assert enclave is not None
    assert measure_sdk_enclave(other, PROGRAM, enclave) != enclave.sigstruct.mr_enclave


def of_version(version: int, *, segment_size: int) -> bytes:
    """Its measurement as the loader of that version makes it, where its last segment has that size."""
    enclave = read_sdk_enclave(spoilt(8, struct.pack("<Q", version)), PROGRAM)
    assert enclave is not None
    *others, last = PROGRAM.segments
    program = replace(PROGRAM, segments=(*others, replace(last, size=segment_size)))
    return measure_sdk_enclave(SDK_FILE, program, enclave)


def test_version_1_5_adds_a_page_where_a_segment_ends_in_the_page_that_its_size_alone_would_not_reach() -> None:
    old, new = 1 << 32 | 3, 2 << 32 | 2
    start, size = PROGRAM.segments[-1].address % 4096, PROGRAM.segments[-1].file_size
    assert start > 0
    short = -(-size // 4096) * 4096 + 4096 - start  # It ends with its page, and in whole pages would end in the next.
    long = short + 1
    assert of_version(old, segment_size=short) != of_version(new, segment_size=short)
    assert of_version(old, segment_size=long) == of_version(new, segment_size=long)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\0"),  # magic
        (16, struct.pack("<I", 1 << 30)),  # size
        (16, struct.pack("<I", 100)),
        (1884, struct.pack("<I", 33)),  # the layout's size
        (1880, struct.pack("<I", 1 << 31)),  # its place
        (1884, struct.pack("<I", 0xFFFFFFE0)),
    ],
)
def test_metadata_that_lie_are_refused(place: int, value: bytes) -> None:
    with pytest.raises(Malformed, match="sgxmeta"):
        read_sdk_enclave(spoilt(place, value), PROGRAM)


def test_an_entry_of_more_pages_than_an_enclave_has_is_refused() -> None:
    layout = struct.unpack_from("<I", SDK_FILE, AT + 1880)[0]
    with pytest.raises(Malformed, match="pages"):
        read_sdk_enclave(spoilt(layout + 4, struct.pack("<I", 0xFFFFFFFF)), PROGRAM)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF" + bytes(200), SDK_FILE[:1000], SDK_FILE[:400000]])
def test_a_file_that_is_no_program_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed, match="ELF"):
        read_elf(content)


def test_pages_that_would_take_minutes_to_hash_are_said_and_not_measured() -> None:
    layout = struct.unpack_from("<I", SDK_FILE, AT + 1880)[0]
    (enclave,) = enclaves(spoilt(layout + 4, struct.pack("<I", 1 << 23)))
    assert (enclave.measurement, enclave.unmeasured) == (None, "it has more than 4194304 pages")


@pytest.mark.parametrize(
    ("version", "extension", "is_measured"),
    [(1 << 32 | 4, 8, True), (1 << 32 | 5, 0, True), (1 << 32 | 5, 8, False), (3 << 32 | 2, 8, False), (11 << 32 | 5, 0, False)],
)
def test_parts_of_newer_versions_are_not_measured(version: int, extension: int, *, is_measured: bool) -> None:
    content = bytearray(spoilt(8, struct.pack("<Q", version)))
    struct.pack_into("<I", content, AT + 1900, extension)
    (enclave,) = enclaves(bytes(content))
    assert (enclave.measurement is not None) == is_measured
