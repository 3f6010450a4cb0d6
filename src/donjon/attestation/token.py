"""Tokens: what is said, who says it and until when, and the signature that somebody else makes.

Source: RFC 7519; the form is that of Microsoft Azure Attestation's tokens as recorded.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from donjon.attestation.appraise import Appraisal
from donjon.errors import Malformed, Misconfigured
from donjon.formats import base64url
from donjon.formats.json import Json, JsonObject
from donjon.policy.claims import values_by_type
from donjon.signing.signer import Signer, sign_with

LIFETIME = timedelta(hours=8)  # of attestation tokens
KEY_RETENTION = LIFETIME + timedelta(hours=1)  # that a key stays published after its last token
ANSWER_LIFETIME = timedelta(hours=1)  # of answers about policies and certificates
VERSION = "1.0"
MAX_ISSUER = 256  # characters
MAX_PAYLOAD = 768 << 10  # bytes: data of run time may be written longer than it came, and stands in some tokens three times
JUDGED_AT = "x-donjon-judged-at"
"""Said where the quote was not judged at the time of the token: the moment, in seconds since 1970."""

_AT_ONCE = timedelta(minutes=5)

_ISSUER = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAuthority:
    """Who signs, and under which name."""

    issuer: str  # URL
    signer: Signer

    def __post_init__(self) -> None:
        check_issuer(self.issuer)


def check_issuer(issuer: str) -> None:
    """Raises `Misconfigured` DJ434 for a name under which no tokens are issued."""
    if len(issuer) > MAX_ISSUER or not _ISSUER.fullmatch(issuer):
        raise Misconfigured(
            "DJ434", f"issuer: {issuer[:MAX_ISSUER]!r}, expected https://HOST, perhaps with a path, no / at its end"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """Who speaks of real platforms, and who, by another name and key, of simulated ones, if anybody."""

    real: TokenAuthority | None
    simulated: TokenAuthority | None = None

    def __post_init__(self) -> None:
        one, other = self.real, self.simulated
        if one is not None and other is not None and (other.issuer == one.issuer or other.signer.kid == one.signer.kid):
            raise Misconfigured("DJ435", "tokens: simulated platforms need an issuer and a key of their own")

    def of(self, appraisal: Appraisal) -> TokenAuthority:
        """Who speaks of that platform; raises `Misconfigured` DJ435 where nobody does."""
        simulated = appraisal.claim_set.simulated
        authority = self.simulated if simulated else self.real
        if authority is None:
            kind = "simulated" if simulated else "real"
            raise Misconfigured("DJ435", f"tokens: the platform is {kind}, and no issuer is set for such")
        return authority


def issue(appraisal: Appraisal, authorities: Authorities, moment: datetime, jti: str) -> str:
    """The attestation token, good from the moment on; unsigned where the policy is a draft. `jti` is new with every token.

    Raises `Malformed` DJ454 where it would be too long.
    """
    authority = authorities.of(appraisal)
    # What the service says itself stands last: no policy can say it differently.
    payload: JsonObject = {
        **_policy_claims(appraisal),
        **appraisal.claim_set.token_claims,
        **_policy_facts(appraisal),
        **_judged_at(appraisal, moment),
        "x-ms-ver": VERSION,
        "jti": jti,
        **_validity(authority, moment, LIFETIME),
    }
    return encode_unsecured(payload, authority) if appraisal.applied.draft else _sign(payload, authority)


def answer(claims: JsonObject, authority: TokenAuthority, moment: datetime) -> str:
    """A signed answer of the service about itself, good from the moment on."""
    return _sign({**claims, **_validity(authority, moment, ANSWER_LIFETIME)}, authority)


def encode_unsecured(payload: JsonObject, authority: TokenAuthority) -> str:
    """A token that nobody signed (RFC 7519, section 6)."""
    return f"{_header('none', authority.issuer, authority.signer.kid)}.{base64url.encode(_encode(payload))}."


def key_set(*authorities: TokenAuthority) -> JsonObject:
    """The keys by which these authorities' tokens are checked (RFC 7517, section 5)."""
    keys: list[Json] = [authority.signer.jwk() for authority in authorities]
    return {"keys": keys}


def _policy_claims(appraisal: Appraisal) -> JsonObject:
    policy_claims = values_by_type(appraisal.decision.issued)
    return {name: values[0] if len(values) == 1 else list(values) for name, values in policy_claims.items()}


def _policy_facts(appraisal: Appraisal) -> JsonObject:
    applied = appraisal.applied
    signer: JsonObject = {} if applied.signer is None else {"x-ms-policy-signer": applied.signer}
    return {"x-ms-policy-hash": applied.hash, **signer}


def _judged_at(appraisal: Appraisal, moment: datetime) -> JsonObject:
    judging_moment = appraisal.claim_set.bound_quote.accepted_quote.verified_quote.moment
    return {} if abs(moment - judging_moment) <= _AT_ONCE else {JUDGED_AT: int(judging_moment.timestamp())}


def _validity(authority: TokenAuthority, moment: datetime, lifetime: timedelta) -> JsonObject:
    now = int(moment.timestamp())
    return {"iss": authority.issuer, "iat": now, "nbf": now, "exp": now + int(lifetime.total_seconds())}


def _sign(payload: JsonObject, authority: TokenAuthority) -> str:
    signer = authority.signer
    return sign_with(_header(signer.algorithm, authority.issuer, signer.kid), _encode(payload), signer)


@lru_cache(maxsize=256)
def _header(algorithm: str, issuer: str, kid: str) -> str:
    """In base64url, of all tokens by one key."""
    return base64url.encode(_encode({"alg": str(algorithm), "jku": f"{issuer}/certs", "kid": kid, "typ": "JWT"}))


def _encode(content: JsonObject) -> bytes:
    encoded = json.dumps(content, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("ascii")
    if len(encoded) > MAX_PAYLOAD:
        raise Malformed("DJ454", f"token: it would take {len(encoded)} bytes, expected at most {MAX_PAYLOAD}")
    return encoded
