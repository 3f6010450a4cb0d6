"""Tokens: what is said, who says it and until when, and the signature that somebody else makes.

Source: RFC 7519; the form is that of Microsoft Azure Attestation's tokens as recorded.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from donjon.attestation.appraise import Appraisal
from donjon.errors import Malformed, Misconfigured
from donjon.formats import base64url
from donjon.formats.json import Json, JsonObject
from donjon.policy.claims import told
from donjon.signing.signer import Signer

LIFETIME = timedelta(hours=8)  # of attestation tokens
KEPT = LIFETIME + timedelta(hours=1)  # that a key stays published after its last token
ANSWER_LIFETIME = timedelta(hours=1)  # of answers about policies and certificates
VERSION = "1.0"
MAX_ISSUER = 256  # characters
MAX_PAYLOAD = 768 << 10  # bytes: data of run time may be written longer than it came, and stands in some tokens three times
JUDGED_AT = "x-donjon-judged-at"
"""Said where the quote was not judged at the time of the token: the moment, in seconds since 1970."""

_AT_ONCE = timedelta(minutes=5)

_ISSUER = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
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

    real: Authority | None
    simulated: Authority | None = None

    def __post_init__(self) -> None:
        one, other = self.real, self.simulated
        if one is not None and other is not None and (other.issuer == one.issuer or other.signer.kid == one.signer.kid):
            raise Misconfigured("DJ435", "tokens: simulated platforms need an issuer and a key of their own")

    def of(self, appraisal: Appraisal) -> Authority:
        """Who speaks of that platform; raises `Misconfigured` DJ435 where nobody does."""
        simulated = appraisal.statement.simulated
        found = self.simulated if simulated else self.real
        if found is None:
            told = "simulated" if simulated else "real"
            raise Misconfigured("DJ435", f"tokens: the platform is {told}, and no issuer is set for such")
        return found


def issue(appraisal: Appraisal, authorities: Authorities, moment: datetime, jti: str) -> str:
    """The attestation token, good from the moment on; unsigned where the policy is a draft. `jti` is new with every token.

    Raises `Malformed` DJ454 where it would be too long.
    """
    authority = authorities.of(appraisal)
    # What the service says itself stands last: no policy can say it differently.
    payload: JsonObject = {
        **_issued(appraisal),
        **appraisal.statement.said,
        **_of_policy(appraisal),
        **_judged(appraisal, moment),
        "x-ms-ver": VERSION,
        "jti": jti,
        **_dated(authority, moment, LIFETIME),
    }
    return unsecured(payload, authority) if appraisal.applied.draft else _signed(payload, authority)


def answer(claims: JsonObject, authority: Authority, moment: datetime) -> str:
    """A signed answer of the service about itself, good from the moment on."""
    return _signed({**claims, **_dated(authority, moment, ANSWER_LIFETIME)}, authority)


def unsecured(payload: JsonObject, authority: Authority) -> str:
    """A token that nobody signed (RFC 7519, section 6)."""
    return f"{base64url.encode(_encoded(_header('none', authority)))}.{base64url.encode(_encoded(payload))}."


def key_set(*authorities: Authority) -> JsonObject:
    """The keys by which these authorities' tokens are checked (RFC 7517, section 5)."""
    keys: list[Json] = [authority.signer.jwk() for authority in authorities]
    return {"keys": keys}


def _issued(appraisal: Appraisal) -> JsonObject:
    found = told(appraisal.decision.issued)
    return {name: values[0] if len(values) == 1 else list(values) for name, values in found.items()}


def _of_policy(appraisal: Appraisal) -> JsonObject:
    applied = appraisal.applied
    signer: JsonObject = {} if applied.signer is None else {"x-ms-policy-signer": applied.signer}
    return {"x-ms-policy-hash": applied.hash, **signer}


def _judged(appraisal: Appraisal, moment: datetime) -> JsonObject:
    judged = appraisal.statement.bound.accepted.verified.moment
    return {} if abs(moment - judged) <= _AT_ONCE else {JUDGED_AT: int(judged.timestamp())}


def _dated(authority: Authority, moment: datetime, lifetime: timedelta) -> JsonObject:
    now = int(moment.timestamp())
    return {"iss": authority.issuer, "iat": now, "nbf": now, "exp": now + int(lifetime.total_seconds())}


def _header(algorithm: str, authority: Authority) -> JsonObject:
    return {"alg": algorithm, "jku": f"{authority.issuer}/certs", "kid": authority.signer.kid, "typ": "JWT"}


def _signed(payload: JsonObject, authority: Authority) -> str:
    return authority.signer.sign(_header(authority.signer.algorithm, authority), _encoded(payload))


def _encoded(content: JsonObject) -> bytes:
    encoded = json.dumps(content, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("ascii")
    if len(encoded) > MAX_PAYLOAD:
        raise Malformed("DJ454", f"token: it would take {len(encoded)} bytes, expected at most {MAX_PAYLOAD}")
    return encoded
