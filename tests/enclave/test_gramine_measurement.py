"""Enclaves of Gramine: MRENCLAVE as Gramine's own signer worked it out of the same libpal.so and manifest."""

import tomllib
from pathlib import Path

import pytest

from donjon.enclave.gramine_measurement import V1_9, GramineEnclave, measure_gramine, read_offsets
from donjon.errors import Malformed
from donjon.sgx.sigstruct import SigStruct

FOLDER = Path(__file__).parents[2] / "vectors" / "gramine"
PAL = (FOLDER / "standin-libpal.so").read_bytes()
OFFSETS = (FOLDER / "offsets.txt").read_text()
MIB = 1 << 20


def enclave_of(manifest: bytes) -> GramineEnclave:
    sgx = tomllib.loads(manifest.decode())["sgx"]
    size = int(sgx["enclave_size"].removesuffix("M")) * MIB
    return GramineEnclave(size=size, threads=sgx["max_threads"], edmm=sgx.get("edmm_enable", False))


@pytest.mark.parametrize("name", ["plain", "edmm", "features"])
def test_the_measurement_is_that_of_gramines_signer(name: str) -> None:
    manifest = (FOLDER / f"{name}.manifest.sgx").read_bytes()
    sigstruct = SigStruct((FOLDER / f"{name}.sigstruct").read_bytes())
    assert measure_gramine(manifest, PAL, enclave_of(manifest)).hex() == sigstruct.mr_enclave.hex()


def test_what_a_build_wrote_down_is_what_we_know_of_that_version() -> None:
    assert dict(read_offsets(OFFSETS)) == dict(V1_9)


def test_another_place_in_a_threads_own_page_makes_another_measurement() -> None:
    manifest = (FOLDER / "plain.manifest.sgx").read_bytes()
    moved = read_offsets(OFFSETS.replace("SGX_HEAP_MAX = 0x1b0", "SGX_HEAP_MAX = 0x1b8"))
    enclave = enclave_of(manifest)
    assert measure_gramine(manifest, PAL, enclave, moved) != measure_gramine(manifest, PAL, enclave)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("SGX_HEAP_MAX = 0x1b0\n", ""),
        ("SGX_HEAP_MAX = 0x1b0", "SGX_HEAP_MAX = 0x1000"),
        ("SSA_FRAME_NUM = 0x2", "SSA_FRAME_NUM = 0x0"),
        ("ENCLAVE_STACK_SIZE = 0x40000", "ENCLAVE_STACK_SIZE = 0x40001"),
        ("ENCLAVE_STACK_SIZE = 0x40000", "ENCLAVE_STACK_SIZE = 0xffffffffffff0000"),
    ],
)
def test_offsets_that_no_build_has_are_refused(line: str, other: str) -> None:
    assert line in OFFSETS
    with pytest.raises(Malformed, match="DJ398"):
        read_offsets(OFFSETS.replace(line, other))


def test_a_libpal_with_an_address_of_its_own_is_refused() -> None:
    """Gramine's signer would take it, and count its entry from there once more; no build of Gramine makes one."""
    manifest = (FOLDER / "plain.manifest.sgx").read_bytes()
    offset = int.from_bytes(PAL[32:40], "little")  # of the program headers, 56 bytes each
    moved = bytearray(PAL)
    for at in range(offset, offset + 4 * 56, 56):
        moved[at + 16 + 2] |= 0x40  # their addresses
    with pytest.raises(Malformed, match="0x400000"):
        measure_gramine(manifest, bytes(moved), enclave_of(manifest))


@pytest.mark.parametrize(
    "enclave",
    [
        GramineEnclave(size=3 * MIB, threads=1, edmm=False),
        GramineEnclave(size=2 * MIB, threads=16, edmm=False),
        GramineEnclave(size=MIB, threads=0, edmm=False),
        GramineEnclave(size=1 << 50, threads=1, edmm=True),
    ],
)
def test_an_enclave_that_cannot_be_is_refused(enclave: GramineEnclave) -> None:
    with pytest.raises(Malformed, match="DJ398"):
        measure_gramine(b"", PAL, enclave)


def test_a_libpal_that_would_take_minutes_to_hash_is_refused() -> None:
    offset = int.from_bytes(PAL[32:40], "little") + 56 * (int.from_bytes(PAL[56:58], "little") - 1)
    headers = [offset - 56 * number for number in range(int.from_bytes(PAL[56:58], "little"))]
    last = max(
        (at for at in headers if PAL[at : at + 4] == b"\1\0\0\0"), key=lambda at: int.from_bytes(PAL[at + 16 : at + 24], "little")
    )
    large = PAL[: last + 40] + (1 << 36).to_bytes(8, "little") + PAL[last + 48 :]
    with pytest.raises(Malformed, match="more than 524288 pages"):
        measure_gramine(b"", large, GramineEnclave(size=1 << 40, threads=1, edmm=True))
