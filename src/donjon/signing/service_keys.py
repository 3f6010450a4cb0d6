"""Tokens of a service, and the keys that it publishes: what stands in a token is read when one of its keys has signed it.

The key decides the algorithm, its certificate is all that is taken of it, and where a token says its keys are (jku) is not asked:
whoever makes a token can put any address there. Sources: RFC 7515; RFC 7517, section 5; RFC 8725.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.formats import strict_json
from donjon.formats.json import JsonObject, objects
from donjon.formats.strict_json import Members
from donjon.formats.words import excerpt
from donjon.signing import jws, signer_certificate
from donjon.signing.signer_certificate import SignerCertificate

MAX_TOKEN = 2 << 20  # characters: data of run time may stand in a token three times
MAX_SET = 1 << 20  # bytes; certificates of Microsoft's service have an enclave's quote in them
MAX_KEYS = 100

_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceToken:
    """A token that is well-formed: `parse` makes one, and proves nothing."""

    subject: str
    header: JsonObject
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def unproved_claims(self) -> JsonObject:
        """What it says, whoever made it; raises `Malformed` DJ210."""
        return dict(strict_json.parse(self.payload, self.subject, MAX_TOKEN, fractions=True).content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    """A key that a service publishes."""

    kid: str | None
    certificate: SignerCertificate


def parse(text: str, subject: str) -> ServiceToken:
    """The token of that text; raises `Malformed` DJ440, or DJ210 for its header."""
    if len(text) > MAX_TOKEN:
        raise Malformed("DJ440", f"{subject}: {len(text)} characters, expected at most {MAX_TOKEN}")
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise Malformed("DJ440", f"{subject}: {len(parts)} parts, expected header.payload.signature")
    header, payload, signature = (jws.octets(part, subject) for part in parts)
    return ServiceToken(
        subject=subject,
        header=dict(strict_json.parse(header, f"{subject} header", jws.MAX_HEADER, values=jws.MAX_VALUES).content),
        payload=payload,
        signing_input=text.rpartition(".")[0].encode("ascii"),
        signature=signature,
    )


def parse_keys(content: bytes, subject: str) -> tuple[ServiceKey, ...]:
    """The keys of a set that have a certificate, the others left out; raises `Malformed` DJ210, and DJ581 where there is none."""
    entries = objects(strict_json.parse(content, subject, MAX_SET, fractions=True).content.get("keys"))
    keys = tuple(key for entry in entries[:MAX_KEYS] if (key := _key(entry, subject)) is not None)
    if not keys:
        raise Malformed(
            "DJ581", f"{subject}: no key with a certificate (x5c) of RSA or P-256, expected what stands at ISSUER/certs"
        )
    return keys


def prove(token: ServiceToken, keys: Sequence[ServiceKey], issuer: str) -> JsonObject:
    """What the token says, signed by one of those keys of that issuer; raises `Untrusted` DJ581."""
    algorithm, kid = token.header.get("alg"), token.header.get("kid")
    if algorithm == jws.NONE:
        raise Untrusted("DJ581", f"{token.subject}: unsigned, as tokens by a draft of a policy are; anybody can write one")
    if unsupported := token.header.keys() & {"crit", "b64", "enc", "zip"}:
        raise Untrusted("DJ581", f"{token.subject}: header {min(unsupported)}, which is not taken")
    likely = [each for each in keys if kid is None or each.kid == kid]
    if not likely:
        raise Untrusted("DJ581", f"{token.subject}: signed with the key {excerpt(str(kid))}, which {issuer} does not publish")
    if not any(each.certificate.algorithm == algorithm and _signs(each, token) for each in likely):
        raise Untrusted("DJ581", f"{token.subject}: no key of {issuer} has signed it")
    return token.unproved_claims()


def _signs(key: ServiceKey, token: ServiceToken) -> bool:
    return key.certificate.verifies(token.signature, token.signing_input)


def _key(entry: JsonObject, subject: str) -> ServiceKey | None:
    """`None` for a key that is not understood (RFC 7517, section 5)."""
    kid = entry.get("kid")
    try:
        chain = Members(subject, entry).texts("x5c")
        if not chain or entry.get("use", "sig") != "sig":
            return None
        certificate = signer_certificate.parse(base64.b64decode(chain[0], validate=True))
    except (DonjonError, binascii.Error, ValueError):
        return None
    return ServiceKey(kid=kid if isinstance(kid, str) else None, certificate=certificate)
