"""What is said of registries: by whom one calls, which mirrors stand for them, and what is trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """Who calls: by name and password, or by a token that a registry gave."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """How registries are reached."""

    logins: Mapping[str, RegistryLogin] = field(default_factory=dict)  # by HOST[:PORT], or HOST[:PORT]/REPOSITORY…
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of a registry, asked before it
    authorities: str | None = None  # in PEM; those of the system where there are none
    plain_http: frozenset[str] = frozenset()  # registries that speak no TLS; those on this machine need not be named
    inside: frozenset[str] | None = None  # registries that may have an address of this machine or this network; `None`: all
    seconds: float = 10.0  # that a registry may be silent
    patience: float = 300.0  # for all of one image
