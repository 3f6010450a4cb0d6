"""A key that signs enclaves, in a PKCS#11 token, of SoftHSM: it is made with e = 3 there, and signs there."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import KeyType
from tests.adapters.softhsm import ENCLAVES, MODULE, PIN, SoftHsm
from tests.cli.calling import call
from tests.enclave.vectors import EDP, FOLDER

from donjon.enclave.signature import signature_faults
from donjon.sgx.sigstruct import SigStruct

SIG = FOLDER / "edp_test_enclave.sig"


@pytest.fixture(name="hsm")
def _hsm(hsm: SoftHsm) -> SoftHsm:
    return replace(hsm, token=ENCLAVES)


def test_a_key_that_was_made_in_the_token_signs_an_enclave_there(hsm: SoftHsm, tmp_path: Path) -> None:
    key, out = hsm.text(), tmp_path / "out.sig"
    made = json.loads(call("enclave", "keygen", key, "-o", "json").stdout)
    assert call("enclave", "sign", SIG, "--key", key, "--date", "same", "--to", out).returncode == 0
    whole = SigStruct(out.read_bytes())
    assert (whole.message, list(signature_faults(whole))) == (EDP.message, [])
    assert made["mrsigner"] == hashlib.sha256(whole.modulus).hexdigest() == whole.mr_signer.hex()
    again = call("enclave", "keygen", key)
    assert (again.returncode, "DJ348" in again.stderr) == (2, True)


def test_a_key_of_the_usual_exponent_is_refused_with_what_to_do(hsm: SoftHsm, tmp_path: Path) -> None:
    place = hsm.place()
    with pkcs11.lib(MODULE).get_token(token_label=ENCLAVES).open(rw=True, user_pin=PIN) as session:
        session.generate_keypair(KeyType.RSA, 3072, label=place.ring, store=True)
    refused = call("enclave", "sign", SIG, "--key", hsm.text(place.ring), "--to", tmp_path / "out.sig")
    assert (refused.returncode, "exponent is 65537" in refused.stderr, "keygen" in refused.stderr) == (2, True, True)


@pytest.mark.parametrize("part", ["token", "module", "pin"])
def test_a_token_that_is_away_or_closed_is_told(hsm: SoftHsm, tmp_path: Path, part: str) -> None:
    (tmp_path / "pin").write_text("1234")
    wrong = {"token": "another", "module": str(tmp_path / "away.so"), "pin": str(tmp_path / "pin")}
    refused = call("enclave", "sign", SIG, "--key", hsm.text(**{part: wrong[part]}), "--to", tmp_path / "out.sig")
    assert (refused.returncode, "DJ347" in refused.stderr) == (3, True)


def test_a_label_without_a_key_is_told(hsm: SoftHsm, tmp_path: Path) -> None:
    refused = call("enclave", "sign", SIG, "--key", hsm.text(), "--to", tmp_path / "out.sig")
    assert (refused.returncode, "0 objects of class PUBLIC_KEY" in refused.stderr) == (2, True)
