"""An issuer's keys, found where it says that they are, and kept for a while.

Source: OpenID Connect Discovery 1.0, section 4. What is fetched is bounded in size, time and rate: a token with a name of a key
that nobody knows makes one request, not one each. While the issuer is away its keys are good for an hour.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from donjon.access.roles import TrustedIssuer
from donjon.adapters.oidc import keysets, tokens
from donjon.adapters.oidc.keysets import MAX_SET, IssuerKey
from donjon.adapters.oidc.tokens import Token
from donjon.adapters.transport.client import OK, HttpClient
from donjon.adapters.transport.tls import client_context
from donjon.errors import DonjonError, Unavailable, Untrusted
from donjon.formats import strict_json
from donjon.formats.json import JsonObject

FRESH = 600.0  # seconds in which keys are not asked for again
MAX_AGE = 3600.0  # seconds in which they are good though the issuer is away
AGAIN = 10.0  # seconds at least between two requests
TIMEOUT = 3.0  # seconds, for the server to go on
ALTOGETHER = 10.0  # seconds, for discovery and keys together
DISCOVERY = "/.well-known/openid-configuration"

_HEADERS = {"Accept": "application/json"}


class OidcIssuer:
    """One issuer; raises `Misconfigured` DJ556 for authorities that are none."""

    def __init__(self, trusted: TrustedIssuer, seconds: Callable[[], float]) -> None:
        self._trusted, self._seconds = trusted, seconds
        what = f"{trusted.issuer}: authorities that cannot be used"
        trust = client_context(trusted.authorities, code="DJ556", what=what)
        self._client = HttpClient(code="DJ553", seconds=TIMEOUT, trust=trust)
        self._keys: tuple[IssuerKey, ...] = ()
        self._fetch_time = self._attempt_time = float("-inf")
        self._trouble: str | None = None
        self._lock = asyncio.Lock()

    @property
    def issuer(self) -> str:
        """The issuer's name: the `iss` of its tokens."""
        return self._trusted.issuer

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def prove(self, token: Token, moment: datetime) -> JsonObject:
        """What the token says; raises `Untrusted` DJ551, `Unavailable` DJ553."""
        keys = await self._fitting(token)
        return tokens.prove(token, keys, self._trusted.issuer, self._trusted.audiences, moment)

    async def _fitting(self, token: Token) -> Sequence[IssuerKey]:
        matches = tokens.fitting(token, self._keys)
        if matches and self._seconds() - self._fetch_time < FRESH:
            return matches
        trouble = await self._renew()
        matches = tokens.fitting(token, self._keys)
        if matches and self._seconds() - self._fetch_time < MAX_AGE:
            return matches
        if trouble is not None:
            raise Unavailable("DJ553", trouble)
        raise Untrusted("DJ551", f"token: {self._trusted.issuer} has no key with its name and algorithm")

    async def _renew(self) -> str | None:
        """Fetch the keys, unless that was tried a moment ago; what went wrong the last time."""
        async with self._lock:
            if self._seconds() - self._attempt_time >= AGAIN:
                try:
                    async with asyncio.timeout(ALTOGETHER):
                        self._keys = await self._fetch()
                    self._fetch_time, self._trouble = self._seconds(), None
                except (DonjonError, TimeoutError) as error:
                    reason = error.message if isinstance(error, DonjonError) else f"no whole answer within {ALTOGETHER:.0f} s"
                    self._trouble = f"{self._trusted.issuer}: {reason}"
                self._attempt_time = self._seconds()
            return self._trouble

    async def _fetch(self) -> tuple[IssuerKey, ...]:
        discovery = strict_json.parse(await self._get(self._trusted.issuer.rstrip("/") + DISCOVERY), "discovery", fractions=True)
        if discovery.text("issuer") != self._trusted.issuer:
            raise Untrusted("DJ551", f"discovery: of issuer {discovery.text('issuer')[:200]!r}")
        where = discovery.text("jwks_uri")
        if not where.startswith("https://"):
            raise Untrusted("DJ551", f"discovery: keys at {where[:200]!r}, expected https")
        return keysets.parse(await self._get(where), "key set")

    async def _get(self, where: str) -> bytes:
        what = where[:200]
        async with self._client.ask("GET", where, what=what, headers=_HEADERS) as answer:
            if answer.status != OK:
                raise Unavailable("DJ553", f"{what}: answered {answer.status}")
            return await answer.whole(MAX_SET)
