"""Tokens of an issuer, read strictly: signed by one of its keys with that key's algorithm, for us, now.

Sources: RFC 7519, section 4.1; OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725 ("JWT best current practices").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from joserfc import jws as jose
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from donjon.adapters.oidc.keysets import ALGORITHMS, IssuerKey
from donjon.errors import DonjonError, Untrusted
from donjon.formats import strict_json
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members
from donjon.signing import jws

MAX_TOKEN = 16 << 10  # characters
LEEWAY = 60  # seconds by which clocks may differ
MAX_SUBJECT = 255  # characters (OpenID Connect Core 1.0, section 2)
MAX_TRIED = 8  # keys, of those that a token's header fits

_PARTS = 3
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token of which nothing is proved: `parse` makes one."""

    text: str
    algorithm: str
    kid: str | None
    claims: JsonObject

    @property
    def issuer(self) -> str:
        """The token's `iss`, not proved; empty where it has none."""
        claim = self.claims.get("iss")
        return claim if isinstance(claim, str) else ""


def parse(text: str) -> Token:
    """The token of that text; raises `Untrusted` DJ551."""
    if len(text) > MAX_TOKEN:
        raise Untrusted("DJ551", f"token: {len(text)} characters, expected at most {MAX_TOKEN}")
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise Untrusted("DJ551", f"token: {len(parts)} parts, expected header.payload.signature")
    try:
        header, payload, _ = (jws.octets(part, "token") for part in parts)
        header_members = strict_json.parse(header, "token's header")
        claims = strict_json.parse(payload, "token", fractions=True).content
    except DonjonError as error:
        raise Untrusted("DJ551", error.message) from error
    _check_header(header_members)
    kid = header_members.content.get("kid")
    return Token(
        text=text, algorithm=str(header_members.content["alg"]), kid=kid if isinstance(kid, str) else None, claims=dict(claims)
    )


def fitting(token: Token, keys: Sequence[IssuerKey]) -> tuple[IssuerKey, ...]:
    """The keys that can have signed it, by what its header says."""
    candidates = [each for each in keys if token.kid is None or each.kid == token.kid]
    return tuple(each for each in candidates if token.algorithm in each.algorithms)[:MAX_TRIED]


def prove(token: Token, keys: Sequence[IssuerKey], issuer: str, audiences: Sequence[str], moment: datetime) -> JsonObject:
    """What it says, signed by one of those keys, by that issuer, for one of those audiences, at that moment.

    Raises `Untrusted` DJ551.
    """
    if not any(_is_signed_by(token, each) for each in keys):
        raise Untrusted("DJ551", "token: no key of its issuer has signed it")
    rules = JWTClaimsRegistry(
        now=int(moment.timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "values": list(audiences)},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        rules.validate(token.claims)
    except JoseError as error:
        raise Untrusted("DJ551", f"token: {error.description or error.error}"[:200]) from error
    if len(str(token.claims["sub"])) > MAX_SUBJECT:
        raise Untrusted("DJ551", f"token: a subject of more than {MAX_SUBJECT} characters")
    return token.claims


def _check_header(header: Members) -> None:
    """`crit` and `b64` change what is signed; where a key is from, its issuer says, and no token."""
    algorithm, kind = header.content.get("alg"), header.content.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Untrusted("DJ551", f"token: algorithm {str(algorithm)[:20]!r}, expected one of {', '.join(sorted(ALGORITHMS))}")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise Untrusted("DJ551", f"token: type {str(kind)[:20]!r}, expected JWT")
    if unsupported := header.content.keys() & {"crit", "b64", "enc", "zip"}:
        raise Untrusted("DJ551", f"token: header {min(unsupported)}, which is not taken")


def _is_signed_by(token: Token, key: IssuerKey) -> bool:
    registry = JWSRegistry(algorithms=sorted(key.algorithms), strict_check_header=False)
    try:
        jose.deserialize_compact(token.text, key.handle, registry=registry)
    except (JoseError, ValueError):
        return False
    return True
