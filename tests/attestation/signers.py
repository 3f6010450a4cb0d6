"""Keys that sign tokens in tests, made once."""

from datetime import UTC, datetime, timedelta
from functools import cache

from donjon.adapters.keys import signing
from donjon.adapters.keys.signing import KeySigner
from donjon.attestation.token import Authorities, TokenAuthority
from donjon.signing.signer import Algorithm

MADE = datetime(2021, 1, 1, tzinfo=UTC)
DECADES = timedelta(days=9000)
REAL, SIMULATED = "https://attest.example", "https://simulated.attest.example"


@cache
def signer(algorithm: Algorithm, issuer: str) -> KeySigner:
    key = signing.fresh_key(algorithm)
    return signing.parse_signer(key, signing.self_signed(key, issuer, MADE, DECADES))


def authority(algorithm: Algorithm = Algorithm.RS256, issuer: str = REAL) -> TokenAuthority:
    return TokenAuthority(issuer=issuer, signer=signer(algorithm, issuer))


def authorities(algorithm: Algorithm = Algorithm.RS256) -> Authorities:
    return Authorities(real=authority(algorithm), simulated=authority(algorithm, SIMULATED))
