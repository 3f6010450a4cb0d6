"""Tokens that callers send, read strictly: one compact form, one reading, no key but the certificate shown.

Refused are headers that change what is signed or where the key is from (crit, b64, jku, x5u), nested and encrypted tokens, and
every algorithm but that of the key. Sources: RFC 7515; RFC 8725 ("JWT best current practices").
"""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime

from donjon.errors import Malformed, Untrusted
from donjon.formats import base64url, strict_json
from donjon.formats.strict_json import Members
from donjon.signing import signer_certificate
from donjon.signing.signer_certificate import SignerCertificate

MAX_TOKEN = 256 << 10  # characters; a policy of 64 KiB is encoded twice
MAX_HEADER = 32 << 10  # bytes
MAX_VALUES = 1_000  # of JSON in a header or a body, with names
NONE = "none"
UNSECURED = "eyJhbGciOiJub25lIn0"
"""The header {"alg":"none"}, as Microsoft's clients write it."""

_ALIASES = {"RSA256": "RS256"}
"""What azure-security-attestation 1.0.0 writes for it."""

_HEADER = frozenset({"alg", "typ", "kid", "jwk", "x5c"})
_JWK = frozenset({"alg", "kid", "kty", "use", "x5c"})
_TYPES = frozenset({"JWT", "JOSE", "jwt"})
_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Jws:
    """A token that is well-formed: `parse` makes one, and proves nothing."""

    subject: str
    text: str = field(repr=False)
    algorithm: str
    signer: SignerCertificate | None
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse(text: str, subject: str) -> Jws:
    """The token of that text; raises `Malformed` DJ440 or of its header's parts, `Untrusted` DJ441."""
    if len(text) > MAX_TOKEN:
        raise Malformed("DJ440", f"{subject}: {len(text)} characters, expected at most {MAX_TOKEN}")
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise Malformed("DJ440", f"{subject}: {len(parts)} parts, expected header.payload.signature")
    header, payload, signature = (octets(part, subject) for part in parts)
    members = strict_json.parse(header, f"{subject} header", MAX_HEADER, values=MAX_VALUES)
    _check_header(members, subject)
    return Jws(
        subject=subject,
        text=text,
        algorithm=members.text("alg"),
        signer=_signer(members, subject),
        payload=payload,
        signing_input=text.rpartition(".")[0].encode("ascii"),
        signature=signature,
    )


def prove(jws: Jws) -> SignerCertificate | None:
    """Whose signature it has; `None` for a token that nobody signed. Raises `Untrusted` DJ441 or DJ443."""
    if jws.algorithm == NONE:
        if jws.signature or jws.signer is not None:
            raise Untrusted("DJ441", f"{jws.subject}: algorithm none, but with a signature or a certificate")
        return None
    if jws.signer is None:
        raise Untrusted(
            "DJ441", f"{jws.subject}: algorithm {jws.algorithm[:20]!r} without x5c; expected the signer's certificate"
        )
    if _ALIASES.get(jws.algorithm, jws.algorithm) != jws.signer.algorithm:
        expected = jws.signer.algorithm
        raise Untrusted("DJ441", f"{jws.subject}: algorithm {jws.algorithm[:20]!r}, but the certificate's key signs {expected}")
    if not jws.signer.verifies(jws.signature, jws.signing_input):
        raise Untrusted("DJ443", f"{jws.subject}: the key of its certificate did not sign it")
    return jws.signer


def prove_at(jws: Jws, moment: datetime) -> SignerCertificate | None:
    """As `prove`, of a signer whose certificate is good at that moment; raises `Untrusted` DJ444, too."""
    signer = prove(jws)
    if signer is not None:
        signer.check_window(moment)
    return signer


def octets(text: str, subject: str) -> bytes:
    """The bytes of base64url without padding, of which there is one text only; raises `Malformed` DJ440."""
    try:
        return base64url.decode(text)
    except ValueError as error:
        raise Malformed("DJ440", f"{subject}: a part that is no base64url without padding") from error


def certificate_of(jwk: Members) -> SignerCertificate:
    """The certificate of a key that is stated by x5c alone; raises `Malformed` DJ205, DJ207, DJ211, DJ440 or DJ448."""
    if other := sorted(jwk.content.keys() - _JWK):
        raise Malformed("DJ440", f"{jwk.subject}: {other[0][:20]!r}: expected the key in x5c alone")
    chain = jwk.texts("x5c")
    if len(chain) != 1:
        raise Malformed("DJ440", f"{jwk.subject}: {len(chain)} certificates in x5c, expected the signer's own alone")
    try:
        der = base64.b64decode(chain[0], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("DJ440", f"{jwk.subject}: x5c is no base64: {error}") from error
    return signer_certificate.parse(der)


def _check_header(header: Members, subject: str) -> None:
    if unknown := sorted(header.content.keys() - _HEADER):
        raise Untrusted("DJ441", f"{subject}: header {unknown[0][:20]!r}, expected none but {', '.join(sorted(_HEADER))}")
    if header.has("typ") and header.text("typ") not in _TYPES:
        raise Untrusted("DJ441", f"{subject}: typ {header.text('typ')[:20]!r}, expected JWT")


def _signer(header: Members, subject: str) -> SignerCertificate | None:
    if header.has("jwk") and header.has("x5c"):
        raise Untrusted("DJ441", f"{subject}: certificates in jwk and in x5c, expected one of both")
    if header.has("jwk"):
        return certificate_of(header.member("jwk"))
    if header.has("x5c"):
        return certificate_of(Members(header.subject, {"x5c": header.content["x5c"]}))
    return None
