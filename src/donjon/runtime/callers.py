"""Who calls, and what they may do.

Nothing of a request is believed but what was proved: a token by its issuer or by the API server, a certificate by the handshake.
Whoever is bound to no role of an instance may do with it what is open to anybody, and nothing else.
"""

import logging
from collections.abc import Mapping
from math import ceil

from starlette.requests import Request as Asked

from donjon.access.roles import ANYBODY, Access, Caller, ProvenCaller, Role
from donjon.adapters.logs import say
from donjon.errors import Unavailable, Untrusted
from donjon.runtime.credentials import Credentials
from donjon.runtime.rates import Rates, site

LOG = logging.getLogger(__name__)

UNAUTHORIZED, FORBIDDEN, TOO_MANY = 401, 403, 429

_SEEN = "donjon.caller"  # where the scope of a request keeps who was proved to make it
_COUNTED = "donjon.counted"  # and under which names it was counted
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class Refused(Untrusted):
    """A request that is not let through, with the status and headers that say so."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.status = status
        self.headers = dict(headers or {})


class Callers:
    """Lets through who may do what is asked; without proofs nobody is known, without rates nobody comes too often."""

    def __init__(self, access: Access, proofs: Credentials | None = None, rates: Rates | None = None) -> None:
        self._access, self._proofs, self._rates = access, proofs, rates

    async def require(self, asked: Asked, instance: str, role: Role) -> Caller:
        """Who asks, where they may do that with the instance.

        Raises `Refused` (401 DJ550 or DJ551, 403 DJ552, 429 DJ560), and `Unavailable` where whoever knows the caller is away.
        """
        self._count(asked, site("" if asked.client is None else asked.client.host))
        if self._access.is_open(instance, role):
            return ANYBODY
        proven = await self._proven(asked)
        if proven is None:
            raise Refused(UNAUTHORIZED, "DJ550", f"no credentials: expected those of a caller with the role {role}", _CHALLENGE)
        self._count(asked, f"{proven.how} {proven.caller}")
        if not self._access.allows(proven, instance, role):
            say(LOG, "caller without the role", level=logging.WARNING, caller=proven.caller, instance=instance, role=role)
            raise Refused(FORBIDDEN, "DJ552", f"{proven.caller}: has not the role {role} for {instance}")
        return Caller(name=proven.caller, how=proven.how)

    async def _proven(self, asked: Asked) -> ProvenCaller | None:
        """Looked at once a request."""
        if _SEEN not in asked.scope:
            try:
                asked.scope[_SEEN] = None if self._proofs is None else await self._proofs.proven(asked)
            except Untrusted as error:
                raise Refused(UNAUTHORIZED, error.code, error.message, _INVALID) from error
            except Unavailable as error:  # Callers hear its code alone.
                say(LOG, "caller not known", level=logging.WARNING, code=error.code, error=error.message)
                raise
        found: ProvenCaller | None = asked.scope[_SEEN]
        return found

    def _count(self, asked: Asked, who: str) -> None:
        """Count the request, once under each name."""
        counted: set[str] = asked.scope.setdefault(_COUNTED, set())
        if self._rates is None or who in counted:
            return
        counted.add(who)
        if wait := self._rates.wait(who):
            raise Refused(
                TOO_MANY, "DJ560", f"too many requests: expected the next in {wait:.1f} s", {"Retry-After": str(ceil(wait))}
            )
