"""Which machine a statement is about: what Intel keys its collateral by."""

from dataclasses import dataclass
from enum import StrEnum


class Tee(StrEnum):
    """The kinds of trusted execution that a quote can be of."""

    SGX = "SGX"
    TDX = "TDX"


class Ca(StrEnum):
    """Which of Intel's two authorities certified a platform: by its processor alone, or by all its packages together."""

    PROCESSOR = "processor"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A family of platforms, as Intel's services ask for it."""

    fmspc: bytes  # family, model, stepping, platform type, customer SKU: 6 bytes
    ca: Ca
    tee: Tee
