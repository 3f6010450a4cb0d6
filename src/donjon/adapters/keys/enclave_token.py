"""A key that signs enclaves, in a PKCS#11 token: it is made there, signs there, and never leaves it.

Source: PKCS #11 Specification 3.1, section 6.1 (CKM_SHA256_RSA_PKCS, CKA_PUBLIC_EXPONENT).
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error

from donjon.adapters import files
from donjon.adapters.keys.places import TokenPlace
from donjon.enclave.signature import check_key
from donjon.errors import Misconfigured, Unavailable
from donjon.sgx.sigstruct import EXPONENT, MODULUS_SIZE

_MAX_PIN = 4096  # bytes
_ID = 8  # bytes
_PRIVATE = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A private key with that label in a token, and the modulus of its public half."""

    modulus: int
    _place: TokenPlace

    def sign(self, message: bytes) -> bytes:
        """The signature, the highest byte first; raises `Unavailable` DJ347."""
        with _session(self._place) as session:
            return bytes(_one(session, self._place, ObjectClass.PRIVATE_KEY).sign(message, mechanism=Mechanism.SHA256_RSA_PKCS))


def open_token_key(place: TokenPlace) -> TokenSigner:
    """The key of that label; raises `Misconfigured` DJ340 and DJ346, and `Unavailable` DJ347."""
    with _session(place) as session:
        public = _one(session, place, ObjectClass.PUBLIC_KEY)
        modulus, exponent = (int.from_bytes(public[each]) for each in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT))
    return TokenSigner(check_key(modulus, exponent, f"key {place}"), place)


def make_token_key(place: TokenPlace) -> TokenSigner:
    """A new key pair in the token; raises `Misconfigured` DJ348 where the label is in use, and as `open_token_key` does."""
    with _session(place, rw=True) as session:
        if _count(session, place):
            raise Misconfigured("DJ348", f"key {place}: there is one with this label; it is left as it is")
        session.generate_keypair(
            KeyType.RSA,
            8 * MODULUS_SIZE,
            id=secrets.token_bytes(_ID),
            label=place.ring,
            store=True,
            private_template=_PRIVATE,
            public_template={Attribute.PUBLIC_EXPONENT: EXPONENT.to_bytes(3)},
        )
    return open_token_key(place)


@contextmanager
def _session(place: TokenPlace, *, rw: bool = False) -> Iterator[pkcs11.Session]:
    try:
        pin = files.read(place.pin, _MAX_PIN).decode("utf-8").strip()
        token = pkcs11.lib(str(place.module)).get_token(token_label=place.token)
        with _open(token, pin, rw=rw) as session:
            yield session
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        raise Unavailable("DJ347", f"key {place}: {error}") from error
    except PKCS11Error as error:
        raise Unavailable("DJ347", f"key {place}: {type(error).__name__} {error}".rstrip()) from error


def _open(token: pkcs11.Token, pin: str, *, rw: bool) -> pkcs11.Session:
    try:
        return token.open(rw=rw, user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:  # Somebody else of this process is in the same token.
        return token.open(rw=rw)


def _template(place: TokenPlace, kind: ObjectClass) -> dict[Attribute, object]:
    return {Attribute.CLASS: kind, Attribute.LABEL: place.ring}


def _count(session: pkcs11.Session, place: TokenPlace) -> int:
    return sum(
        1 for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY) for _ in session.get_objects(_template(place, kind))
    )


def _one(session: pkcs11.Session, place: TokenPlace, kind: ObjectClass) -> Any:
    there = list(session.get_objects(_template(place, kind)))
    if len(there) != 1:
        raise Misconfigured("DJ346", f"key {place}: {len(there)} objects of class {kind.name} have this label, expected 1")
    return there[0]
