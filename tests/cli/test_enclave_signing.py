"""`donjon enclave keygen`, `sign`, `digest` and `attach`, on real enclaves, and judged by OpenSSL."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.cli.calling import call
from tests.enclave import keys
from tests.enclave.vectors import EDP, FOLDER, SDK_FILE

from donjon.enclave.signature import signature_faults
from donjon.sgx.sigstruct import SigStruct

SDK, STREAM, SIG = (FOLDER / name for name in ("ita-minimal-enclave.signed.so", "edp_test_enclave.sgxs", "edp_test_enclave.sig"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_bytes(keys.pem())
    (tmp_path / "pub.pem").write_bytes(keys.signer().public_pem())
    return tmp_path / "key.pem"


def openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True).stdout


def test_a_key_is_made_once_for_its_owner_alone_and_openssl_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made = json.loads(call("enclave", "keygen", path, "-o", "json").stdout)
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    shown = openssl("pkey", "-in", path, "-noout", "-text")
    assert ("3072 bit" in shown, "publicExponent: 3 (0x3)" in shown) == (True, True)
    again = call("enclave", "keygen", path)
    assert (again.returncode, "DJ348" in again.stderr, path.read_bytes()) == (2, True, before)
    result = call("enclave", "sign", STREAM, "--key", path, "--to", tmp_path / "out.sig", "-o", "json")
    assert json.loads(result.stdout)["mrsigner"] == made["mrsigner"]
    assert list(tmp_path.glob(".*")) == []


def test_an_encrypted_key_needs_its_passphrase_from_a_file_or_the_environment(tmp_path: Path) -> None:
    path, file = tmp_path / "key.pem", tmp_path / "word"
    file.write_text("long and secret\n")
    assert call("enclave", "keygen", path, "--passphrase-file", file).returncode == 0
    assert b"ENCRYPTED" in path.read_bytes()
    command = ("enclave", "sign", SIG, "--key", path, "--date", "same", "--replace", "--to", tmp_path / "out.sig")
    assert call(*command, "--passphrase-file", file).returncode == 0
    words = {"long and secret": "", "wrong": "another passphrase"}
    for word, told in words.items():
        result = call(*command, **dict.fromkeys(["DONJON_PASSPHRASE"], word))
        assert (result.returncode, told in result.stderr) == (2 if told else 0, True)
    assert "no passphrase is said: say --passphrase-file" in call(*command).stderr
    for content in (b"\n", b"x" * 1024):
        file.write_bytes(content)
        refused = call("enclave", "keygen", tmp_path / "other.pem", "--passphrase-file", file)
        assert (refused.returncode, "expected 1 to 1023" in refused.stderr, (tmp_path / "other.pem").exists()) == (2, True, False)


def test_an_enclave_of_intels_sdk_gets_another_key_and_svn_and_its_program_stays(key: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.so"
    result = call("enclave", "sign", SDK, "--key", key, "--svn", "0x9", "--no-debug", "--date", "2026-11-30", "--to", out)
    assert result.returncode == 0
    assert "valid, Q1 and Q2 too" in result.stdout
    assert "SVN 9, signed 2026-11-30" in result.stdout
    assert call("enclave", "show", out).returncode == 0
    changed = [place for place, (old, new) in enumerate(zip(SDK_FILE, out.read_bytes(), strict=True)) if old != new]
    assert (changed[0] >= 555229, changed[-1] < 555229 + SigStruct.SIZE) == (True, True)


def test_two_steps_make_what_one_makes_to_the_byte_and_openssl_signs_and_verifies(key: Path, tmp_path: Path) -> None:
    fields = ("--product-id", "7", "--date", "2026-11-30")
    message, signature, one, two = (tmp_path / name for name in ("m", "s", "one.so", "two.so"))
    assert call("enclave", "sign", SDK, "--key", key, *fields, "--to", one).returncode == 0
    told = json.loads(call("enclave", "digest", SDK, *fields, "--to", message, "-o", "json").stdout)
    assert told["sha256"] == hashlib.sha256(message.read_bytes()).hexdigest()
    openssl("dgst", "-sha256", "-sign", key, "-out", signature, message)
    attach = ("enclave", "attach", SDK, "--message", message, "--public-key", tmp_path / "pub.pem", "--signature")
    assert call(*attach, signature, "--to", two).returncode == 0
    assert one.read_bytes() == two.read_bytes()
    sigstruct = SigStruct(two.read_bytes()[555229 : 555229 + SigStruct.SIZE])
    (tmp_path / "ours").write_bytes(sigstruct.signature[::-1])
    verify = ("dgst", "-sha256", "-verify", tmp_path / "pub.pem", "-signature", tmp_path / "ours", message)
    assert openssl(*verify).strip() == "Verified OK"
    in_lines = base64.encodebytes(signature.read_bytes())  # as base64(1) and openssl write it
    for text in (base64.b64encode(signature.read_bytes()), base64.urlsafe_b64encode(signature.read_bytes()) + b"\n", in_lines):
        (tmp_path / "text").write_bytes(text)
        assert call(*attach, tmp_path / "text", "--to", two, "--replace").returncode == 0
        assert one.read_bytes() == two.read_bytes()


def test_a_signature_of_another_message_or_key_is_refused_and_nothing_is_written(key: Path, tmp_path: Path) -> None:
    message, signature = tmp_path / "m", tmp_path / "s"
    call("enclave", "digest", SIG, "--to", message)
    openssl("dgst", "-sha256", "-sign", key, "-out", signature, key)
    attach = ("enclave", "attach", SIG, "--message", message, "--signature", signature, "--to", tmp_path / "out")
    refused = call(*attach, "--public-key", tmp_path / "pub.pem")
    assert (refused.returncode, "DJ343" in refused.stderr, (tmp_path / "out").exists()) == (1, True, False)
    assert "none of this message by this key (RSA, PKCS #1 v1.5, SHA-256" in refused.stderr
    (tmp_path / "other.pem").write_bytes(keys.other_pem())
    openssl("pkey", "-in", tmp_path / "other.pem", "-pubout", "-out", tmp_path / "otherpub.pem")
    refused = call(*attach, "--public-key", tmp_path / "otherpub.pem")
    assert (refused.returncode, "DJ340" in refused.stderr, "65537" in refused.stderr) == (2, True, True)
    refused = call("enclave", "attach", SDK, *attach[3:], "--public-key", tmp_path / "pub.pem")
    assert (refused.returncode, "DJ345" in refused.stderr) == (2, True)
    assert "name the file of which it was written" in refused.stderr
    swapped = call("enclave", "attach", SIG, "--message", signature, "--signature", message, *attach[-2:], "--public-key", key)
    assert (swapped.returncode, "message: 384 bytes, expected the 256" in swapped.stderr) == (2, True)


def test_what_a_tired_person_names_as_a_key_is_told_with_its_name_and_what_to_do(key: Path, tmp_path: Path) -> None:
    small, curve, public = tmp_path / "small.pem", tmp_path / "curve.pem", tmp_path / "pub.pem"
    openssl("genrsa", "-3", "-out", small, "2048")
    openssl("ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", curve)
    sign = ("enclave", "sign", SIG, "--to", tmp_path / "out.sig", "--key")
    told = {
        small: "RSA of 2048 bits, and EINIT takes 3072 alone; make one with donjon enclave keygen",
        curve: "no RSA key, and EINIT takes no other; make one with donjon enclave keygen",
        public: "it is a public key, expected a private key in PEM",
    }
    for path, words in told.items():
        refused = call(*sign, path)
        assert (refused.returncode, f"key {path}: {words}" in refused.stderr) == (2, True)
    away = call(*sign, tmp_path / "away.pem")
    assert (away.returncode, "away.pem: cannot be read" in away.stderr) == (3, True)
    token = call(*sign, "pkcs11:token=one")
    assert (token.returncode, "expected pkcs11:token=TOKEN;object=LABEL" in token.stderr) == (2, True)
    assert (call(*sign, key).returncode, "say --replace" in call(*sign, key).stderr) == (0, True)
    call("enclave", "digest", SIG, "--to", tmp_path / "m")
    attach = ("enclave", "attach", SIG, "--message", tmp_path / "m", "--signature", tmp_path / "m", "--to", tmp_path / "x")
    private = call(*attach, "--public-key", key)
    assert (private.returncode, f"public key {key}: it is a private key" in private.stderr) == (2, True)


@pytest.mark.parametrize(("bits", "exponent", "words"), [(3072, 65537, "keygen"), (2048, 3, "2048 bits")])
def test_a_key_that_no_processor_takes_is_refused_with_what_to_do(tmp_path: Path, bits: int, exponent: int, words: str) -> None:
    (tmp_path / "key.pem").write_bytes(keys.other_pem(bits, exponent))
    refused = call("enclave", "sign", SIG, "--key", tmp_path / "key.pem", "--to", tmp_path / "out.sig")
    assert (refused.returncode, "DJ340" in refused.stderr, words in refused.stderr) == (2, True, True)
    assert not (tmp_path / "out.sig").exists()


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content, code in ((b"no key", "DJ346"), (curve, "DJ340")):
        (tmp_path / "key.pem").write_bytes(content)
        refused = call("enclave", "sign", SIG, "--key", tmp_path / "key.pem", "--to", tmp_path / "out.sig")
        assert (refused.returncode, code in refused.stderr) == (2, True)
    for name, code, exit_code in ((tmp_path / "away.pem", "DJ347", 3), ("pkcs11:token=t", "DJ346", 2)):
        refused = call("enclave", "sign", SIG, "--key", name, "--to", tmp_path / "out.sig")
        assert (refused.returncode, code in refused.stderr) == (exit_code, True)


def test_a_file_is_replaced_where_that_is_said_alone_and_whole(key: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.so"
    own.write_bytes(SDK_FILE)
    own.chmod(0o755)
    command = ("enclave", "sign", own, "--key", key, "--to", own)
    refused = call(*command)
    assert (refused.returncode, "DJ348" in refused.stderr, own.read_bytes() == SDK_FILE) == (2, True, True)
    assert call(*command, "--replace").returncode == 0
    assert (call("enclave", "show", own).returncode, own.stat().st_mode & 0o777) == (0, 0o755)
    nowhere = call("enclave", "sign", own, "--key", key, "--to", tmp_path / "nowhere" / "out")
    assert (nowhere.returncode, "DJ349" in nowhere.stderr) == (3, True)


@pytest.mark.parametrize(
    "option",
    [
        ("--svn", "65536"),
        ("--product-id", "-1"),
        ("--flags", "x"),
        ("--family-id", "00"),
        ("--date", "today"),
        ("--date", "2026-02-30"),
    ],
)
def test_a_field_that_is_none_is_usage(key: Path, tmp_path: Path, option: tuple[str, str]) -> None:
    assert call("enclave", "sign", SIG, "--key", key, "--to", tmp_path / "out", *option).returncode == 2


def test_what_stands_in_it_stays_where_nothing_is_said(key: Path, tmp_path: Path) -> None:
    assert call("enclave", "sign", SIG, "--key", key, "--date", "same", "--to", tmp_path / "out.sig").returncode == 0
    whole = SigStruct((tmp_path / "out.sig").read_bytes())
    assert (whole.message, list(signature_faults(whole))) == (EDP.message, [])


def test_an_enclave_that_was_changed_after_it_was_signed_is_not_signed(key: Path, tmp_path: Path) -> None:
    (tmp_path / "changed.so").write_bytes(SDK_FILE[:0x2000] + b"\xcc" + SDK_FILE[0x2001:])
    refused = call("enclave", "sign", tmp_path / "changed.so", "--key", key, "--to", tmp_path / "out.so")
    assert (refused.returncode, "DJ305" in refused.stderr) == (1, True)
