"""The key set of an issuer: of what it publishes, the keys that sign, and are strong enough.

Source: RFC 7517, section 5: members that are not understood are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from joserfc import jwk
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from donjon.errors import DonjonError
from donjon.formats import strict_json
from donjon.formats.json import JsonObject, objects
from donjon.signing import jws

MAX_SET = 256 << 10  # bytes
MAX_KEYS = 100
RSA_BITS, MAX_RSA_BITS = 2048, 8192

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
ALGORITHMS = _RSA | frozenset(_CURVES.values())
"""What is signed with a private key; never a secret that both sides know (RFC 8725, section 3.1)."""

_MEMBERS: Mapping[str, tuple[str, ...]] = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKey:
    """A key, and the algorithms that it signs with."""

    kid: str | None
    algorithms: frozenset[str]
    handle: RSAKey | ECKey = field(repr=False)


def parse(text: bytes, subject: str) -> tuple[IssuerKey, ...]:
    """The keys of that set; raises `Malformed` DJ210 or DJ211."""
    entries = strict_json.parse(text, subject, MAX_SET, fractions=True).content.get("keys")
    keys = (_key(entry) for entry in objects(entries)[:MAX_KEYS])
    return tuple(key for key in keys if key is not None)


def _key(entry: JsonObject) -> IssuerKey | None:
    names = _MEMBERS.get(str(entry.get("kty")))
    members: dict[str, str | list[str]] = {name: str(entry.get(name, "")) for name in names or ()}
    algorithms = _algorithms(members)
    algorithm, kid = entry.get("alg"), entry.get("kid")
    if algorithm is not None:
        algorithms &= {str(algorithm)}
    if not algorithms or entry.get("use", "sig") != "sig":
        return None
    try:
        handle = jwk.import_key(members)
    except (JoseError, ValueError):
        return None
    if not isinstance(handle, RSAKey | ECKey):
        return None
    return IssuerKey(kid=kid if isinstance(kid, str) else None, algorithms=algorithms, handle=handle)


def _algorithms(members: Mapping[str, str | list[str]]) -> frozenset[str]:
    """None for a key that is not taken, before the library reads it: of weak ones it warns, and takes them."""
    if "n" in members:
        try:
            bits = int.from_bytes(jws.octets(str(members["n"]), "modulus")).bit_length()
        except DonjonError:
            return frozenset()
        return _RSA if RSA_BITS <= bits <= MAX_RSA_BITS else frozenset()
    curve = _CURVES.get(str(members.get("crv")))
    return frozenset() if curve is None else frozenset({curve})
