"""Where the key of `donjon enclave sign` is, and how it is opened: a file in PEM, a PKCS#11 token, a Managed HSM of Azure."""

import os
from pathlib import Path
from typing import cast

from donjon.adapters import clock, files
from donjon.adapters.keys import places
from donjon.adapters.keys.enclave import MAX_PEM, parse_enclave_key
from donjon.adapters.keys.places import PKCS11, TokenPlace
from donjon.cli.options import work
from donjon.enclave.signing import EnclaveSigner
from donjon.errors import Misconfigured, Unavailable

PASSPHRASE = "DONJON_PASSPHRASE"  # noqa: S105 - the variable's name.
MAX_PASSPHRASE = 1023  # bytes: of OpenSSL
AZURE = "https://"
_FORM = "pkcs11:token=TOKEN;object=LABEL?module-path=/PATH/MODULE.so&pin-source=/PATH/PIN"
_TOKEN, _HSM = "donjon.adapters.keys.enclave_token", "donjon.adapters.azure.managed_hsm"


def open_signer(key: str, passphrase_file: Path | None) -> EnclaveSigner:
    """The key of that name; raises `Misconfigured` DJ340 and DJ346, and `Unavailable` DJ347."""
    if key.startswith(PKCS11):
        return cast("EnclaveSigner", work(_TOKEN, "pkcs11").open_token_key(_place(key)))
    if key.startswith(AZURE):
        return cast("EnclaveSigner", work(_HSM, "azure").open_hsm_key(key, clock.pause))
    return parse_enclave_key(_read(Path(key), MAX_PEM), passphrase(passphrase_file), f"key {key}")


def is_elsewhere(key: str) -> bool:
    """Whether a key is in a token or a Managed HSM, by its name."""
    return key.startswith((PKCS11, AZURE))


def make_elsewhere(key: str) -> EnclaveSigner:
    """A new key in a token or a Managed HSM; raises as `open_signer` does, and `Misconfigured` DJ348 where its name is in use."""
    if key.startswith(AZURE):
        return cast("EnclaveSigner", work(_HSM, "azure").make_hsm_key(key, clock.pause))
    return cast("EnclaveSigner", work(_TOKEN, "pkcs11").make_token_key(_place(key)))


def passphrase(file: Path | None) -> bytes | None:
    """What a file or the environment says; `None` where neither does. Raises `Misconfigured` DJ346."""
    if file is None and not os.environ.get(PASSPHRASE):
        return None
    word = os.environb[PASSPHRASE.encode()] if file is None else _read(file, MAX_PASSPHRASE + 2).rstrip(b"\r\n")
    if not 0 < len(word) <= MAX_PASSPHRASE:
        raise Misconfigured("DJ346", f"passphrase: {len(word)} bytes, expected 1 to {MAX_PASSPHRASE}")
    return word


def _read(path: Path, bound: int) -> bytes:
    try:
        return files.read(path, bound)
    except OSError as error:
        raise Unavailable("DJ347", f"key {path}: cannot be read: {error.strerror}") from error


def _place(key: str) -> TokenPlace:
    try:
        place = places.parse(key)
    except ValueError as error:
        raise Misconfigured("DJ346", f"key {key}: expected {_FORM}; quote it, for the shell reads ; and &") from error
    assert isinstance(place, TokenPlace)
    return place
