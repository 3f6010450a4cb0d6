"""Private keys that are elsewhere, in the form in which the library takes keys: they show their public half, and sign.

Nothing else can be had of them; RSA signs with PKCS #1 v1.5, and both sign SHA-256, as tokens need it (RFC 7518).
"""

import hashlib
from collections.abc import Callable
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from donjon.errors import Misconfigured

_PROBE = b"donjon: whether this key is its certificate's"
_HALF = 32  # bytes of r and of s


class AbsentRsa(rsa.RSAPrivateKey):
    """`ask` signs a message, SHA-256 and padding included."""

    def __init__(self, public: rsa.RSAPublicKey, ask: Callable[[bytes], bytes]) -> None:
        self._public, self._ask = public, ask

    @property
    def key_size(self) -> int:
        """In bits."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self._public

    def sign(self, data: Any, padding: object, algorithm: object) -> bytes:
        """The signature."""
        assert isinstance(padding, PKCS1v15)
        assert isinstance(algorithm, SHA256)
        return self._ask(bytes(data))

    def decrypt(self, *_: object) -> NoReturn:
        """Always raises: the key only signs."""
        raise NotImplementedError

    def private_numbers(self) -> NoReturn:
        """Always raises: the private numbers are elsewhere."""
        raise NotImplementedError

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """Always raises: the private bytes are elsewhere."""
        raise NotImplementedError

    def __copy__(self) -> "AbsentRsa":
        return self

    def __deepcopy__(self, _: object) -> "AbsentRsa":
        return self


class AbsentEc(ec.EllipticCurvePrivateKey):
    """`ask` signs a digest of 32 bytes, and answers r and s."""

    def __init__(self, public: ec.EllipticCurvePublicKey, ask: Callable[[bytes], bytes]) -> None:
        self._public, self._ask = public, ask

    @property
    def key_size(self) -> int:
        """In bits."""
        return self._public.key_size

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public.curve

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    def sign(self, data: Any, signature_algorithm: object) -> bytes:
        """The signature in DER."""
        assert isinstance(signature_algorithm, ec.ECDSA)
        assert isinstance(signature_algorithm.algorithm, SHA256)
        raw_signature = self._ask(hashlib.sha256(data).digest())
        return encode_dss_signature(int.from_bytes(raw_signature[:_HALF]), int.from_bytes(raw_signature[_HALF:]))

    def exchange(self, *_: object) -> NoReturn:
        """Always raises: the key only signs."""
        raise NotImplementedError

    def private_numbers(self) -> NoReturn:
        """Always raises: the private numbers are elsewhere."""
        raise NotImplementedError

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """Always raises: the private bytes are elsewhere."""
        raise NotImplementedError

    def __copy__(self) -> "AbsentEc":
        return self

    def __deepcopy__(self, _: object) -> "AbsentEc":
        return self


def prove(key: AbsentRsa | AbsentEc) -> None:
    """Raises `Misconfigured` DJ437 where what signs is not the private half of what is shown."""
    try:
        if isinstance(key, AbsentRsa):
            key.public_key().verify(key.sign(_PROBE, PKCS1v15(), SHA256()), _PROBE, PKCS1v15(), SHA256())
        else:
            key.public_key().verify(key.sign(_PROBE, ec.ECDSA(SHA256())), _PROBE, ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise Misconfigured("DJ437", "signing key: the certificate is another key's") from error
