"""What is said of a chain, signed: where it stands (a head), or up to where it was dropped for its age (an anchor).

Whoever has a head in a place that the database's owner cannot write, such as a log, sees when the chain was changed or cut since.
The last head of a chain says that it is the last, and an anchor names what it replaces, so that neither hides anything.
A statement is a JWS in the compact form (RFC 7515) whose `typ` no token has; the key that made it is named by no header.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from donjon.audit.chain import HASH, LAST, Link
from donjon.errors import Malformed, Untrusted
from donjon.formats import base64url, strict_json
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members
from donjon.signing.signer import Signer, serialize
from donjon.signing.signer_certificate import SignerCertificate

MAX_STATEMENT = 8 << 10  # characters
MAX_HEADS = 32  # that one anchor names
NAME = "statement"

_UNSIGNED = "none"
_NUMBERS = {"first": "first", "oldest": "oldest", "newest": "newest", "kept": "retention"}  # by their names in JSON
FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)", re.ASCII)


class StatementKind(StrEnum):
    """What is said; the `typ` of its JWS."""

    HEAD = "donjon-audit-head"
    ANCHOR = "donjon-audit-anchor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What an anchor stands for: the records from `first` to its link, and what was said of them until then."""

    first: int
    oldest: int  # moment of a record, as the next
    newest: int
    retention: int  # microseconds that records were to be kept
    anchor: Link | None = None  # the earlier one, which this one replaces
    heads: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The chain stood so at that moment; an anchor's link is the last record that was dropped."""

    kind: StatementKind
    link: Link
    moment: int  # microseconds since 1970, UTC
    last: bool = False  # nothing follows
    removal: Removal | None = None  # of anchors; earlier versions made them without


def encode(statement: Statement, signer: Signer | None) -> str:
    """The statement, signed; without a signer it proves nothing to whoever had it from the database."""
    link = statement.link
    content: JsonObject = {
        "hash": link.hash.hex(),
        "moment": statement.moment,
        "number": link.number,
        "writer": link.writer,
    }
    if statement.last:
        content["last"] = True
    if statement.removal is not None:
        content["removal"] = _removal(statement.removal)
    payload = _encode(content)
    if signer is None:
        return f"{base64url.encode(_encode({'alg': _UNSIGNED, 'typ': str(statement.kind)}))}.{base64url.encode(payload)}."
    header: JsonObject = {"alg": str(signer.algorithm), "kid": signer.kid, "typ": str(statement.kind)}
    return serialize(_encode(header), payload, signer)


def is_unsigned(text: str) -> bool:
    """Whether nobody signed the statement of that text, as the service writes it without keys."""
    return text.endswith(".")


def kid(text: str) -> str:
    """The key that the statement of that text names for its own, which proves nothing; "" where it names none."""
    try:
        header = strict_json.parse(_octets(text.partition(".")[0]), f"{NAME} header", MAX_STATEMENT)
        return header.text("kid") if header.has("kid") else ""
    except Malformed:
        return ""


def parse(text: str, keys: tuple[SignerCertificate, ...]) -> Statement:
    """The statement of that text, which one of the keys has signed; without any keys its signature is not looked at.

    Raises `Malformed` DJ600 or of its members, `Untrusted` DJ601.
    """
    match = FORM.fullmatch(text) if len(text) <= MAX_STATEMENT else None
    if match is None:
        raise Malformed("DJ600", f"{NAME}: expected a JWS in the compact form of at most {MAX_STATEMENT} characters")
    header, payload, signature = (_octets(part) for part in match.groups())
    signing_input = text.rpartition(".")[0].encode("ascii")
    if keys and not any(key.verifies(signature, signing_input) for key in keys):
        unsigned = "nobody has signed it, as where a service has no --audit-keys"
        raise Untrusted("DJ601", f"{NAME}: {f'none of the {len(keys)} keys has signed it' if signature else unsigned}")
    kind = strict_json.parse(header, f"{NAME} header", MAX_STATEMENT).text("typ")
    if kind not in set(StatementKind):
        raise Malformed("DJ600", f"{NAME}: typ {kind[:40]!r}, expected {' or '.join(StatementKind)}")
    members = strict_json.parse(payload, NAME, MAX_STATEMENT)
    link = _link(members, members.text("writer"))
    return Statement(
        kind=StatementKind(kind),
        link=link,
        moment=members.number("moment", LAST),
        last=members.content.get("last") is True,
        removal=_parse_removal(members.member("removal"), link.writer) if members.has("removal") else None,
    )


def _removal(removal: Removal) -> JsonObject:
    content: JsonObject = {name: getattr(removal, number) for name, number in _NUMBERS.items()}
    content["heads"] = [_place(each) for each in removal.heads]
    return content if removal.anchor is None else {**content, "anchor": _place(removal.anchor)}


def _parse_removal(members: Members, writer: str) -> Removal:
    first, oldest, newest, retention = (members.number(name, LAST) for name in _NUMBERS)
    anchor = _link(members.member("anchor"), writer) if members.has("anchor") else None
    heads = tuple(_link(each, writer) for each in members.members("heads"))
    return Removal(first=first, oldest=oldest, newest=newest, retention=retention, anchor=anchor, heads=heads)


def _place(link: Link) -> JsonObject:
    return {"hash": link.hash.hex(), "number": link.number}


def _link(members: Members, writer: str) -> Link:
    return Link(writer=writer, number=members.number("number", LAST), hash=members.octets("hash", HASH))


def _octets(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError as error:
        raise Malformed("DJ600", f"{NAME}: a part that is no base64url") from error


def _encode(content: JsonObject) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode("ascii")
