"""Heads of a journal's chain: signed from time to time, told to whoever keeps them elsewhere, and written beside the records.

The first states that the chain begins, and is there with the first record; the last one says that it is the last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.tables import HEADS
from donjon.audit import statements
from donjon.audit.chain import FIRST, Link
from donjon.audit.statements import Statement, StatementKind
from donjon.audit.verification import EVERY, RECORDS
from donjon.signing.signer import Signer


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
        self._stated_number, self._attempt_number, self._since = 0, 0, moment()
        self.newest = 0  # moment of the last record or head, before which none of this chain is dated

    def wait(self, link: Link) -> float | None:
        """Seconds until a head is due if nothing comes; `None` where nothing is new."""
        return self._witness.every.total_seconds() if self._witness and link.number > self._attempt_number else None

    def look(self, link: Link) -> None:
        """State where the chain stands where no head states many of its records, or some for long."""
        new = link.number - self._attempt_number
        # By the difference, so that a clock that was put back is no reason to wait.
        if self._witness and (new >= self._witness.records or (new and abs(self._moment() - self._since) >= self._witness.every)):
            self._state(link)

    def begin(self, link: Link) -> dict[str, object] | None:
        """The row of the head that states that the chain begins, for the transaction of its first record."""
        if self._witness is None or link.number >= FIRST:
            return None
        try:
            return _row(link, self._sign_head(self._witness, link))
        except Exception as error:  # noqa: BLE001 - as below.
            self._witness.fail(error)
            return None

    def end(self, link: Link) -> None:
        """State that the chain ends there, and be ready for another one."""
        if link.number >= FIRST:
            self._state(link, last=True)
        self._stated_number, self._attempt_number, self.newest = 0, 0, 0

    def _state(self, link: Link, *, last: bool = False) -> None:
        """State where the chain stands, unless a head says it already; what fails is told, and the next head says it, too."""
        if self._witness is None or (link.number == self._stated_number and not last):
            return
        self._attempt_number, self._since = link.number, self._moment()
        try:
            row = _row(link, self._sign_head(self._witness, link, last=last))
            with self._database.changing() as connection:
                if link.number == self._stated_number:
                    same = (HEADS.c.writer == link.writer) & (HEADS.c.number == link.number)
                    connection.execute(delete(HEADS).where(same))
                connection.execute(insert(HEADS).values(row))
            self._stated_number = link.number
        except Exception as error:  # noqa: BLE001 - whatever fails here, decisions are recorded all the same.
            self._witness.fail(error)

    def _sign_head(self, witness: Witness, link: Link, *, last: bool = False) -> str:
        self.newest = max(self.newest, microseconds(self._moment()))
        text = statements.encode(Statement(kind=StatementKind.HEAD, link=link, moment=self.newest, last=last), witness.signer())
        witness.announce(text)
        return text


def _row(link: Link, statement: str) -> dict[str, object]:
    return {"writer": link.writer, "number": link.number, "statement": statement}
