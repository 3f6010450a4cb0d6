"""Who calls, and what they may do.

Nothing of a request is believed but what was proved: a token by its issuer or by the API server, a certificate by the handshake.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from starlette.requests import Request as Asked

from donjon.errors import Untrusted

UNAUTHORIZED, FORBIDDEN, TOO_MANY = 401, 403, 429


class Role(StrEnum):
    """What a caller can be allowed to do with an instance."""

    ATTEST = "attest"  # have quotes judged
    READ = "read"  # see its policies and policy management certificates
    DRAFT = "draft"  # have quotes judged by a policy of the caller's own
    POLICY = "policy"  # change its policies and policy management certificates


OPEN = frozenset({Role.ATTEST, Role.READ})
"""What anybody may do with an instance that says nothing else; nothing more can be open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who was let through: `how` is open, oidc, kubernetes or certificate."""

    name: str
    how: str


ANYBODY = Caller(name="", how="open")


class Refused(Untrusted):
    """A request that is not let through, with the status and headers that say so."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is open to anybody, by the name of the instance; other instances are as `OPEN` says."""

    opened: Mapping[str, frozenset[Role]] = field(default_factory=dict)

    def is_open(self, instance: str, role: Role) -> bool:
        """Whether anybody may do that."""
        return role in self.opened.get(instance, OPEN)


class Callers:
    """Lets through who may do what is asked."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def require(self, asked: Asked, instance: str, role: Role) -> Caller:
        """Who asks, where they may do that with the instance.

        Raises `Refused` (401 DJ550 or DJ551, 403 DJ552, 429 DJ560), and `Unavailable` where whoever knows the caller is away.
        """
        if self._access.is_open(instance, role):
            return ANYBODY
        raise Refused(
            UNAUTHORIZED, "DJ550", f"{asked.url.path}: only for callers with the role {role}", {"WWW-Authenticate": "Bearer"}
        )
