"""Roles, callers, and which caller has which role."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from donjon.formats.json import Json, JsonObject


class Proof(StrEnum):
    """What proves a caller."""

    OPEN = "open"  # nothing: anybody may do that
    OIDC = "oidc"
    KUBERNETES = "kubernetes"
    CERTIFICATE = "certificate"


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
    """Who was let through, and by which proof."""

    name: str
    how: Proof


ANYBODY = Caller(name="", how=Proof.OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenCaller:
    """A caller whose one name is proved: `runtime.credentials` makes one."""

    how: Proof
    source: str
    name: str  # among those whom its source knows
    claims: JsonObject = field(default_factory=dict, repr=False)

    @property
    def caller(self) -> str:
        """Its one name, in logs, refusals and the audit."""
        return f"{self.source}:{self.name}" if self.source else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer that is believed, for these audiences; and the authorities of its server, in PEM, where not the system's."""

    issuer: str
    audiences: tuple[str, ...]
    authorities: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A caller, as proved, and the roles that go with it."""

    how: Proof
    source: str  # of oidc, the name of its table
    name: str | None  # `None`: whoever the source knows
    claims: Mapping[str, str]
    instances: frozenset[str] | None  # `None`: all
    roles: frozenset[Role]

    def allows(self, proven: ProvenCaller, instance: str, role: Role) -> bool:
        """Whether that caller is this one, and may do that."""
        return (
            role in self.roles
            and (self.instances is None or instance in self.instances)
            and (self.how, self.source) == (proven.how, proven.source)
            and (self.name is None or self.name == proven.name)
            and all(_states(proven.claims, name, value) for name, value in self.claims.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is open to anybody, by the name of the instance (others are as `OPEN` says), and who else may do what."""

    open_roles: Mapping[str, frozenset[Role]] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()

    def is_open(self, instance: str, role: Role) -> bool:
        """Whether anybody may do that with the instance, unproved."""
        return role in self.open_roles.get(instance, OPEN)

    def allows(self, proven: ProvenCaller, instance: str, role: Role) -> bool:
        """Whether some grant lets that caller do that with the instance."""
        return any(each.allows(proven, instance, role) for each in self.grants)


def _states(claims: JsonObject, name: str, value: str) -> bool:
    """Whether a claim is that text, or a list that has it."""
    claim: Json = claims.get(name)
    return value in claim if isinstance(claim, list) else claim == value
