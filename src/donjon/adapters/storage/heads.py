"""Heads of a journal's chain: signed from time to time, told to whoever keeps them elsewhere, and written beside the records."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.tables import HEADS
from donjon.audit import statements
from donjon.audit.chain import Link
from donjon.audit.statements import Kind, Signer, Statement

EVERY = timedelta(minutes=5)
RECORDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Who signs heads, who keeps them where the database's owner cannot write, and who is told why there is none."""

    signer: Callable[[], Signer | None]
    announce: Callable[[str], None]  # a statement
    fail: Callable[[Exception], None]
    every: timedelta = EVERY
    records: int = RECORDS


class Heads:
    """When a head is due, and its making; no heads at all without a witness."""

    def __init__(self, database: Database, witness: Witness | None, moment: Callable[[], datetime]) -> None:
        self._database, self._witness, self._moment = database, witness, moment
        self._stated, self._tried, self._since = 0, 0, moment()

    def wait(self, link: Link) -> float | None:
        """Seconds until a head is due if nothing comes; `None` where nothing is new."""
        return self._witness.every.total_seconds() if self._witness and link.number > self._tried else None

    def look(self, link: Link) -> None:
        """State where the chain stands where no head states many of its records, or some for long."""
        new = link.number - self._tried
        # By the difference, so that a clock that was put back is no reason to wait.
        if self._witness and (new >= self._witness.records or (new and abs(self._moment() - self._since) >= self._witness.every)):
            self.state(link)

    def state(self, link: Link) -> None:
        """State where the chain stands, unless a head says it already; what fails is told, and the next head says it, too."""
        if self._witness is None or link.number == self._stated:
            return
        self._tried, self._since = link.number, self._moment()
        try:
            said = Statement(kind=Kind.HEAD, link=link, moment=microseconds(self._since))
            text = statements.encode(said, self._witness.signer())
            self._witness.announce(text)
            with self._database.changing() as connection:
                connection.execute(insert(HEADS).values(writer=link.writer, number=link.number, statement=text))
            self._stated = link.number
        except Exception as error:  # noqa: BLE001 - whatever fails here, decisions are recorded all the same.
            self._witness.fail(error)
