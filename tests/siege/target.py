"""What clients need to call the service, in little: each attack starts processes that read this and nothing of the service."""

from dataclasses import dataclass
from pathlib import Path

NOBODYS = "ffff"
"""How the FMSPCs of platforms begin that nobody has: the upstream answers about them a byte at a time."""

HONEST, TENANT = "aa", "bb"
"""The instance that honest clients use, and the one whose policies a hostile tenant sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the service listens, with what it is spoken to, and quotes to show it."""

    port: int
    probes: int
    authority: bytes
    tenant: Path  # key and certificate of the tenant
    quote: bytes
    quote_of_lists: bytes  # its report data are those of `hostile.lists`
    fmspc: str
