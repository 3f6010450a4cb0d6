"""What an instance tells of itself: /.well-known/openid-configuration. Source: as recorded; OpenID Connect Discovery 1.0."""

from collections.abc import Iterable

from donjon.attestation.token import TokenAuthority
from donjon.formats.json import Json, JsonObject


def openid_configuration(authority: TokenAuthority, algorithms: Iterable[str]) -> JsonObject:
    """The document at the issuer's well-known place; `algorithms` are those of all its keys that are published."""
    signing_algorithms: list[Json] = [*sorted(set(algorithms))]
    return {
        "issuer": authority.issuer,
        "jwks_uri": f"{authority.issuer}/certs",
        "revocation_endpoint": f"{authority.issuer}/revoke",
        "response_types_supported": ["token", "none"],
        "id_token_signing_alg_values_supported": signing_algorithms,
        "claims_supported": ["exp", "iat", "iss", "jti", "nbf", "nonce", "x-ms-attestation-type", "x-ms-policy-hash", "x-ms-ver"],
    }
