"""The journal: an answer is given only after what was decided, and what it changes, is on the disk.

Who comes while others are being written waits for the next transaction together with all who come meanwhile, and those whom one
turn of the event loop brings go together, so one commit serves many. One thread writes, and its records make one chain, whose
moments never go back: where the clock does, the chain ends, and another one begins.
"""

import asyncio
import queue
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from threading import Thread

from sqlalchemy import Connection, insert, select

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import Heads, Witness
from donjon.adapters.storage.instances import Change, apply, generations
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.policy_texts import TextKeeper, TextsFull
from donjon.adapters.storage.tables import HEADS, INSTANCES, RECORDS
from donjon.audit import chain, texts
from donjon.audit.chain import Link, Record
from donjon.audit.event import Event, encode
from donjon.audit.texts import PolicyText
from donjon.audit.verification import BATCH
from donjon.errors import Unavailable

MAX_BATCH = BATCH  # records in one transaction
MAX_WAITING = 8192  # callers
BACK = 60_000_000  # microseconds by which a clock may go back within a chain: its records are dated as the newest until then

_NAME = 128  # characters
_VALUES = attrgetter(*RECORDS.columns.keys())


class Stale(Unavailable):
    """The instance was changed since the caller read it: read again, and judge again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One caller who waits."""

    instance: str
    generation: int
    change: Change | None
    moment: int  # microseconds since 1970
    event: bytes
    text: PolicyText | None  # of the policy that the event names
    answer: asyncio.Future[None]


