"""Whom the API server is told to trust while replicas differ: whoever serves is trusted until all have changed over.

A replica adds those it needs. Those that another one told, it takes out only where they have ended, or where the shared
certificates are there for all to see and have been without them for a while. So replicas that differ come to rest, and none
empties what is told.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from donjon.pki.serving import ServingAuthority

Sightings = Mapping[ServingAuthority, datetime]
"""Authorities that are told and that nobody needs, and since when."""


def sightings(
    needed: Collection[ServingAuthority], in_force: Collection[ServingAuthority], before: Sightings, moment: datetime
) -> Sightings:
    """Since when each authority that is in force is none of those needed, by what was seen before."""
    return {each: before.get(each, moment) for each in in_force if each not in needed}


def trust(
    needed: tuple[ServingAuthority, ...],
    in_force: tuple[ServingAuthority, ...],
    unneeded: Sightings,
    moment: datetime,
    settle: timedelta,
) -> tuple[ServingAuthority, ...]:
    """Whom to tell: those needed, and of the others in force those not unneeded for that long; none that has ended.

    Where all have ended, what is in force stays.
    """
    needed = tuple(each for each in dict.fromkeys(needed) if each.ends > moment)
    others = (each for each in in_force if each not in needed and each.ends > moment)
    bundle = (*needed, *(each for each in others if moment < unneeded.get(each, moment) + settle))
    return in_force if not bundle or set(bundle) == set(in_force) else bundle
