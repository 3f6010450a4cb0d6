"""Whoever makes policy tokens, honest or not: keys and certificates, and a real JOSE library that signs what it is told to."""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from donjon.adapters.keys import signing
from donjon.maa.instances import Mode, Trust
from donjon.signing import signer_certificate
from donjon.signing.signer import Algorithm
from donjon.signing.signer_certificate import SignerCertificate

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
TEXT = "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
KEYS: dict[Algorithm, type[RSAKey | ECKey]] = {Algorithm.RS256: RSAKey, Algorithm.ES256: ECKey}
LAX = JWSRegistry(algorithms=list(JWSRegistry.algorithms), strict_check_header=False)
"""What an attacker's library signs with: anything."""


RSA = Algorithm.RS256


@cache
def key(name: str, algorithm: Algorithm, /) -> bytes:
    """One key a name: whoever asks again gets it again."""
    assert name
    return signing.fresh_key(algorithm)


@cache
def _certificate(name: str, algorithm: Algorithm, issuer: str, /) -> bytes:
    return signing.self_signed(key(name, algorithm), f"https://{issuer}.example", NOW, YEAR)


def certificate(name: str, algorithm: Algorithm = RSA, issuer: str = "") -> bytes:
    """A self-signed certificate of that one's key, in another's name if so told."""
    return _certificate(name, algorithm, issuer or name)


def handle(name: str, algorithm: Algorithm = RSA) -> RSAKey | ECKey:
    return KEYS[algorithm].import_key(key(name, algorithm))


def signer(name: str, algorithm: Algorithm = RSA) -> SignerCertificate:
    return signer_certificate.parse(certificate(name, algorithm))


def x5c(der: bytes) -> list[str]:
    return [base64.b64encode(der).decode()]


def body(text: str = TEXT) -> bytes:
    return json.dumps({"AttestationPolicy": encoded(text.encode())}).encode()


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def signed(header: dict[str, object], payload: bytes, by: RSAKey | ECKey) -> str:
    return jws.serialize_compact(header, payload, by, registry=LAX)


def token(payload: bytes | None = None, name: str = "owner", algorithm: Algorithm = RSA, **header: object) -> str:
    """A policy token as an honest owner makes it, with other headers if so told."""
    whole: dict[str, object] = {"alg": str(algorithm), "x5c": x5c(certificate(name, algorithm)), **header}
    return signed(whole, body() if payload is None else payload, handle(name, algorithm))


def put_together(header: object, payload: bytes, signature: bytes = b"") -> str:
    return ".".join((encoded(json.dumps(header).encode()), encoded(payload), encoded(signature)))


def isolated(*names: str) -> Trust:
    return Trust(mode=Mode.ISOLATED, certificates=tuple(signer(name) for name in names or ("owner",)))


AAD = Trust(mode=Mode.AAD)
