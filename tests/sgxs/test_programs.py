"""Fortanix's own programs, sgxs-sign and sgxs-info, as they publish them: `make sgxs-tools`, for they take minutes to build."""

import subprocess
from pathlib import Path

import pytest
from tests.cli.calling import call
from tests.conformance import kits
from tests.enclave import keys
from tests.enclave.vectors import EDP, FOLDER

from donjon.sgx.sigstruct import SigStruct

STREAM = FOLDER / "edp_test_enclave.sgxs"
LIKE_THEIRS = ("--flags-mask", "0xfffffffffffffffd", "--date", "2026-11-30", "--product-id", "7", "--svn", "3")


@pytest.fixture(scope="module")
def programs() -> Path:
    return kits.home(kits.SGXS_TOOLS) / "bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A key, and a SIGSTRUCT of ours."""
    (tmp_path / "key.pem").write_bytes(keys.pem())
    (tmp_path / "pub.pem").write_bytes(keys.signer().public_pem())
    signed = call("enclave", "sign", STREAM, "--key", tmp_path / "key.pem", *LIKE_THEIRS, "--to", tmp_path / "ours.sig")
    assert signed.returncode == 0
    return tmp_path


def sign(programs: Path, folder: Path, output: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [programs / "sgxs-sign", "--key", folder / "key.pem", "--date", "20261130", *words, STREAM, folder / output]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_sgxs_sign_and_we_sign_with_the_same_bytes(programs: Path, folder: Path) -> None:
    made = sign(programs, folder, "theirs.sig", "--isvprodid", "7", "--isvsvn", "3")
    assert (made.returncode, EDP.mr_enclave.hex() in made.stdout) == (0, True)
    assert (folder / "theirs.sig").read_bytes() == (folder / "ours.sig").read_bytes()
    assert call("enclave", "show", folder / "theirs.sig").returncode == 0


@pytest.mark.parametrize(("place", "code"), [(None, 0), (1026, 101), (516, 101), (960, 101)])
def test_sgxs_sign_verifies_ours_and_refuses_what_was_changed(programs: Path, folder: Path, place: int | None, code: int) -> None:
    raw = bytearray((folder / "ours.sig").read_bytes())
    if place is not None:
        raw[place] ^= 1
    (folder / "out.sig").write_bytes(raw)
    assert sign(programs, folder, "out.sig", "--resign-verify", folder / "pub.pem").returncode == code


def test_sgxs_info_reads_the_stream_whose_measurement_we_sign(programs: Path, folder: Path) -> None:
    told = subprocess.run([programs / "sgxs-info", "summary", STREAM], check=True, capture_output=True, text=True).stdout
    assert told.count("Tcs") == 1
    assert SigStruct((folder / "ours.sig").read_bytes()).mr_enclave == EDP.mr_enclave
