"""Platforms and their PCK certificates: fetched, proved, kept, and the best one selected for the TCB that a platform has.

What is served was proved under the pinned root, is within its validity, and is not on its authority's list of revoked ones as it
was last seen. Nothing that names a machine is logged.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from donjon.adapters.logs import say
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import pck_certificates, plan, tcb_info
from donjon.collateral.bundle import unwrap
from donjon.collateral.document import Document
from donjon.collateral.pck_certificates import PckCertificate
from donjon.collateral.plan import Absent, Channel
from donjon.collateral.platforms import KnownPlatform, PlatformName, Registration, StoredPlatform
from donjon.collateral.selection import Tcb, select
from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.pki.crl import Crl
from donjon.services.attestation.pccs.cache import Cache
from donjon.services.attestation.pccs.pck_source import PckSource
from donjon.services.attestation.pccs.platform_memory import PlatformCertificate, PlatformMemory, Selection, Slot
from donjon.services.attestation.pccs.single_flight import Fetches
from donjon.sgx.platform import Tee

LOG = logging.getLogger(__name__)

ASKED_AGAIN = 3600.0  # seconds until a cache that gives one certificate at a time is asked for the same TCB again
FETCHED_AGAIN, SPREAD = timedelta(days=20), timedelta(days=10)  # after it was fetched, each platform at a moment of its own
FRESH = 60.0  # seconds
AT_A_LOOK = 100  # platforms that are fetched again when nobody asks


class PlatformStore(Protocol):
    """Where platforms outlive the process; it is called in threads, and everything raises `Unavailable` DJ502."""

    def read(self, name: PlatformName) -> StoredPlatform | None:
        """The platform of that name, where there is one."""

    def list_platforms(self, fmspcs: Sequence[bytes], *, lacking: bool) -> list[Registration]:
        """Those of these families, or of every one; those alone of whose certificates Intel lacked some. Raises DJ578, too."""

    def fetched_before(self, moment: datetime, count: int) -> list[PlatformName]:
        """That many at most whose certificates were fetched before then."""

    def write(self, platforms: Sequence[KnownPlatform]) -> None:
        """Keep these, all or none, and let them wait no longer."""

    def register(self, registration: Registration) -> None:
        """Let this one wait for its certificates."""

    def waiting(self) -> list[Registration]:
        """The platforms that wait for certificates."""


class Platforms:
    """The platforms that one cache serves, with their PCK certificates."""

    def __init__(
        self,
        *,
        cache: Cache,
        store: PlatformStore,
        source: PckSource | None,
        on_demand: bool,
        moment: Callable[[], datetime],
        seconds: Callable[[], float],
        chance: Callable[[], float],
        metrics: AttestationMetrics,
    ) -> None:
        """Offline without one who issues; what is not on demand is fetched for those alone that register."""
        self._cache, self._store, self._source, self._on_demand = cache, store, source, on_demand
        self._moment, self._seconds, self._chance, self._metrics = moment, seconds, chance, metrics
        self._fetches: Fetches[Slot] = Fetches(seconds)
        self._memory = PlatformMemory()
        self._joining = asyncio.Lock()  # of certificates that are given one by one, so that none is lost to another

    async def certificate(self, registration: Registration, tcb: Tcb) -> PlatformCertificate:
        """The PCK certificate that the platform should use.

        Raises `Absent` DJ571 where none fits, DJ572 for a platform that is not known, DJ573 and DJ574 where none can be had;
        and what fetching and proving raise.
        """
        slot = await self._find(registration.name)
        if slot is None:
            if not self._on_demand:
                raise Absent("DJ572", "platform: not known here; it has to be registered")
            with_tcb = replace(registration, tcb=tcb)
            self._fetches.check_room(self._key(with_tcb))
            slot = await self._await_fetch(with_tcb)
            slot.note(tcb, self._seconds() + ASKED_AGAIN)
        elif self._source is not None:
            slot = await self._fresher(slot, registration, tcb)
        return await self._select(slot, tcb)

    def must_ask(self, name: PlatformName, tcb: Tcb) -> bool:
        """Whether that platform, or a certificate for its TCB, is not at hand, so that somebody has to be asked."""
        slot = self._memory.find(name)
        return slot is None or (self._source is not None and slot.must_ask(tcb, self._seconds()))

    async def register(self, registration: Registration) -> KnownPlatform | None:
        """The platform with its certificates, fetched where they are not here; it waits for them where nothing is fetched."""
        slot = await self._find(registration.name)
        if slot is not None and _is_same(registration, slot.platform.stored_platform.registration):
            return slot.platform
        if not self._on_demand:
            await asyncio.to_thread(self._store.register, registration)
        if self._source is None:
            return None
        self._fetches.forget(self._key(registration))
        return (await self._await_fetch(registration, anew=True)).platform

    async def waiting(self) -> list[Registration]:
        """The platforms that registered and wait for certificates."""
        return await asyncio.to_thread(self._store.waiting)

    async def registrations(self, fmspcs: Sequence[bytes], *, lacking: bool = False) -> list[Registration]:
        """Those of these families that have them, or of every one; those alone of whose certificates Intel lacked some."""
        return await asyncio.to_thread(partial(self._store.list_platforms, fmspcs, lacking=lacking))

    def prove_all(self, records: Sequence[StoredPlatform], root_crl: Crl) -> list[KnownPlatform]:
        """Platforms that somebody brings, each proved; raises as `pck_certificates.prove` does. Nothing is kept yet."""
        return [self._prove(each, root_crl) for each in records]

    async def accept(self, platforms: Sequence[KnownPlatform]) -> None:
        """Keep and serve these, all or none."""
        await asyncio.to_thread(self._store.write, platforms)
        for each in platforms:
            self._memory.forget(each.stored_platform.registration.name)

    async def refresh(self, names: Sequence[PlatformName]) -> None:
        """Fetch the certificates of these again; raises the first error when all were tried."""
        if self._source is None:
            raise Absent("DJ512", "platforms: nothing is fetched in offline mode")
        self._fetches.forget()
        outcomes = await asyncio.gather(*map(self._again, names), return_exceptions=True)
        if failed := next((each for each in outcomes if isinstance(each, BaseException)), None):
            raise failed

    async def look(self) -> None:
        """Fetch again what was fetched longest ago, if it is due."""
        if self._source is not None:
            due = self._moment() - FETCHED_AGAIN - SPREAD
            await self.refresh(await asyncio.to_thread(self._store.fetched_before, due, AT_A_LOOK))

    async def close(self) -> None:
        """Cancel the fetches that are under way."""
        await self._fetches.close()

    async def _find(self, name: PlatformName) -> Slot | None:
        """The one of that name, proved under the root's newest list."""
        remembered = self._memory.find(name)
        if remembered is None or remembered.until < self._seconds():
            record = await asyncio.to_thread(self._store.read, name)
        else:
            record = remembered.platform.stored_platform
        if record is None:
            return None
        root_crl = await self._cache.root_crl()
        if remembered is not None and remembered.under is root_crl and remembered.platform.stored_platform == record:
            if remembered.until < self._seconds():
                remembered.until = self._seconds() + FRESH
            return remembered
        try:
            return self._remember(self._prove(record, root_crl), root_crl)
        except DonjonError as error:
            say(LOG, "stored platform not served", level=logging.ERROR, code=error.code, error=error.message)
            return None

    async def _fresher(self, slot: Slot, registration: Registration, tcb: Tcb) -> Slot:
        """The platform, its certificates fetched again: at once where they lack that TCB, without waiting where they are due."""
        recorded = slot.platform.stored_platform.registration
        to_fetch = replace(recorded, tcb=tcb, encrypted_ppid=recorded.encrypted_ppid or registration.encrypted_ppid)
        key = self._key(to_fetch)
        if slot.must_ask(tcb, self._seconds()):
            try:
                self._fetches.check_room(key)
                better = await self._await_fetch(to_fetch, slot.platform)
            except (Unavailable, Untrusted, Malformed):  # Remembered by the fetches; what is here may do.
                return slot
            better.note(tcb, self._seconds() + ASKED_AGAIN)
            return better
        if slot.due < self._moment() and self._fetches.failure(key) is None:
            self._fetches.begin(key, partial(self._fetch_and_log, to_fetch, slot.platform))
        return slot

    def _key(self, registration: Registration) -> str:
        """By which it is fetched: of an upstream that gives one certificate at a time, each TCB by itself."""
        alone = self._source is not None and self._source.is_cache and registration.tcb is not None
        return f"{_text(registration.name)} {registration.tcb}" if alone else _text(registration.name)

    async def _again(self, name: PlatformName) -> None:
        slot = await self._find(name)
        if slot is not None:
            slot.fresh_until.clear()
            await self._await_fetch(slot.platform.stored_platform.registration, slot.platform)

    async def _await_fetch(self, registration: Registration, before: KnownPlatform | None = None, *, anew: bool = False) -> Slot:
        return await self._fetches.wait(self._key(registration), partial(self._fetch_and_log, registration, before, anew=anew))

    async def _fetch_and_log(self, registration: Registration, before: KnownPlatform | None, *, anew: bool = False) -> Slot:
        try:
            slot = await self._fetch(registration, before, anew=anew)
        except DonjonError as error:
            self._metrics.count_fetch(error.code)
            level = logging.INFO if isinstance(error, Absent) else logging.WARNING
            say(LOG, "PCK certificates not fetched", level=level, code=error.code, error=error.message)
            raise
        self._metrics.count_fetch("")
        fmspc, certificates = slot.platform.pck_certificates.fmspc.hex(), len(slot.platform.pck_certificates.certificates)
        say(LOG, "PCK certificates fetched", fmspc=fmspc, certificates=certificates)
        return slot

    async def _fetch(self, registration: Registration, before: KnownPlatform | None, *, anew: bool) -> Slot:
        """Its certificates now: of the same machine where it is known and not registered anew, as anybody may ask by its name."""
        if self._source is None:
            raise Absent("DJ572", "platform: not known here, and nothing is fetched in offline mode")
        record = await self._source.certificates(registration, self._moment())
        root_crl = await self._cache.root_crl()
        async with self._joining:
            if not anew and (here := self._memory.find(registration.name)) is not None:
                before = here.platform  # Others may have come while this one was fetched.
            merged = record if before is None or record.whole else _merge(record, before.stored_platform)
            platform = self._prove(merged, root_crl)
            if before is not None and platform.pck_certificates.ppid != before.pck_certificates.ppid:
                raise Untrusted("DJ570", "PCK certificates: of another machine than the one that is known by that name")
            await asyncio.to_thread(self._store.write, [platform])
            return self._remember(platform, root_crl)

    def _prove(self, record: StoredPlatform, root_crl: Crl) -> KnownPlatform:
        pce_id = record.registration.name.pce_id
        certificates = pck_certificates.prove(record.certificates, record.chain, pce_id, root_crl, self._cache.anchor)
        return KnownPlatform(stored_platform=record, pck_certificates=certificates)

    def _remember(self, platform: KnownPlatform, root_crl: Crl) -> Slot:
        name = platform.stored_platform.registration.name
        due = platform.stored_platform.fetched_at + FETCHED_AGAIN + SPREAD * self._chance()
        entry = Slot(platform=platform, under=root_crl, due=due, until=self._seconds() + FRESH)
        return self._memory.keep(name, entry)

    async def _select(self, slot: Slot, tcb: Tcb) -> PlatformCertificate:
        levels = await self._levels(slot.platform.pck_certificates.fmspc)
        pck_crl = await self._cache.get_or_stale(plan.pck_crl(slot.platform.pck_certificates.ca))
        before = slot.selections.get(tcb)
        if (
            before is not None
            and before.levels is levels
            and before.pck_crl is pck_crl
            and self._is_good(before.selected.certificate)
        ):
            return before.selected
        selected = PlatformCertificate(certificate=self._best(slot.platform, tcb, levels, pck_crl), platform=slot.platform)
        slot.select(tcb, Selection(selected=selected, levels=levels, pck_crl=pck_crl))
        return selected

    async def _levels(self, fmspc: bytes) -> Document:
        """The TCB info by which is selected, the early one where there is one, as Intel's cache does."""
        try:
            return await self._cache.get_or_stale(plan.tcb_info(Tee.SGX, fmspc, Channel.EARLY))
        except Unavailable:
            return await self._cache.get_or_stale(plan.tcb_info(Tee.SGX, fmspc, Channel.STANDARD))

    def _best(self, platform: KnownPlatform, tcb: Tcb, levels: Document, pck_crl: Document) -> PckCertificate:
        info = tcb_info.parse(unwrap(levels.body, "tcbInfo").text)
        good = [
            each for each in platform.pck_certificates.certificates if each.serial not in pck_crl.serials and self._is_good(each)
        ]
        index = select(tcb, [each.tcb for each in good], info.levels)
        if index is None:
            raise Absent("DJ571", "platform: none of its PCK certificates is for a TCB that it reaches, good now and not revoked")
        return good[index]

    def _is_good(self, certificate: PckCertificate) -> bool:
        return self._moment() in certificate.window


def _is_same(new: Registration, recorded: Registration) -> bool:
    """Whether there is nothing new by which Intel could be asked; a PPID is encrypted to other bytes each time."""
    if new.manifest is not None:
        return new.manifest == recorded.manifest
    return new.encrypted_ppid == recorded.encrypted_ppid or recorded.manifest is not None


def _merge(new: StoredPlatform, before: StoredPlatform) -> StoredPlatform:
    """The new certificates and those before, where both were given one by one."""
    if before.whole or before.chain != new.chain:
        return new
    return replace(new, certificates=tuple(dict.fromkeys((*new.certificates, *before.certificates))))


def _text(name: PlatformName) -> str:
    return f"{name.pce_id.hex()} {name.qe_id}"
