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
from donjon.collateral.plan import Absent, Answer, CollateralKind, CollateralRequest
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


class CollateralStore(Protocol):
    """Where documents outlive the process; it is called in threads."""

    def all(self) -> dict[str, Answer]:
        """Every document by its name; raises `Unavailable`."""

    def read(self, name: str) -> Answer | None:
        """The document of that name; raises `Unavailable`."""

    def write(self, documents: dict[str, Answer]) -> None:
        """Keep these, all or none; raises `Unavailable`."""


class Cache:
    """Documents of collateral by what they are asked for: kept, fetched, fetched again before they end."""

    def __init__(
        self,
        *,
        store: CollateralStore,
        upstream: Upstream | None,
        anchor: Anchor,
        moment: Callable[[], datetime],
        seconds: Callable[[], float],
        chance: Callable[[], float],
        metrics: AttestationMetrics,
        on_demand: bool = True,
    ) -> None:
        """Offline without an upstream; `chance` is between 0 and 1, another each time.

        Where it is not on demand, only what is here is fetched again, and what `get_or_fetch` names.
        """
        self._store, self._upstream, self.anchor, self._metrics = store, upstream, anchor, metrics
        self._moment, self._on_demand = moment, on_demand
        self._memory = DocumentMemory(anchor=anchor, moment=moment, chance=chance, metrics=metrics)
        self._refetched_at: dict[str, datetime] = {}
        self._fetches: Fetches[Document] = Fetches(seconds)
        self._gate = asyncio.Semaphore(AT_ONCE)

    def load(self) -> None:
        """Take what is stored, each document proved again; raises `Unavailable` where it cannot be read."""
        self._memory.load(self._store.all())

    @property
    def offline(self) -> bool:
        """Whether there is no upstream, so that nothing is ever fetched."""
        return self._upstream is None

    @property
    def documents(self) -> Mapping[str, Document]:
        """Every document that is served, by its name."""
        return self._memory.documents

    def usable(self) -> bool:
        """Whether anything could be answered: something has not ended, or there is someone to ask."""
        return self._upstream is not None or bool(self.not_expired(timedelta(0)))

    def not_expired(self, staleness: timedelta) -> list[Document]:
        """What has not ended, or no longer ago than that."""
        return self._memory.not_expired(staleness)

    async def get(self, request: CollateralRequest, staleness: timedelta = timedelta(0)) -> Document:
        """The document, ended no longer ago than that where no other can be had.

        Raises `Absent` DJ512 where there is none, and what `Upstream` and proving raise.
        """
        name, moment = request.name(), self._moment()
        cached = self._memory.find(request)
        if cached is None and not self._on_demand:
            raise Absent("DJ512", f"collateral: not here, and nothing is fetched on demand: {name}")
        if cached is None:
            self._fetches.check_room(name)
        if cached is None or cached.expires < moment:
            try:
                return await self._await_fetch(request)
            except Unavailable:
                if cached is None or cached.expires + staleness < moment:
                    raise
                return cached
        if self._upstream is not None and self._memory.is_due(name) and not self._fetches.failure(name):
            self._fetches.begin(request.name(), partial(self._fetch_and_log, request))
        return cached

    def must_fetch(self, request: CollateralRequest) -> bool:
        """Whether that is not here, so that somebody has to be asked."""
        return self._upstream is not None and self._on_demand and request.name() not in self.documents

    async def get_or_fetch(self, request: CollateralRequest) -> Document:
        """The document, fetched also where nothing is fetched on demand; raises as `get` does."""
        return await self.get(request) if request.name() in self.documents else await self._await_fetch(request)

    async def get_or_stale(self, request: CollateralRequest) -> Document:
        """As `get_or_fetch`, or the one that has ended where no other can be had: enough to choose by, not to be served."""
        try:
            return await self.get_or_fetch(request)
        except Unavailable:
            if (cached := self._memory.find(request)) is None:
                raise
            return cached

    async def refetch(self, request: CollateralRequest) -> Document:
        """The document that is here, fetched once more first for who sees that there must be a newer one: not each time."""
        name, moment = request.name(), self._moment()
        cached, last = self.documents[name], self._refetched_at.get(name)
        if self._upstream is None or (last is not None and moment < last + SOONEST):
            return cached
        self._refetched_at[name] = moment
        try:
            return await self._await_fetch(request)
        except DonjonError:  # Told where it happened.
            return cached

    async def root_crl(self) -> Crl:
        """What the root has revoked; raises as `get` does."""
        await self.get_or_fetch(ROOT)
        return self._memory.root_crl()

    def prove_all(self, answers: Mapping[str, Answer]) -> dict[str, Document]:
        """Documents that somebody brings, proved under the newest of the root's lists; raises as `prove_all` does.

        Nothing is kept yet.
        """
        return self._memory.prove_all(answers)

    async def accept(self, documents: Mapping[str, Document]) -> None:
        """Keep and serve these, all or none, but for those that have ended or are older than what is here."""
        newer = {name: as_answer(each) for name, each in documents.items() if self._memory.is_newer(each)}
        if newer:
            await asyncio.to_thread(self._store.write, newer)
            self._memory.load(newer)  # Proved once more: while it was being written, the root's list may have changed.
            for name in newer:
                self._fetches.forget(name)

    async def refresh(self, *, everything: bool) -> None:
        """Fetch again all that is held, or what is due; raises the first error when all were tried."""
        requests = [each.request for name, each in self.documents.items() if everything or self._memory.is_due(name)]
        if self._upstream is None:
            raise Absent("DJ512", "collateral: nothing is fetched in offline mode")
        if everything:
            self._fetches.forget()
        outcomes = await asyncio.gather(*map(self._await_fetch, requests), return_exceptions=True)
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, BaseException) and not (isinstance(outcome, Absent) and plan.NUMBER in request.query):
                raise outcome  # Of an edition that Intel has withdrawn there is no newer document: it is served until its end.

    async def close(self) -> None:
        """Cancel the fetches that are under way."""
        await self._fetches.close()

    async def _await_fetch(self, request: CollateralRequest) -> Document:
        return await self._fetches.wait(request.name(), partial(self._fetch_and_log, request))

    async def _fetch_and_log(self, request: CollateralRequest) -> Document:
        name = request.name()
        try:
            document = await self._fetch(request)
        except DonjonError as error:
            self._metrics.count_fetch(error.code)
            level = logging.INFO if isinstance(error, Absent) else logging.WARNING
            say(LOG, "collateral not fetched", level=level, document=name, code=error.code, error=error.message)
            raise
        self._metrics.count_fetch("")
        say(LOG, "collateral fetched", document=name, expires=document.expires.isoformat())
        return document

    async def _fetch(self, request: CollateralRequest) -> Document:
        with suppress(Untrusted, Malformed):
            if (document := await self._read_from_store(request)) is not None:
                return document
        answer = await self._ask(request)
        if request.kind is CollateralKind.ROOT_CA_CRL:
            chain = (await self._ask(plan.pck_crl(Ca.PROCESSOR))).chain
            return await self._accept_answer(ROOT, Answer(body=answer.body, chain=chain))
        if not self._memory.has_root_list():
            await self._accept_answer(ROOT, Answer(body=(await self._ask(ROOT)).body, chain=answer.chain))
        return await self._accept_answer(request, answer)

    async def _read_from_store(self, request: CollateralRequest) -> Document | None:
        """What another process has put into the database meanwhile, if it is good and newer than what is here."""
        cached = self._memory.find(request)
        if cached is not None and cached.expires >= self._moment():
            return None
        if request.kind is not CollateralKind.ROOT_CA_CRL and ROOT.name() not in self.documents:
            await self._read_from_store(ROOT)
            if ROOT.name() not in self.documents:
                return None
        answer = await asyncio.to_thread(self._store.read, request.name())
        if answer is None:
            return None
        document = self._memory.prove(request, answer)
        self._memory.check_not_older(document)
        is_expired = document.expires < self._moment()
        # A list of the root's that has ended is better than none, as at the start.
        if request.kind is CollateralKind.ROOT_CA_CRL or not is_expired:
            self._remember(document)
        return None if is_expired else document

    async def _ask(self, request: CollateralRequest) -> Answer:
        if self._upstream is None:
            raise Absent("DJ512", f"collateral: not here, and nothing is fetched in offline mode: {request.name()}")
        async with self._gate:
            return await asyncio.to_thread(self._upstream.answer, request)

    async def _accept_answer(self, request: CollateralRequest, answer: Answer) -> Document:
        """Keep it and serve it, unless it has ended or is older than what is here."""
        document = self._memory.prove(request, answer)
        self._memory.check_not_older(document)
        if document.expires < self._moment():
            raise Unavailable(
                "DJ514", f"collateral: the upstream has only what ended {document.expires:%FT%TZ}: {request.name()}"
            )
        await asyncio.to_thread(self._store.write, {request.name(): as_answer(document)})
        document = self._memory.prove(request, answer)  # Once more: while it was being written, the root's list may have changed.
        self._remember(document)
        return document

    def _remember(self, document: Document) -> None:
        self._memory.keep(document)
        self._fetches.forget(document.request.name())
