"""Signing keys in a PKCS#11 token: private keys are made there, sign there, and never leave it.

A ring is the certificates with its label, and the private keys with the same CKA_ID; one without certificate is just being made.
A session that broke is opened again, once for each signature. Source: PKCS #11 Specification 3.1, sections 4 and 6.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import Any, TypeVar

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, CertificateType, KeyType, Mechanism, ObjectClass, PKCS11Error
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

from donjon.adapters import files
from donjon.adapters.keys import absent, rings, signing
from donjon.adapters.keys.absent import AbsentEc, AbsentRsa
from donjon.adapters.keys.places import TokenPlace
from donjon.errors import Misconfigured, Unavailable
from donjon.signing.ring import MAX_KEYS, DatedKey, Order
from donjon.signing.signer import Algorithm

T = TypeVar("T")

_ID = 8  # bytes
_MAX_PIN = 4096  # bytes
_PRIVATE = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}


class HsmStore:
    """The store that is one label in a PKCS#11 token."""

    def __init__(self, place: TokenPlace) -> None:
        self._place = place
        self._session: pkcs11.Session | None = None
        self._privates: dict[bytes, Any] = {}  # of the session
        self._last_stamp: frozenset[tuple[bytes, bytes]] = frozenset()
        self._wrong_pin = ""  # one that the token did not take: tokens lock themselves after a few
        self._lock = RLock()

    def __str__(self) -> str:
        return str(self._place)

    async def read(self) -> tuple[DatedKey, ...] | None:
        """All keys, where certificates have come or gone."""
        return await asyncio.to_thread(self._with_session, self._read, "DJ542")

    async def read_all(self) -> tuple[DatedKey, ...]:
        """All keys, changed or not."""
        self._last_stamp = frozenset()
        return await self.read() or ()

    async def make(self, order: Order) -> DatedKey:
        """A new key pair, made in the token, and its certificate there."""
        return await asyncio.to_thread(self._with_session, lambda session: self._make(session, order), "DJ544")

    async def drop(self, name: str) -> None:
        """Destroy the key, its public half and its certificate."""
        own = {Attribute.ID: bytes.fromhex(name), Attribute.LABEL: self._place.ring}

        def destroy(session: pkcs11.Session) -> None:
            for each in list(session.get_objects(own)):
                each.destroy()

        await asyncio.to_thread(self._with_session, destroy, "DJ544")

    def _with_session(self, ask: Callable[[pkcs11.Session], T], code: str) -> T:
        """What the token answers, in a new session where the one that there was does not."""
        with self._lock:
            try:
                if self._session is not None:
                    return ask(self._session)
            except PKCS11Error:
                self._close()
            try:
                self._session = self._open()
                return ask(self._session)
            except PKCS11Error as error:
                self._close()
                raise Unavailable(code, f"signing keys: {self._place}: {type(error).__name__} {error}".rstrip()) from error

    def _open(self) -> pkcs11.Session:
        try:
            pin = files.read(self._place.pin, _MAX_PIN).decode("utf-8").strip()
            token = pkcs11.lib(str(self._place.module)).get_token(token_label=self._place.token)
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable("DJ542", f"signing keys: {self._place.pin}: {error}") from error
        if pin == self._wrong_pin:
            raise Unavailable("DJ542", f"signing keys: {self._place}: the PIN in {self._place.pin} was refused; expected another")
        try:
            return token.open(rw=True, user_pin=pin)
        except pkcs11.PinIncorrect:
            self._wrong_pin = pin
            raise
        except pkcs11.UserAlreadyLoggedIn:  # Another ring of this process is in the same token.
            return token.open(rw=True)

    def _close(self) -> None:
        session, self._session = self._session, None
        self._privates.clear()
        self._last_stamp = frozenset()
        try:
            if session is not None:
                session.close()
        except PKCS11Error:
            return  # It broke: there is nothing to close.

    def _read(self, session: pkcs11.Session) -> tuple[DatedKey, ...] | None:
        template = {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.LABEL: self._place.ring}
        certificates = [(each[Attribute.ID], each[Attribute.VALUE]) for each in session.get_objects(template)]
        stamp = frozenset(certificates)
        if stamp == self._last_stamp and certificates:
            return None
        if len(certificates) > MAX_KEYS:
            rings.check_number(len(certificates), str(self))
        keys = tuple(self._load_key(key, certificate) for key, certificate in sorted(certificates))
        rings.check_names(keys, str(self))
        self._last_stamp = stamp
        return keys

    def _load_key(self, key: bytes, certificate: bytes) -> DatedKey:
        """A key that has shown that it is the certificate's."""
        try:
            private = self._key(key, signing.public_of(certificate))
            signer = signing.make_signer(private, certificate)
            absent.prove(private)
        except Misconfigured as error:
            raise Misconfigured(error.code, f"{self._place}: {key.hex()}: {error.message}") from error
        return signer.with_window(key.hex())

    def _key(self, key: bytes, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> AbsentRsa | AbsentEc:
        def ask(mechanism: Mechanism, data: bytes) -> bytes:
            return self._with_session(lambda session: bytes(self._private(session, key).sign(data, mechanism=mechanism)), "DJ543")

        if isinstance(public, rsa.RSAPublicKey):
            return AbsentRsa(public, partial(ask, Mechanism.SHA256_RSA_PKCS))
        return AbsentEc(public, partial(ask, Mechanism.ECDSA))

    def _private(self, session: pkcs11.Session, key: bytes) -> Any:
        if (handle := self._privates.get(key)) is not None:
            return handle
        template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: key, Attribute.LABEL: self._place.ring}
        handles = list(session.get_objects(template))
        if len(handles) != 1:
            raise Misconfigured("DJ540", f"{len(handles)} private keys, expected the certificate's one")
        self._privates[key] = handles[0]
        return handles[0]

    def _make(self, session: pkcs11.Session, order: Order) -> DatedKey:
        key = secrets.token_bytes(_ID)
        public, private = self._pair(session, order.algorithm, key)
        try:
            signing_key = self._key(key, public)
            certificate = signing.issue_certificate(signing_key, order)
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.CERTIFICATE,
                    Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
                    Attribute.TOKEN: True,
                    Attribute.ID: key,
                    Attribute.LABEL: self._place.ring,
                    Attribute.SUBJECT: signing.subject_of(certificate),
                    Attribute.VALUE: certificate,
                }
            )
        except PKCS11Error:
            private.destroy()
            raise
        return signing.make_signer(signing_key, certificate).with_window(key.hex())

    def _pair(
        self, session: pkcs11.Session, algorithm: Algorithm, key: bytes
    ) -> tuple[rsa.RSAPublicKey | ec.EllipticCurvePublicKey, pkcs11.PrivateKey]:
        attributes: dict[str, Any] = {"id": key, "label": self._place.ring, "store": True, "private_template": _PRIVATE}
        if algorithm is Algorithm.RS256:
            public, private = session.generate_keypair(KeyType.RSA, signing.RSA_BITS, **attributes)
            text = encode_rsa_public_key(public)
        else:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            public, private = session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**attributes)
            text = encode_ec_public_key(public)
        public_key = load_der_public_key(text)
        assert isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        return public_key, private
