"""What `donjon enclave keygen`, `sign`, `digest` and `attach` do: files in, a key that signs, one file out."""

import base64
import binascii
import hashlib
from datetime import date
from pathlib import Path

from donjon.adapters import clock, files
from donjon.adapters.keys.enclave import MAX_PEM, fresh_enclave_key, parse_enclave_key, parse_public_key
from donjon.cli.enclave.keys import is_elsewhere, make_elsewhere, open_signer, passphrase
from donjon.cli.enclave.signing import SAME, Destination, FieldOptions
from donjon.cli.files import content, display_name, within
from donjon.cli.terminal import say, say_finding, say_json
from donjon.enclave import signing
from donjon.enclave.description import document, lines
from donjon.enclave.lint import lint
from donjon.enclave.search import Enclave, enclaves
from donjon.enclave.signable import Signable, check_measured, put_back, redraft, signable
from donjon.enclave.signing import MESSAGE_SIZE, SigstructFields, complete, parse_message
from donjon.errors import EXIT_YES, Misconfigured, Unavailable
from donjon.findings import Finding
from donjon.formats.json import Json
from donjon.sgx.sigstruct import MODULUS_SIZE, SigStruct

MAX_FILE = 1 << 30  # bytes
MAX_SIGNATURE = 4096  # bytes of base64
_SECRET, _PROGRAM, _DATA = 0o600, 0o777, 0o644


def keygen(key: str, passphrase_file: Path | None, form: str) -> None:
    """Make a key and print its MRSIGNER."""
    if is_elsewhere(key):
        modulus = make_elsewhere(key).modulus
    else:
        text = fresh_enclave_key(word := passphrase(passphrase_file))
        modulus = parse_enclave_key(text, word).modulus
        _write(Path(key), text, _SECRET, replace=False)
    mr_signer = hashlib.sha256(modulus.to_bytes(MODULUS_SIZE, "little")).hexdigest()
    if form == "json":
        say_json({"key": key, "mrsigner": mr_signer})
    else:
        say(f"{key}: RSA of 3072 bits, e = 3")
        say(f"  MRSIGNER {mr_signer}")


def sign(file: str, fields: FieldOptions, out: Destination, key: str, passphrase_file: Path | None) -> int:
    """Sign with a key that is at hand, or answers; 0 once it is written."""
    signer = open_signer(key, passphrase_file)
    subject = _subject(file)
    with within(file):
        draft = redraft(subject, _fields(fields))
    return _finish(file, subject, signing.sign(draft, signer), out)


def digest(file: str, fields: FieldOptions, out: Destination) -> int:
    """Write the message that is to be signed elsewhere; 0 once it is written."""
    subject = _subject(file)
    with within(file):
        draft = redraft(subject, _fields(fields))
    _write(out.target, draft.message, _DATA, replace=out.replace)
    hashed, mr_enclave = hashlib.sha256(draft.message).hexdigest(), draft.sigstruct.mr_enclave.hex()
    if out.form == "json":
        say_json({"message": str(out.target), "sha256": hashed, "mrenclave": mr_enclave})
    else:
        say(f"{out.target}: {MESSAGE_SIZE} bytes to be signed: RSA, PKCS #1 v1.5, SHA-256, e = 3")
        say(f"  SHA-256   {hashed}")
        say(f"  MRENCLAVE {mr_enclave}")
    return EXIT_YES


def attach(file: str, message: str, signature: str, public_key: str, out: Destination) -> int:
    """Put in a signature that was made elsewhere; 0 once it is written."""
    subject = _subject(file)
    draft = parse_message(content(message, MAX_SIGNATURE))
    check_measured(subject, draft)
    octets = _signature(content(signature, MAX_SIGNATURE))
    whole = complete(draft, parse_public_key(content(public_key, MAX_PEM), f"public key {public_key}"), octets)
    return _finish(file, subject, whole, out)


def _subject(file: str) -> Signable:
    data = content(file, MAX_FILE)
    with within(file):
        return signable(data)


def _fields(options: FieldOptions) -> SigstructFields:
    day = clock.moment().date() if options["date"] is None else options["date"]
    return SigstructFields(
        day=None if day == SAME else day if isinstance(day, date) else None,
        vendor=options["vendor"],
        software_defined=options["software_defined"],
        product_id=options["product_id"],
        svn=options["svn"],
        family_id=options["family_id"],
        ext_product_id=options["extended_product_id"],
        debug=options["debug"],
        flags=options["flags"],
        flags_mask=options["flags_mask"],
        xfrm=options["xfrm"],
        xfrm_mask=options["xfrm_mask"],
        misc_select=options["misc_select"],
        misc_mask=options["misc_mask"],
    )


def _signature(octets: bytes) -> bytes:
    """A signature as it is, or in base64 as services of keys write it, in lines or not."""
    if len(octets) == MODULUS_SIZE:
        return octets
    try:
        text = b"".join(octets.split()).translate(bytes.maketrans(b"-_", b"+/"))
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return octets  # Its length is told where it is checked.


def _finish(file: str, subject: Signable, whole: SigStruct, out: Destination) -> int:
    """Write it, read again what is written, and say what it is."""
    octets = put_back(subject, whole)
    enclave = enclaves(octets)[0]
    assert enclave.sigstruct == whole, "what is read again is what was put in"
    findings = lint(str(out.target), whole, clock.moment().date())
    _write(out.target, octets, _mode(file, subject), replace=out.replace)
    _print(file, enclave, findings, out)
    return EXIT_YES


def _mode(file: str, subject: Signable) -> int:
    path = Path(file)
    return path.stat().st_mode & _PROGRAM if not subject.alone and path.exists() else _DATA


def _write(target: Path, octets: bytes, mode: int, *, replace: bool) -> None:
    try:
        files.write_whole(target, octets, mode, replace=replace)
    except FileExistsError as error:
        do = "name another one" if mode == _SECRET else "name another one, or say --replace"
        raise Misconfigured("DJ348", f"{target}: there is such a file, and it is left as it is; {do}") from error
    except OSError as error:
        raise Unavailable("DJ349", f"{target}: cannot be written: {error.strerror or error}") from error


def _print(file: str, enclave: Enclave, findings: tuple[Finding, ...], out: Destination) -> None:
    if out.form == "json":
        items: list[Json] = [{**each.as_dict()} for each in findings]
        say_json({"file": str(out.target), **document(enclave), "findings": items})
        return
    say(f"{out.target}: the enclave of {display_name(file)}, signed")
    for label, value in lines(enclave):
        say(f"  {label:<13} {value}")
    for finding in findings:
        say_finding(finding, before="  ")
