"""Certificates of those who sign policies. What counts is the key, and when it is good; whoever trusts one trusts exactly it.

The key decides the algorithm, so that no header can: RSA signs RS256, P-256 signs ES256 (RFC 7518, sections 3.3 and 3.4).
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from donjon.errors import Malformed, Untrusted
from donjon.pki import intel, p256
from donjon.pki.intel import Window

RSA_BITS, MAX_RSA_BITS = 2048, 8192
RSA, EC = "RSA", "EC"

_ALGORITHMS = {RSA: "RS256", EC: "ES256"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerCertificate:
    """A certificate with a key that can sign; `parse` makes one, and proves nothing."""

    der: bytes = field(repr=False)
    key_type: str  # RSA or EC
    window: Window
    key: RSAPublicKey | p256.PublicKey = field(repr=False, compare=False)

    @property
    def algorithm(self) -> str:
        """The one algorithm by which the key signs, whatever a header says."""
        return _ALGORITHMS[self.key_type]

    def thumbprint(self) -> str:
        """SHA-1 of the certificate, in capitals: a name, no proof."""
        return hashlib.sha1(self.der, usedforsecurity=False).hexdigest().upper()

    def name(self) -> str:
        """The subject, as RFC 4514 writes it: whoever made the certificate chose it."""
        return intel.read(self.der).subject.rfc4514_string()

    def check_window(self, moment: datetime) -> None:
        """Raises `Untrusted` DJ444 where the certificate is not good at that moment."""
        if moment not in self.window:
            begins, ends = self.window.begins, self.window.ends
            raise Untrusted("DJ444", f"signer: good from {begins:%FT%TZ} to {ends:%FT%TZ}, not at {moment:%FT%TZ}")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether that signature, in JOSE's form, is this key's over the message."""
        if isinstance(self.key, p256.PublicKey):
            return self.key.verifies(signature, message)
        try:
            self.key.verify(signature, message, PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def parse(der: bytes) -> SignerCertificate:
    """The certificate with those bytes; raises `Malformed` DJ205, DJ207, or DJ448 for a key that is not taken."""
    handle = intel.read(der)
    try:
        public_key = handle.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("DJ448", f"signer: a key that cannot be read: {error}") from error
    window = intel.window_of(handle)
    if not isinstance(public_key, RSAPublicKey):
        return SignerCertificate(der=der, key_type=EC, window=window, key=p256.of(handle))
    if not RSA_BITS <= public_key.key_size <= MAX_RSA_BITS:
        raise Malformed("DJ448", f"signer: RSA of {public_key.key_size} bits, expected {RSA_BITS} to {MAX_RSA_BITS}")
    return SignerCertificate(der=der, key_type=RSA, window=window, key=public_key)
