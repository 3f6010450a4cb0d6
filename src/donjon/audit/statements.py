"""What is said of a chain, signed: where it stands (a head), or up to where it was dropped for its age (an anchor).

Whoever has a head in a place that the database's owner cannot write, such as a log, sees when the chain was changed or cut since.
A statement is a JWS in the compact form (RFC 7515) whose `typ` no token has; the key that made it is named by no header.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from donjon.audit.chain import HASH, LAST, Link
from donjon.collateral import documents
from donjon.errors import Malformed, Untrusted
from donjon.kube.json import JsonObject
from donjon.pki.signers import SignerCertificate

MAX_STATEMENT = 8 << 10  # characters
NAME = "statement"

_UNSIGNED = "none"
FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)", re.ASCII)


class Kind(StrEnum):
    """What is said; the `typ` of its JWS."""

    HEAD = "donjon-audit-head"
    ANCHOR = "donjon-audit-anchor"


class Signer(Protocol):
    """A key that signs statements, wherever it is kept."""

    @property
    def algorithm(self) -> str:
        """How it signs."""

    @property
    def kid(self) -> str:
        """The name of the key."""

    def sign(self, header: JsonObject, payload: bytes) -> str:
        """The JWS in the compact form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The chain stood so at that moment; an anchor's link is the last record that was dropped."""

    kind: Kind
    link: Link
    moment: int  # microseconds since 1970, UTC


def encode(statement: Statement, signer: Signer | None) -> str:
    """The statement, signed; without a signer it proves nothing to whoever had it from the database."""
    link = statement.link
    content: JsonObject = {
        "hash": link.hash.hex(),
        "moment": statement.moment,
        "number": link.number,
        "writer": link.writer,
    }
    payload = _encoded(content)
    if signer is None:
        return f"{_base64(_encoded({'alg': _UNSIGNED, 'typ': str(statement.kind)}))}.{_base64(payload)}."
    return signer.sign({"alg": str(signer.algorithm), "kid": signer.kid, "typ": str(statement.kind)}, payload)


def parse(text: str, keys: tuple[SignerCertificate, ...]) -> Statement:
    """The statement of that text, which one of the keys has signed; without any keys its signature is not looked at.

    Raises `Malformed` DJ600 or of its members, `Untrusted` DJ601.
    """
    found = FORM.fullmatch(text) if len(text) <= MAX_STATEMENT else None
    if found is None:
        raise Malformed("DJ600", f"{NAME}: expected a JWS in the compact form of at most {MAX_STATEMENT} characters")
    header, payload, signature = (_octets(part) for part in found.groups())
    signed = text.rpartition(".")[0].encode("ascii")
    if keys and not any(key.verifies(signature, signed) for key in keys):
        raise Untrusted("DJ601", f"{NAME}: none of the {len(keys)} keys has signed it")
    kind = documents.parse(header, f"{NAME} header", MAX_STATEMENT).text("typ")
    if kind not in set(Kind):
        raise Malformed("DJ600", f"{NAME}: typ {kind[:40]!r}, expected {' or '.join(Kind)}")
    members = documents.parse(payload, NAME, MAX_STATEMENT)
    link = Link(writer=members.text("writer"), number=members.number("number", LAST), hash=members.octets("hash", HASH))
    return Statement(kind=Kind(kind), link=link, moment=members.number("moment", LAST))


def _octets(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise Malformed("DJ600", f"{NAME}: a part that is no base64url") from error


def _encoded(content: JsonObject) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode("ascii")


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")
