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
from donjon.collateral import document as documents
from donjon.collateral import plan
from donjon.collateral.document import Document
from donjon.collateral.plan import Absent, Answer, Request
from donjon.errors import DonjonError, Malformed, Unavailable, Untrusted
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor
from donjon.services.attestation.fetches import Fetches
from donjon.sgx.platform import Ca

LOG = logging.getLogger(__name__)

AT_ONCE = 4  # requests to the upstream
SOONEST = timedelta(minutes=10)  # until a document is fetched again of which the upstream has no newer one
AHEAD, SPREAD = 0.3, 0.2  # of a document's life before its end it is fetched again, and up to so much more

_ROOT = plan.root_ca_crl()


class Upstream(Protocol):
    """Intel's service, or another cache; it is called in threads."""

    def answer(self, request: Request) -> Answer:
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
        self._moment, self._chance, self._on_demand = moment, chance, on_demand
        self._held: dict[str, Document] = {}
        self._due: dict[str, datetime] = {}
        self._asked_again: dict[str, datetime] = {}
        self._fetches: Fetches[Document] = Fetches(seconds)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._revoked: Crl | None = None

    def load(self) -> None:
        """Take what is stored, each document proved again; raises `Unavailable` where it cannot be read."""
        stored = self._table.all()
        if (root := stored.pop(_ROOT.name(), None)) is not None:
            self._take(_ROOT.name(), partial(self._proved_root, root))
        for name, answer in stored.items():
            self._take(name, partial(self._read, name, answer))

    @property
    def offline(self) -> bool:
        """Whether nothing is fetched."""
        return self._upstream is None

    @property
    def held(self) -> Mapping[str, Document]:
        """Every document by its name."""
        return self._held

    def usable(self) -> bool:
        """Whether anything could be answered: something has not ended, or there is someone to ask."""
        return self._upstream is not None or bool(self.unended(timedelta(0)))

    def unended(self, staleness: timedelta) -> list[Document]:
        """What has not ended, or no longer ago than that."""
        since = self._moment() - staleness
        return [each for each in self._held.values() if each.expires >= since]

    async def document(self, request: Request, staleness: timedelta = timedelta(0)) -> Document:
        """The document, ended no longer ago than that where no other can be had.

        Raises `Absent` DJ512 where there is none, and what `Upstream` and proving raise.
        """
        name, moment = request.name(), self._moment()
        held = self._held.get(name)
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
        if self._upstream is not None and self._due[name] < moment and not self._failed(name):
            self._begin(request)
        return held

    def lacks(self, request: Request) -> bool:
        """Whether that is not here, so that somebody has to be asked."""
        return self._upstream is not None and self._on_demand and request.name() not in self._held

    async def require(self, request: Request) -> Document:
        """The same, fetched also where nothing is fetched on demand."""
        return await self.document(request) if request.name() in self._held else await self._fetched(request)

    async def at_hand(self, request: Request) -> Document:
        """The same, or the one that has ended where no other can be had: enough to choose by, not to be served."""
        try:
            return await self.require(request)
        except Unavailable:
            if (held := self._held.get(request.name())) is None:
                raise
            return held

    async def again(self, request: Request) -> Document:
        """The one that is held, fetched once more first for who sees that there must be a newer one: not each time."""
        name, moment = request.name(), self._moment()
        held, asked = self._held[name], self._asked_again.get(name)
        if self._upstream is None or (asked is not None and moment < asked + SOONEST):
            return held
        self._asked_again[name] = moment
        try:
            return await self._fetched(request)
        except DonjonError:  # Told where it happened.
            return held

    async def revoked(self) -> Crl:
        """What the root has revoked; raises as `document` does."""
        await self.require(_ROOT)
        if self._revoked is None:
            raise Unavailable("DJ512", "collateral: without the root's revocation list nothing is proved")
        return self._revoked

    def proved(self, answers: Mapping[str, Answer]) -> dict[str, Document]:
        """Documents that somebody brings, proved under the newest of the root's lists; raises as `prove_all` does.

        Nothing is kept yet.
        """
        held = self._held.get(_ROOT.name())
        here = {} if held is None else {_ROOT.name(): Answer(body=held.body, chain=held.chain)}
        found = documents.prove_all({**here, **answers}, self.anchor)
        if held is not None and found[_ROOT.name()].dated < held.dated:
            found = documents.prove_all({**answers, **here}, self.anchor)
        return found

    async def take(self, found: Mapping[str, Document]) -> None:
        """Keep and serve these, all or none, but for those that have ended or are older than what is here."""
        moment = self._moment()
        newer = {name: each for name, each in found.items() if each.expires >= moment and self._is_newer(each)}
        if not newer:
            return
        await asyncio.to_thread(
            self._table.write, {name: Answer(body=each.body, chain=each.chain) for name, each in newer.items()}
        )
        if (root := newer.get(_ROOT.name())) is not None:
            self._proved_root(Answer(body=root.body, chain=root.chain))
        for each in newer.values():
            self._hold(each)
        self._drop_revoked()

    async def refresh(self, *, everything: bool) -> None:
        """Fetch again all that is held, or what is due; raises the first error when all were tried."""
        moment = self._moment()
        wanted = [each.request for name, each in self._held.items() if everything or self._due[name] < moment]
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

    async def _fetched(self, request: Request) -> Document:
        return await self._fetches.wait(request.name(), partial(self._told, request))

    def _failed(self, name: str) -> DonjonError | None:
        """How it failed a moment ago."""
        return self._fetches.failed(name)

    def _begin(self, request: Request) -> None:
        self._fetches.begin(request.name(), partial(self._told, request))

    async def _told(self, request: Request) -> Document:
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

    async def _kept_by_others(self, request: Request) -> Document | None:
        """What another process has put into the database meanwhile, if it is good and newer than what is here."""
        held = self._held.get(request.name())
        if held is not None and held.expires >= self._moment():
            return None
        if self._revoked is None and request.path != _ROOT.path:
            await self._kept_by_others(_ROOT)
        answer = await asyncio.to_thread(self._table.read, request.name())
        if answer is None:
            return None
        found = self._proved_root(answer) if request.path == _ROOT.path else self._proved(request, answer)
        if found.expires < self._moment():
            return None
        documents.check_not_older(found, held)
        self._hold(found)
        return found

    async def _fetch(self, request: Request) -> Document:
        with suppress(Untrusted, Malformed):
            if (found := await self._kept_by_others(request)) is not None:
                return found
        answer = await self._ask(request)
        if request.path == _ROOT.path:
            return await self._fetch_root((await self._ask(plan.pck_crl(Ca.PROCESSOR))).chain, answer.body)
        if self._revoked is None or self._held[_ROOT.name()].expires < self._moment():
            await self._fetch_root(answer.chain, (await self._ask(_ROOT)).body)
        await self._keep(self._proved(request, answer))
        found = self._proved(request, answer)  # Once more: while it was being written, the root's list may have changed.
        self._hold(found)
        return found

    async def _fetch_root(self, chain: bytes, body: bytes) -> Document:
        found, revoked = documents.prove_root_crl(Answer(body=body, chain=chain), self.anchor)
        await self._keep(found)
        self._hold(found)
        self._revoked = revoked
        self._drop_revoked()
        return found

    async def _ask(self, request: Request) -> Answer:
        if self._upstream is None:
            raise Absent("DJ512", f"collateral: not here, and nothing is fetched in offline mode: {request.name()}")
        async with self._gate:
            return await asyncio.to_thread(self._upstream.answer, request)

    def _proved(self, request: Request, answer: Answer) -> Document:
        if self._revoked is None:
            raise Unavailable("DJ512", "collateral: without the root's revocation list nothing is proved")
        return documents.prove(request, answer, self._revoked, self.anchor)

    def _proved_root(self, answer: Answer) -> Document:
        found, self._revoked = documents.prove_root_crl(answer, self.anchor)
        return found

    async def _keep(self, found: Document) -> None:
        """Keep it for ever, unless it has ended or is older than what is here."""
        name, held = found.request.name(), self._held.get(found.request.name())
        documents.check_not_older(found, held)
        if found.expires < self._moment():
            raise Unavailable("DJ514", f"collateral: the upstream has only what ended {found.expires:%FT%TZ}: {name}")
        await asyncio.to_thread(self._table.write, {name: Answer(body=found.body, chain=found.chain)})

    def _is_newer(self, found: Document) -> bool:
        try:
            documents.check_not_older(found, self._held.get(found.request.name()))
        except Untrusted as error:
            say(LOG, "older collateral not taken", document=found.request.name(), code=error.code)
            return False
        return True

    def _hold(self, found: Document) -> None:
        name = found.request.name()
        self._held[name] = found
        ahead = found.expires - (found.expires - found.dated) * (AHEAD + SPREAD * self._chance())
        self._due[name] = max(ahead, self._moment() + SOONEST)
        self._fetches.forget(name)
        self._metrics.holds(name, found.expires)

    def _read(self, name: str, answer: Answer) -> Document:
        return self._proved(documents.named(name), answer)

    def _take(self, name: str, proved: Callable[[], Document]) -> None:
        try:
            self._hold(proved())
        except DonjonError as error:
            say(LOG, "stored collateral not served", level=logging.ERROR, document=name, code=error.code, error=error.message)

    def _drop_revoked(self) -> None:
        """A newer list of the root's may revoke who signed what is here."""
        for name, each in tuple(self._held.items()):
            if name != _ROOT.name():
                del self._held[name]
                self._take(name, partial(self._proved, each.request, Answer(body=each.body, chain=each.chain)))
