"""A small real issuer of OpenID Connect on the loopback address: discovery and keys over TLS, and tokens of every kind."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from tests.adapters.https import CONTEXT, HOST, SERVING

from donjon.access.roles import TrustedIssuer
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import GuardedServer, Message
from donjon.adapters.oidc.issuers import DISCOVERY
from donjon.formats.json import Json, JsonObject

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUDIENCE = "https://attest.example"
ANY = ("RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "HS256", "none", "EdDSA")


@cache
def rsa(kid: str = "rsa", bits: int = 2048) -> RSAKey:
    return RSAKey.generate_key(bits, {"kid": kid, "use": "sig"})


@cache
def ec(kid: str = "ec", curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": kid, "use": "sig"})


@dataclass
class FakeIssuer:
    """One of them; `says` replaces what is answered at a path."""

    keys: list[RSAKey | ECKey] = field(default_factory=lambda: [rsa(), ec()])
    says: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    discovery: JsonObject = field(default_factory=dict)
    port: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    packs: bool = False  # answers compressed, whatever is accepted
    accepted: bytes = b""

    @property
    def name(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def trusted(self) -> TrustedIssuer:
        return TrustedIssuer(issuer=self.name, audiences=(AUDIENCE, "other-name"), authorities=SERVING.authority.pem.decode())

    def claims(self, **changed: Json) -> JsonObject:
        """Those of a good token; `None` leaves one out."""
        now = int(NOW.timestamp())
        good: JsonObject = {"iss": self.name, "sub": "alice", "aud": AUDIENCE, "exp": now + 300, "iat": now, **changed}
        return {name: value for name, value in good.items() if value is not None}

    def token(self, key: RSAKey | ECKey | OctKey | None = None, header: Mapping[str, Json] | None = None, **changed: Json) -> str:
        """A token; with nothing said, a good one."""
        signing = key or rsa()
        return jwt.encode({"alg": "RS256", "kid": signing.kid, **(header or {})}, self.claims(**changed), signing, ANY)

    async def __call__(
        self, scope: Message, _: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        path = scope["path"]
        self.asked[path] += 1
        status, body = self.says.get(path) or (200, json.dumps(self._answer(path)).encode())
        self.accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
        body = gzip.compress(body) if self.packs else body
        packed = [(b"content-encoding", b"gzip")] if self.packs else []
        headers = [(b"content-length", b"%d" % len(body)), (b"location", b"/keys"), *packed]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str) -> Mapping[str, object]:
        if path == DISCOVERY:
            return {"issuer": self.name, "jwks_uri": f"{self.name}/keys", **self.discovery}
        return KeySet(list(self.keys)).as_dict(private=False)


@asynccontextmanager
async def issuer() -> AsyncIterator[FakeIssuer]:
    """One that answers until the block ends."""
    made = FakeIssuer()
    server = GuardedServer(made, lambda: CONTEXT, host=HOST, port=0, limits=Limits())
    made.port = await server.start()
    try:
        yield made
    finally:
        await server.close(0.2)
        await asyncio.sleep(0.01)
