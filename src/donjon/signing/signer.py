"""Whoever signs, wherever the key is kept: a file, a Secret, a hardware token."""

from enum import StrEnum
from typing import Protocol

from donjon.formats.json import JsonObject


class Algorithm(StrEnum):
    """How tokens are signed (RFC 7518, section 3.1)."""

    RS256 = "RS256"
    ES256 = "ES256"


class Signer(Protocol):
    """A key that signs tokens, wherever it is kept."""

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that the token's header names."""

    @property
    def kid(self) -> str:
        """The key's name in the token's header and in the published keys (RFC 7517, section 4.5)."""

    def jwk(self) -> JsonObject:
        """The public key with its certificate (RFC 7517)."""

    def sign(self, header: JsonObject, payload: bytes) -> str:
        """The token in the compact form (RFC 7515)."""
