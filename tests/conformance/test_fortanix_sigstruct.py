"""Fortanix's own code for SIGSTRUCT takes ours, and we take theirs; where it can say the same, both say it to the byte.

Live: `sgxs/src/main.rs`, with the library of which sgxs-sign is made. Recorded: sgxs-sign 0.10.0 itself (`make sgxs-tools`).
"""

import subprocess
from datetime import date
from pathlib import Path

import pytest
from tests.cli.calling import call
from tests.conformance import kits
from tests.enclave import keys
from tests.enclave.vectors import FOLDER, OPEN_ENCLAVE_FILE, SDK_FILE

from donjon.adapters.keys.enclave import parse_public_key
from donjon.enclave.search import enclaves
from donjon.enclave.signature import signature_faults
from donjon.enclave.signing import SigstructFields, blank, change, complete
from donjon.sgx.sigstruct import SigStruct

STREAM, RECORDED = FOLDER / "edp_test_enclave.sgxs", FOLDER.parent / "sgxs-tools"
LIKE_THEIRS = ("--flags-mask", "0xfffffffffffffffd", "--date", "2026-11-30", "--product-id", "7", "--svn", "3")
"""Their defaults: DEBUG is held to nothing."""


@pytest.fixture(scope="module")
def program() -> Path:
    return kits.home(kits.SIGSTRUCTS) / "sigstructs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_bytes(keys.pem())
    (tmp_path / "pub.pem").write_bytes(keys.signer().public_pem())
    return tmp_path


def theirs(program: Path, *words: str | Path) -> str:
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout.strip()


def test_their_library_and_we_sign_a_stream_with_the_same_bytes(program: Path, folder: Path) -> None:
    theirs(program, "sign", folder / "key.pem", STREAM, folder / "theirs.sig", "7", "3")
    assert call("enclave", "sign", STREAM, "--key", folder / "key.pem", *LIKE_THEIRS, "--to", folder / "ours.sig").returncode == 0
    assert (folder / "ours.sig").read_bytes() == (folder / "theirs.sig").read_bytes()
    assert call("enclave", "show", folder / "theirs.sig").returncode == 0


@pytest.mark.parametrize("content", [STREAM.read_bytes(), SDK_FILE, OPEN_ENCLAVE_FILE], ids=["edp", "intel", "open enclave"])
def test_their_library_verifies_what_we_sign_and_reads_its_fields(program: Path, folder: Path, content: bytes) -> None:
    (folder / "enclave").write_bytes(content)
    command = ("enclave", "sign", folder / "enclave", "--key", folder / "key.pem", "--date", "2026-11-30", "--to", folder / "out")
    assert call(*command).returncode == 0
    (enclave,) = enclaves((folder / "out").read_bytes())
    sigstruct = enclave.sigstruct
    assert sigstruct is not None
    (folder / "sigstruct").write_bytes(sigstruct.raw)
    verdict, day, product, svn, *_ = theirs(program, "verify", folder / "pub.pem", folder / "sigstruct").split()
    assert (verdict, day, product, svn) == ("true", "20261130", str(sigstruct.isv_prod_id), str(sigstruct.isv_svn))


@pytest.mark.parametrize("place", [20, 516, 900, 960, 1026])
def test_their_library_and_we_refuse_the_same_change(program: Path, folder: Path, place: int) -> None:
    raw = bytearray((RECORDED / "ours.sig").read_bytes())
    raw[place] ^= 1
    (folder / "changed").write_bytes(raw)
    assert theirs(program, "verify", RECORDED / "pub.pem", folder / "changed").startswith("false")
    assert list(signature_faults(SigStruct(bytes(raw)))) != []


DAY = date(2026, 11, 30)
FIELDS = {
    "theirs.sig": SigstructFields(day=DAY, flags_mask=(1 << 64) - 3, product_id=7, svn=3),
    "theirs_debug.sig": SigstructFields(
        day=DAY,
        product_id=0x102,
        svn=65535,
        flags=0x86,
        flags_mask=(1 << 64) - 3,
        xfrm=0xE7,
        xfrm_mask=((1 << 64) - 1) ^ 0xE4,
        misc_select=1,
        software_defined=5,
    ),
}
"""What sgxs-sign was told (vectors/PROVENANCE.md)."""


@pytest.mark.parametrize("name", FIELDS)
def test_what_their_program_signed_is_made_again_to_the_byte(name: str) -> None:
    recorded = SigStruct((RECORDED / name).read_bytes())
    (stream,) = enclaves(STREAM.read_bytes())
    assert stream.measurement is not None
    draft = change(blank(stream.measurement), FIELDS[name])
    modulus = parse_public_key((RECORDED / "pub.pem").read_bytes())
    assert complete(draft, modulus, recorded.signature[::-1]).raw == recorded.raw
