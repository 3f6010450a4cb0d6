"""Whoever signs, wherever the key is kept: a file, a Secret, a hardware token."""

import json
from enum import StrEnum
from typing import Protocol

from donjon.formats import base64url
from donjon.formats.json import JsonObject


class Algorithm(StrEnum):
    """How tokens are signed (RFC 7518, section 3.1)."""

    RS256 = "RS256"
    ES256 = "ES256"


class Signer(Protocol):
    """A key that signs tokens and statements, wherever it is kept."""

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that the token's header names."""

    @property
    def kid(self) -> str:
        """The key's name in the token's header and in the published keys (RFC 7517, section 4.5)."""

    def jwk(self) -> JsonObject:
        """The public key with its certificate (RFC 7517)."""

    def sign(self, signing_input: bytes) -> bytes:
        """The signature as JOSE writes it (RFC 7518, sections 3.3 and 3.4)."""


def serialize(header: bytes, payload: bytes, signer: Signer) -> str:
    """The JWS of a header and a payload, both in JSON, in the compact form (RFC 7515, section 7.1)."""
    return sign_with(base64url.encode(header), payload, signer)


def sign_with(header: str, payload: bytes, signer: Signer) -> str:
    """The same, of a header that is in base64url already, as one that many tokens have."""
    signing_input = f"{header}.{base64url.encode(payload)}"
    return f"{signing_input}.{base64url.encode(signer.sign(signing_input.encode('ascii')))}"


def sign_with_certificate(payload: bytes, signer: Signer) -> str:
    """The JWS of that payload, with the signer's certificate in `x5c`, as Microsoft's clients sign policies."""
    header: JsonObject = {"alg": str(signer.algorithm), "x5c": signer.jwk()["x5c"]}
    return serialize(json.dumps(header, separators=(",", ":")).encode("ascii"), payload, signer)
