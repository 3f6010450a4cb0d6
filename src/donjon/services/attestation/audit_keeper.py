"""The service's audit: whose key signs the heads, that the log has them, too, and for how long records are kept."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from donjon.adapters.keys import public
from donjon.adapters.keys.rings import Ring
from donjon.adapters.logs import say
from donjon.adapters.metrics.attestation import AttestationMetrics, AuditWork
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import Witness
from donjon.adapters.storage.instances import InstanceTable
from donjon.adapters.storage.journal import Journal, fresh_writer
from donjon.adapters.storage.retention import Retention
from donjon.audit import log
from donjon.audit.event import Event
from donjon.errors import DonjonError, Unavailable
from donjon.findings import codes
from donjon.runtime.trouble import Trouble
from donjon.signing.signer import Signer

LOG = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds for one record
LOOK_EVERY = 3600.0  # seconds between looks at what has become old


class AuditKeeper:
    """Signs the heads of the audit, announces them in the log, and drops records that are older than they are kept."""

    def __init__(
        self, ring: Ring | None, keep_for: timedelta | None, now: Callable[[], datetime], metrics: AttestationMetrics
    ) -> None:
        self._ring, self._keep_for, self._now, self._metrics = ring, keep_for, now, metrics
        self._journal: Journal | None = None
        self._table: InstanceTable | None = None
        self._trouble = Trouble("dropping old audit records")

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The keys to reread now and then, as the instances' are."""
        return () if self._ring is None else (self._ring,)

    def journal(self, database: Database) -> Journal:
        """The journal of this process, which writes down every decision and signs heads with the keys of the audit."""
        self._table = InstanceTable(database)
        witness = Witness(signer=self._signer, announce=_announce_head, fail=self._fail)
        self._journal = Journal(database, writer=fresh_writer(), moment=self._now, witness=witness)
        return self._journal

    async def record(self, event: Event) -> None:
        """Record what the service tells by itself; raises `Unavailable`, also where nobody records."""
        if self._journal is None or self._table is None:
            raise Unavailable("DJ622", "nothing can be recorded by a service without instances")
        generation = (await asyncio.to_thread(self._table.read, event.instance)).generation
        await self._journal.keep(event, instance=event.instance, generation=generation)

    def drop(self, database: Database, restate: Callable[[list[Event]], None]) -> None:
        """Drop what has become old; what fails is told once, and is tried again the next time."""
        if self._keep_for is None:
            return
        try:
            certificates = () if self._ring is None else tuple(map(public.certificate, self._ring.all()))
            retention = Retention(
                signer=self._signer(), keys=certificates, announce=_announce_anchor, restate=restate, period=self._keep_for
            )
            count = retention.drop(database, self._now())
        except DonjonError as error:
            if error.code not in codes.NOT_YET_DROPPED:
                self._metrics.count_audit_failure(AuditWork.RETENTION)
            self._trouble.report(error)
        else:
            self._trouble.clear()
            say(LOG, "old audit records dropped", count=count)

    async def drop_now_and_then(self, database: Database) -> None:
        """Drop old records every hour, for as long as the service runs."""
        restate = partial(self._restate, asyncio.get_running_loop())
        while self._keep_for is not None:
            await asyncio.to_thread(self.drop, database, restate)
            await asyncio.sleep(LOOK_EVERY)

    def _restate(self, loop: asyncio.AbstractEventLoop, events: list[Event]) -> None:
        """Record again what still applies; raises `Unavailable`, also where nobody records or it takes too long."""
        try:
            for event in events:
                asyncio.run_coroutine_threadsafe(self.record(event), loop).result(PATIENCE)
        except TimeoutError as error:
            raise Unavailable(codes.DATABASE_AWAY, f"database: no record was written within {PATIENCE:.0f} s") from error

    def _signer(self) -> Signer | None:
        return None if self._ring is None else self._ring.signer()

    def _fail(self, error: Exception) -> None:
        self._metrics.count_audit_failure(AuditWork.HEAD)
        code = error.code if isinstance(error, DonjonError) else None
        say(LOG, "no audit head", level=logging.ERROR, code=code, error=str(error))


def _announce_head(text: str) -> None:
    say(LOG, log.HEAD, statement=text)


def _announce_anchor(text: str) -> None:
    say(LOG, log.ANCHOR, statement=text)
