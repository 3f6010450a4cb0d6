"""Who calls, and what they may do.

Nothing of a request is believed but what was proved: a token by its issuer or by the API server, a certificate by the handshake.
Whoever is bound to no role of an instance may do with it what is open to anybody, and nothing else.
"""

import logging
from collections.abc import Mapping
from math import ceil

from starlette.requests import Request

from donjon.access.roles import ANYBODY, Access, Caller, ProvenCaller, Role
from donjon.adapters.logs import say
from donjon.errors import Unavailable, Untrusted
from donjon.runtime.credentials import Credentials
from donjon.runtime.rates import Rates, site

LOG = logging.getLogger(__name__)

UNAUTHORIZED, FORBIDDEN, TOO_MANY = 401, 403, 429

_CALLER_KEY = "donjon.caller"  # where the scope of a request keeps who was proved to make it
_COUNT_KEY = "donjon.counted"  # and under which names it was counted
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class CallerRefused(Untrusted):
    """A request that is not let through, with the status and headers that say so."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.status = status
        self.headers = dict(headers or {})


class Doorkeeper:
    """Lets through who may do what is asked; without proofs nobody is known, without rates nobody comes too often."""

    def __init__(self, access: Access, proofs: Credentials | None = None, rates: Rates | None = None) -> None:
        self._access, self._proofs, self._rates = access, proofs, rates

    async def require(self, request: Request, instance: str, role: Role) -> Caller:
        """Who asks, where they may do that with the instance.

        Raises `CallerRefused` (401 DJ550 or DJ551, 403 DJ552, 429 DJ560), and `Unavailable` where who knows the caller is away.
        """
        self._count(request, site("" if request.client is None else request.client.host))
        if self._access.is_open(instance, role):
            return ANYBODY
        proven = await self._prove(request)
        if proven is None:
            raise CallerRefused(
                UNAUTHORIZED, "DJ550", f"no credentials: expected those of a caller with the role {role}", _CHALLENGE
            )
        self._count(request, f"{proven.how} {proven.caller}")
        if not self._access.allows(proven, instance, role):
            say(LOG, "caller without the role", level=logging.WARNING, caller=proven.caller, instance=instance, role=role)
            raise CallerRefused(FORBIDDEN, "DJ552", f"{proven.caller}: has not the role {role} for {instance}")
        return Caller(name=proven.caller, how=proven.how)

    async def _prove(self, request: Request) -> ProvenCaller | None:
        """Who makes the request; its credentials are looked at once."""
        if _CALLER_KEY not in request.scope:
            try:
                request.scope[_CALLER_KEY] = None if self._proofs is None else await self._proofs.prove(request)
            except Untrusted as error:
                raise CallerRefused(UNAUTHORIZED, error.code, error.message, _INVALID) from error
            except Unavailable as error:  # Callers hear its code alone.
                say(LOG, "caller not known", level=logging.WARNING, code=error.code, error=error.message)
                raise
        proven: ProvenCaller | None = request.scope[_CALLER_KEY]
        return proven

    def _count(self, request: Request, who: str) -> None:
        """Count the request, once under each name."""
        names: set[str] = request.scope.setdefault(_COUNT_KEY, set())
        if self._rates is None or who in names:
            return
        names.add(who)
        if wait := self._rates.wait(who):
            raise CallerRefused(
                TOO_MANY, "DJ560", f"too many requests: expected the next in {wait:.1f} s", {"Retry-After": str(ceil(wait))}
            )
