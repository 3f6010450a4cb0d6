"""The cache of collateral: what it serves was proved under the pinned root, and is served no longer than was signed.

Lazy: what is not here is fetched when it is asked for. Offline: nothing is fetched. What is here is fetched again ahead of its
end, each document at a moment of its own; while the upstream is away, what is here is served until that end.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from donjon.adapters.logs import say
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.collateral import plan
from donjon.collateral.document import Document
from donjon.collateral.plan import Absent, Answer, CollateralRequest
from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor
from donjon.services.attestation.pccs.document_memory import ROOT, SOONEST, DocumentMemory, as_answer
from donjon.services.attestation.pccs.single_flight import Fetches
from donjon.sgx.platform import Ca

LOG = logging.getLogger(__name__)

AT_ONCE = 4  # requests to the upstream


class Upstream(Protocol):
    """Intel's service, or another cache; it is called in threads."""

    def answer(self, request: CollateralRequest) -> Answer:
        """What it answers; raises `Absent` where it has none, `Unavailable` otherwise."""


class Table(Protocol):
    """Where documents outlive the process; it is called in threads."""

    def all(self) -> dict[str, Answer]:
        """Every document by its name; raises `Unavailable`."""

    def read(self, name: str) -> Answer | None:
        """The document of that name; raises `Unavailable`."""

    def write(self, documents: dict[str, Answer]) -> None:
        """Keep these, all or none; raises `Unavailable`."""


