"""Worlds broken at random, each from its number alone: fields of a setting (signed anew), bytes of what was made, and moments.

Most mutants change one thing: what two verifiers make of one broken thing can be compared and its reason told.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from tests.conformance.damage import Random, damaged
from tests.conformance.fields import FIELDS
from tests.conformance.peer import NAMES
from tests.simulation.intel import MOMENT, SEED

from donjon.errors import Misconfigured
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.setting import WorldSetting, setting, with_changes
from donjon.simulation.intel.world import World, make

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

KINDS = ("v3 SGX", "v4 TDX 1.0", "v5 TDX 1.0", "v5 TDX 1.5")
"""The kinds of quotes that others read, too."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """What both verifiers are asked about; `told` says what was changed."""

    told: str
    quote: bytes
    parts: Mapping[str, bytes]
    moment: datetime
    root: bytes | None


def mutant(number: int, bases: Sequence[Mutant]) -> Mutant:
    """The mutant of that number: of a setting, of the bytes of one of the bases, or of the moment."""
    rng = random.Random(number)  # noqa: S311 - the same number is to give the same mutant
    kind = rng.random()
    if kind < 0.5:
        return of_setting(rng)
    base = rng.choice(bases)
    return of_moment(rng, base) if kind < 0.55 else of_bytes(rng, base)


def plain(world: World, told: str) -> Mutant:
    """A world as it is."""
    return Mutant(told, world.quote.data, {name: getattr(world, name) for name in NAMES}, world.setting.moment, world.root)


def of_setting(rng: Random) -> Mutant:
    """A valid world with one field changed, seldom two, and everything signed that follows from it."""
    kind, ca = rng.choice(KINDS), rng.choice((SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA))
    while True:
        whole, told = _valid(kind, ca), [kind, ca.name]
        try:
            for _ in range(rng.choice((1, 1, 1, 2))):
                changes = rng.choice(FIELDS)(rng, whole)
                told.append(str({path: "rewritten" if callable(value) else value for path, value in changes.items()})[:300])
                whole = with_changes(whole, changes)
            return plain(make(whole), "; ".join(told))
        except (ValueError, LookupError, Misconfigured):
            continue  # What no certificate, document or quote can say is not made; the next one is.


@cache
def _valid(kind: str, ca: SimulatedRole) -> WorldSetting:
    return setting(SEED, MOMENT, kind, ca)


def of_moment(rng: Random, base: Mutant) -> Mutant:
    """The same bytes looked at another time."""
    moment = base.moment + rng.choice((SECOND, HOUR, DAY)) * rng.randint(-3000, 3000)
    return replace(base, told=f"{base.told}; at {moment}", moment=moment)


def of_bytes(rng: Random, base: Mutant) -> Mutant:
    """Bytes changed after signing: half of the time in the quote, otherwise in a part of the collateral."""
    if rng.random() < 0.5:
        data, how = damaged(rng, base.quote)
        return replace(base, told=f"{base.told}; quote {how}", quote=data)
    name = rng.choice(NAMES)
    data, how = damaged(rng, base.parts[name])
    return replace(base, told=f"{base.told}; {name} {how}", parts={**base.parts, name: data})