class Journal:
    """The one way into the audit records, and to change what instances keep."""

    def __init__(
        self, database: Database, *, writer: str, moment: Callable[[], datetime], witness: Witness | None = None
    ) -> None:
        """`writer` is a name that no other journal has or had: `fresh_writer` makes one."""
        self._database = database
        self._moment = moment
        self._writer, self._chains = writer, 1
        self._link = chain.start(writer)
        self._arrivals: list[_Entry] = []  # in this turn of the event loop
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._unconfirmed_link: Link | None = None  # where the chain stands if the last transaction was kept after all
        self._heads = Heads(database, witness, moment)
        self._texts = TextKeeper(database)
        self._closing = False
        self._thread = Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    async def keep(self, event: Event, *, instance: str, generation: int, change: Change | None = None) -> None:
        """Returns when the event, and the change with it, are on the disk; the change raises the generation by one.

        Raises `Stale` where the instance is no longer of that generation, and `Unavailable` DJ502 where the database fails: then
        nothing of the event is kept. Raises `TextsFull` DJ630 for a change whose policy is too much for the audit.
        """
        if self._waiting.qsize() + len(self._arrivals) >= MAX_WAITING:
            raise Unavailable("DJ520", f"journal: {MAX_WAITING} callers wait for the database; try again")
        loop = asyncio.get_running_loop()
        entry = _Entry(
            instance=instance,
            generation=generation,
            change=change,
            moment=microseconds(self._moment()),
            event=encode(event),
            text=texts.of_event(event),
            answer=loop.create_future(),
        )
        if not self._arrivals:
            loop.call_soon(self._hand_over)
        self._arrivals.append(entry)
        await entry.answer

    def close(self) -> None:
        """Write what waits, state where the chain stands, and end."""
        self._hand_over()
        self._waiting.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        """To the thread, at once: had it each as it comes, it would write the first of them alone."""
        arrivals, self._arrivals = self._arrivals, []
        for entry in arrivals:
            self._waiting.put(entry)

    def _write(self) -> None:
        while not self._closing:
            batch = self._batch()
            while batch:
                batch = self._serve_forward(batch)
            self._heads.look(self._link)
        self._end()

    def _serve_forward(self, batch: list[_Entry]) -> list[_Entry]:
        """Serve those up to where the clock went back, if it did; answers with the others, who are for another chain."""
        newest, count = self._heads.newest, 0
        while count < len(batch) and batch[count].moment + BACK >= newest:
            newest = max(newest, batch[count].moment)
            count += 1
        if count:
            self._serve(batch[:count])
        if count < len(batch):
            self._end()
            self._chains += 1
            self._link = chain.start(f"{self._writer}.{self._chains}")
        return batch[count:]

    def _end(self) -> None:
        """State that the chain ends, unless nobody can say where: then it stays without its last head."""
        try:
            if self._unconfirmed_link is not None:
                with self._database.reading() as connection:
                    self._confirmed_link(connection)
        except Unavailable:
            self._unconfirmed_link = None
        else:
            self._heads.end(self._link)

    def _serve(self, batch: list[_Entry]) -> None:
        outcomes: Sequence[Exception | None]
        try:
            outcomes = self._write_batch(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, these callers hear of it, and the next ones are served.
            outcomes = [error] * len(batch)
        with suppress(RuntimeError):  # Nobody waits any more: their loop is closed.
            batch[0].answer.get_loop().call_soon_threadsafe(_answer, batch, outcomes)

    def _batch(self) -> list[_Entry]:
        """Who waits, as soon as somebody does; nobody at the end, and when a head is due."""
        batch: list[_Entry] = []
        patience = self._heads.wait(self._link)
        while not self._closing and len(batch) < MAX_BATCH:
            try:
                entry = self._waiting.get(block=not batch, timeout=patience)
            except queue.Empty:
                break
            if entry is None:
                self._closing = True
            else:
                batch.append(entry)
        return batch

    def _write_batch(self, batch: list[_Entry]) -> list[Exception | None]:
        """One transaction; the answer to each. Raises `Unavailable` DJ502 where nothing was kept."""
        outcomes: list[Exception | None] = []
        records: list[Record] = []
        with self._texts.transaction(), self._database.changing() as connection:
            link = self._confirmed_link(connection)
            newest = self._heads.newest
            current = self._generations(connection, batch)
            for entry in batch:
                moment = max(newest, entry.moment)
                outcomes.append(refusal := _stale(entry, current[entry.instance]) or self._keep_text(connection, entry, moment))
                if refusal is not None:
                    continue
                if entry.change is not None:
                    apply(connection, entry.instance, entry.change)
                    current[entry.instance] += 1
                newest = moment
                records.append(link.extend(newest, entry.event))
                link = chain.end(records[-1])
            if records:
                self._insert_first_head(connection)
                self._database.fill(connection, RECORDS, [_row(each) for each in records])
            self._unconfirmed_link = link
        self._link, self._unconfirmed_link = link, None
        self._heads.newest = max(self._heads.newest, newest)
        return outcomes

    def _keep_text(self, connection: Connection, entry: _Entry, moment: int) -> TextsFull | None:
        """Have the text of the policy with the record that names it; the refusal of a change whose policy is too much."""
        if entry.text is None:
            return None
        try:
            self._texts.keep(connection, entry.text, moment, is_bounded=entry.change is not None)
        except TextsFull as error:
            return error
        return None

    def _insert_first_head(self, connection: Connection) -> None:
        if (row := self._heads.begin(self._link)) is not None:
            connection.execute(insert(HEADS).values(row))

    def _confirmed_link(self, connection: Connection) -> Link:
        """Where the chain stands, also where we were not told how the last transaction ended."""
        if (link := self._unconfirmed_link) is not None:
            own = (RECORDS.c.writer == link.writer) & (RECORDS.c.number == link.number)
            if connection.scalar(select(RECORDS.c.hash).where(own)) == link.hash:
                self._link = link
            self._unconfirmed_link = None
        return self._link

    def _generations(self, connection: Connection, batch: list[_Entry]) -> dict[str, int]:
        """The generation of each instance asked for, none of which anybody else changes until the transaction ends."""
        instances, changing = {entry.instance for entry in batch}, any(entry.change is not None for entry in batch)
        current = generations(connection, instances, changing=changing)
        if new := instances - current.keys():
            rows = [{"instance": instance, "generation": 0} for instance in sorted(new)]
            connection.execute(self._database.insert(INSTANCES).on_conflict_do_nothing(), rows)
            current |= generations(connection, new, changing=changing)
        return current


def fresh_writer() -> str:
    """A name for a journal that no other has: this machine's, or its pod's, and randomness."""
    return f"{socket.gethostname()[:_NAME]}-{secrets.token_hex(8)}"


def _stale(entry: _Entry, generation: int) -> Stale | None:
    if entry.generation == generation:
        return None
    return Stale("DJ521", f"instance {entry.instance}: generation {generation}, expected {entry.generation}; read it again")


def _answer(batch: Sequence[_Entry], outcomes: Sequence[Exception | None]) -> None:
    for entry, outcome in zip(batch, outcomes, strict=True):
        if entry.answer.done():  # Its caller has gone.
            continue
        if outcome is None:
            entry.answer.set_result(None)
        else:
            entry.answer.set_exception(outcome)


def _row(record: Record) -> tuple[object, ...]:
    values: tuple[object, ...] = _VALUES(record)
    return values