class Cache:
    """One cache."""

    def __init__(
        self,
        *,
        table: Table,
        upstream: Upstream | None,
        anchor: Anchor,
        moment: Callable[[], datetime],
        seconds: Callable[[], float],
        chance: Callable[[], float],
        metrics: AttestationMetrics,
        on_demand: bool = True,
    ) -> None:
        """Offline without an upstream; `chance` is between 0 and 1, another each time.

        Where it is not on demand, only what is here is fetched again, and what `require` names.
        """
        self._table, self._upstream, self.anchor, self._metrics = table, upstream, anchor, metrics
        self._moment, self._on_demand = moment, on_demand
        self._memory = DocumentMemory(anchor=anchor, moment=moment, chance=chance, metrics=metrics)
        self._asked_again: dict[str, datetime] = {}
        self._fetches: Fetches[Document] = Fetches(seconds)
        self._gate = asyncio.Semaphore(AT_ONCE)

    def load(self) -> None:
        """Take what is stored, each document proved again; raises `Unavailable` where it cannot be read."""
        self._memory.load(self._table.all())

    @property
    def offline(self) -> bool:
        """Whether nothing is fetched."""
        return self._upstream is None

    @property
    def held(self) -> Mapping[str, Document]:
        """Every document by its name."""
        return self._memory.documents

    def usable(self) -> bool:
        """Whether anything could be answered: something has not ended, or there is someone to ask."""
        return self._upstream is not None or bool(self.unended(timedelta(0)))

    def unended(self, staleness: timedelta) -> list[Document]:
        """What has not ended, or no longer ago than that."""
        return self._memory.unended(staleness)

    async def document(self, request: CollateralRequest, staleness: timedelta = timedelta(0)) -> Document:
        """The document, ended no longer ago than that where no other can be had.

        Raises `Absent` DJ512 where there is none, and what `Upstream` and proving raise.
        """
        name, moment = request.name(), self._moment()
        held = self._memory.find(request)
        if held is None and not self._on_demand:
            raise Absent("DJ512", f"collateral: not here, and nothing is fetched on demand: {name}")
        if held is None:
            self._fetches.check_room(name)
        if held is None or held.expires < moment:
            try:
                return await self._fetched(request)
            except Unavailable:
                if held is None or held.expires + staleness < moment:
                    raise
                return held
        if self._upstream is not None and self._memory.is_due(name) and not self._fetches.failed(name):
            self._begin(request)
        return held

    def lacks(self, request: CollateralRequest) -> bool:
        """Whether that is not here, so that somebody has to be asked."""
        return self._upstream is not None and self._on_demand and request.name() not in self.held

    async def require(self, request: CollateralRequest) -> Document:
        """The same, fetched also where nothing is fetched on demand."""
        return await self.document(request) if request.name() in self.held else await self._fetched(request)

    async def at_hand(self, request: CollateralRequest) -> Document:
        """The same, or the one that has ended where no other can be had: enough to choose by, not to be served."""
        try:
            return await self.require(request)
        except Unavailable:
            if (held := self._memory.find(request)) is None:
                raise
            return held

    async def again(self, request: CollateralRequest) -> Document:
        """The one that is held, fetched once more first for who sees that there must be a newer one: not each time."""
        name, moment = request.name(), self._moment()
        held, asked = self.held[name], self._asked_again.get(name)
        if self._upstream is None or (asked is not None and moment < asked + SOONEST):
            return held
        self._asked_again[name] = moment
        try:
            return await self._fetched(request)
        except DonjonError:  # Told where it happened.
            return held

    async def revoked(self) -> Crl:
        """What the root has revoked; raises as `document` does."""
        await self.require(ROOT)
        return self._memory.revoked()

    def proved(self, answers: Mapping[str, Answer]) -> dict[str, Document]:
        """Documents that somebody brings, proved under the newest of the root's lists; raises as `prove_all` does.

        Nothing is kept yet.
        """
        return self._memory.prove_all(answers)

    async def take(self, found: Mapping[str, Document]) -> None:
        """Keep and serve these, all or none, but for those that have ended or are older than what is here."""
        newer = {name: as_answer(each) for name, each in found.items() if self._memory.is_newer(each)}
        if newer:
            await asyncio.to_thread(self._table.write, newer)
            self._memory.load(newer)  # Proved once more: while it was being written, the root's list may have changed.
            for name in newer:
                self._fetches.forget(name)

    async def refresh(self, *, everything: bool) -> None:
        """Fetch again all that is held, or what is due; raises the first error when all were tried."""
        wanted = [each.request for name, each in self.held.items() if everything or self._memory.is_due(name)]
        if self._upstream is None:
            raise Absent("DJ512", "collateral: nothing is fetched in offline mode")
        if everything:
            self._fetches.forget()
        ended = await asyncio.gather(*map(self._fetched, wanted), return_exceptions=True)
        for request, found in zip(wanted, ended, strict=True):
            if isinstance(found, BaseException) and not (isinstance(found, Absent) and plan.NUMBER in request.query):
                raise found  # Of an edition that Intel has withdrawn there is no newer document: it is served until its end.

    async def close(self) -> None:
        """Let go of what is under way."""
        await self._fetches.close()

    async def _fetched(self, request: CollateralRequest) -> Document:
        return await self._fetches.wait(request.name(), partial(self._told, request))

    def _begin(self, request: CollateralRequest) -> None:
        self._fetches.begin(request.name(), partial(self._told, request))

    async def _told(self, request: CollateralRequest) -> Document:
        name = request.name()
        try:
            found = await self._fetch(request)
        except DonjonError as error:
            self._metrics.fetched(error.code)
            level = logging.INFO if isinstance(error, Absent) else logging.WARNING
            say(LOG, "collateral not fetched", level=level, document=name, code=error.code, error=error.message)
            raise
        self._metrics.fetched("")
        say(LOG, "collateral fetched", document=name, expires=found.expires.isoformat())
        return found

    async def _fetch(self, request: CollateralRequest) -> Document:
        with suppress(Untrusted, Malformed):
            if (found := await self._kept_by_others(request)) is not None:
                return found
        answer = await self._ask(request)
        if request.path == ROOT.path:
            chain = (await self._ask(plan.pck_crl(Ca.PROCESSOR))).chain
            return await self._take_answer(ROOT, Answer(body=answer.body, chain=chain))
        if not self._memory.has_root_list():
            await self._take_answer(ROOT, Answer(body=(await self._ask(ROOT)).body, chain=answer.chain))
        return await self._take_answer(request, answer)

    async def _kept_by_others(self, request: CollateralRequest) -> Document | None:
        """What another process has put into the database meanwhile, if it is good and newer than what is here."""
        held = self._memory.find(request)
        if held is not None and held.expires >= self._moment():
            return None
        if request.path != ROOT.path and ROOT.name() not in self.held:
            await self._kept_by_others(ROOT)
            if ROOT.name() not in self.held:
                return None
        answer = await asyncio.to_thread(self._table.read, request.name())
        if answer is None:
            return None
        found = self._memory.prove(request, answer)
        self._memory.check_not_older(found)
        ended = found.expires < self._moment()
        if request.path == ROOT.path or not ended:  # A list of the root's that has ended is better than none, as at the start.
            self._keep(found)
        return None if ended else found

    async def _ask(self, request: CollateralRequest) -> Answer:
        if self._upstream is None:
            raise Absent("DJ512", f"collateral: not here, and nothing is fetched in offline mode: {request.name()}")
        async with self._gate:
            return await asyncio.to_thread(self._upstream.answer, request)

    async def _take_answer(self, request: CollateralRequest, answer: Answer) -> Document:
        """Keep it and serve it, unless it has ended or is older than what is here."""
        found = self._memory.prove(request, answer)
        self._memory.check_not_older(found)
        if found.expires < self._moment():
            raise Unavailable("DJ514", f"collateral: the upstream has only what ended {found.expires:%FT%TZ}: {request.name()}")
        await asyncio.to_thread(self._table.write, {request.name(): as_answer(found)})
        found = self._memory.prove(request, answer)  # Once more: while it was being written, the root's list may have changed.
        self._keep(found)
        return found

    def _keep(self, found: Document) -> None:
        self._memory.keep(found)
        self._fetches.forget(found.request.name())
