"""Which keys sign: read again twice a minute, and put on record as a process takes them up, and whenever others are in use.

Keys of the audit itself are in the log alone: each head names the one that signed it.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from donjon.adapters.keys.rings import Ring
from donjon.adapters.logs import say
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.errors import DonjonError, Unavailable
from donjon.formats.json import JsonObject
from donjon.runtime.trouble import Caution
from donjon.services.attestation.audit_keeper import AuditKeeper

LOG = logging.getLogger(__name__)

LOOK_EVERY = 30.0  # seconds

_NOBODY = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysInUse:
    """Which key signs, and which are published, by their names."""

    kid: str  # or that there is none
    published: tuple[str, ...]


class KeyWatch:
    """Looks at all rings, and tells log and audit of each change once, however often it looks."""

    def __init__(self, rings: Mapping[str, Ring], audit: AuditKeeper) -> None:
        """The rings by their instances' names."""
        self._rings, self._audit = rings, audit
        self._latest: dict[str | None, KeysInUse] = {}
        self._cautions = {name: Caution(name) for name in (None, *rings)}

    async def look(self) -> None:
        """Reread the keys; what cannot be recorded now is recorded at a later look."""
        for ring in self._audit.rings:
            await self._tell("audit keys in use", None, ring)
        for name, ring in self._rings.items():
            await self._tell("signing keys in use", name, ring)

    async def look_now_and_then(self) -> None:
        """Look twice a minute, for as long as the service runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()

    async def _tell(self, change: str, instance: str | None, ring: Ring) -> None:
        await ring.look()
        self._cautions[instance].tell("audit keys" if instance is None else "signing keys", ring.finding())
        before, now = self._latest.get(instance), _in_use(ring)
        if now == before:
            return
        try:
            if instance is not None:
                await self._audit.record(_event(instance, ring.place, before, now))
        except DonjonError as error:
            say(LOG, "signing keys not recorded", level=logging.ERROR, instance=instance, code=error.code, error=error.message)
        else:
            self._latest[instance] = now
            say(LOG, change, instance=instance, place=ring.place, kid=now.kid, published=now.published)


def _in_use(ring: Ring) -> KeysInUse:
    try:
        kid = ring.signer().kid
    except Unavailable:
        kid = _NOBODY
    return KeysInUse(kid=kid, published=tuple(each.kid for each in ring.published()))


def _event(instance: str, place: str, before: KeysInUse | None, now: KeysInUse) -> Event:
    """The first of a process has nothing before it."""
    facts = {"kid": now.kid, "place": place, **({} if before is None else {"before": before.kid})}
    trace: JsonObject = {"published": list(now.published), **({} if before is None else {"before": list(before.published)})}
    return Event(kind=EventKind.KEYS, instance=instance, caller="", verdict=EventVerdict.ALLOW, facts=facts, trace=trace)
