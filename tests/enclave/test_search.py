"""Every enclave of a file, wherever it stands, and no fault where there is none."""

import pytest
from tests.enclave.vectors import EDP, OPEN_ENCLAVE_FILE, SAMPLE, SDK_FILE

from donjon.enclave.search import EnclaveFamily, enclaves
from donjon.errors import Malformed
from donjon.sgx.sigstruct import HEADER


def of_32_bits(content: bytes) -> bytes:
    return content[:4] + b"\x01" + content[5:]


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\x7fELF", of_32_bits(b"\x7fELF" + bytes(200)), b"\x7fELF" + b"\xff" * 500, HEADER * 1000],
)
def test_a_program_that_no_enclave_could_be_is_no_fault(content: bytes) -> None:
    assert enclaves(content) == ()


@pytest.mark.parametrize("content", [of_32_bits(SDK_FILE), of_32_bits(OPEN_ENCLAVE_FILE), OPEN_ENCLAVE_FILE[:7000]])
def test_a_program_that_says_to_be_one_and_cannot_be_read_is(content: bytes) -> None:
    with pytest.raises(Malformed):
        enclaves(content)


def test_a_signature_that_is_there_again_is_the_same_enclave() -> None:
    (enclave,) = enclaves(SDK_FILE)
    (again,) = enclaves(SDK_FILE + (enclave.sigstruct or EDP).raw)
    assert again == enclave


def test_another_signature_in_the_file_is_another_enclave() -> None:
    first, other = enclaves(SDK_FILE + EDP.raw)
    assert (first.family, other.family, other.offset) == (EnclaveFamily.INTEL_SDK, EnclaveFamily.UNKNOWN, len(SDK_FILE))


def test_a_header_alone_and_a_signature_that_does_not_hold_are_none() -> None:
    broken = EDP.raw[:1000] + b"\xff" + EDP.raw[1001:]
    found = enclaves(b"x" + broken + EDP.raw[:100] + SAMPLE.raw)
    assert [each.sigstruct for each in found] == [SAMPLE]


def test_false_headers_without_end_are_a_coded_error() -> None:
    with pytest.raises(Malformed, match="10000 places"):
        enclaves(HEADER * 20_000)


def test_one_signature_many_times_is_one_enclave() -> None:
    assert len(enclaves((EDP.raw + b"between") * 100)) == 1
