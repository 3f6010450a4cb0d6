"""The texts of policies beside the records that name them: written where one is new, dropped when no record names it any more.

A text is written with the first record that names it, and marked anew once an hour while records do; so what was marked more than
a day before the oldest record is named by none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection, case, delete, func, inspect, select

from donjon.adapters.storage.database import Database
from donjon.adapters.storage.moments import UNIT
from donjon.adapters.storage.tables import POLICY_TEXTS, RECORDS
from donjon.audit.texts import PolicyText
from donjon.errors import Unavailable
from donjon.findings import codes

MAX_NEW = 8 << 20  # characters of texts in base64url, which changes of one instance may add in a day: a hundred of the largest
LEAST_WEIGHT = 4 << 10  # of a text, however short: so its day has 2,048 new ones at most
RESERVE = timedelta(hours=1) // UNIT
"""In which one new text is taken, however many the day has had."""
MAX_MARKS = 4096  # texts that a process remembers

_HOUR, _DAY = timedelta(hours=1) // UNIT, timedelta(days=1) // UNIT
_ALONE = 0x444C  # the lock by which one of several replicas writes texts, or drops them
_COLUMNS = POLICY_TEXTS.c


class TextsFull(Unavailable):
    """A change whose policy is too much for the audit."""


class TextKeeper:
    """Writes texts that are new, for one process, which remembers what it wrote within the hour."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._marks: dict[tuple[str, str], int] = {}  # moments
        self._new_marks: dict[tuple[str, str], int] = {}

    def keep(self, connection: Connection, text: PolicyText, moment: int, *, is_bounded: bool) -> None:
        """Have that text beside a record of that moment, in the transaction that writes the record.

        Raises `TextsFull` DJ630 where it is new and `is_bounded`, and its instance has had too many new ones. One an hour is
        always taken, so that whoever fills the day with their policies keeps nobody from mending that.
        """
        name = text.instance, text.hash
        latest = self._new_marks.get(name, self._marks.get(name))
        if latest is not None and abs(moment - latest) < _HOUR:
            return
        self._database.alone(connection, _ALONE)
        if is_bounded:
            _check_room(connection, text, moment)
        name_and_moments = {"instance": text.instance, "hash": text.hash, "since": moment, "latest": moment}
        row = {**name_and_moments, "weight": _weight(text), "text": text.text}
        insertion = self._database.insert(POLICY_TEXTS)
        later = case((insertion.excluded.latest > _COLUMNS.latest, insertion.excluded.latest), else_=_COLUMNS.latest)
        key = [_COLUMNS.instance, _COLUMNS.hash]
        connection.execute(insertion.on_conflict_do_update(index_elements=key, set_={"latest": later}), row)
        self._new_marks[name] = moment

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Around a transaction: the texts that it wrote are remembered if it was kept."""
        try:
            yield
            self._marks |= self._new_marks
            if len(self._marks) > MAX_MARKS:
                self._marks.clear()
        finally:
            self._new_marks.clear()


def drop_unnamed(database: Database) -> None:
    """Drop the texts that no record names any more; raises `Unavailable` DJ502."""
    with database.changing() as connection:
        database.alone(connection, _ALONE)
        oldest = connection.scalar(select(func.min(RECORDS.c.moment)))
        if oldest is not None:
            connection.execute(delete(POLICY_TEXTS).where(_COLUMNS.latest < oldest - _DAY))


def read_texts(connection: Connection, policy: str | None = None) -> Iterator[PolicyText]:
    """The texts, or those under one hash; none in an older database, which no newer version has opened yet."""
    if not inspect(connection).has_table(POLICY_TEXTS.name):
        return
    query = select(_COLUMNS.instance, _COLUMNS.hash, _COLUMNS.text)
    if policy is not None:
        query = query.where(_COLUMNS.hash == policy)
    for row in connection.execute(query):
        yield PolicyText(instance=str(row.instance), hash=str(row.hash), text=str(row.text))


def _weight(text: PolicyText) -> int:
    return max(len(text.text), LEAST_WEIGHT)


def _check_room(connection: Connection, text: PolicyText, moment: int) -> None:
    own = _COLUMNS.instance == text.instance
    if connection.scalar(select(_COLUMNS.hash).where(own, _COLUMNS.hash == text.hash)) is not None:
        return
    new = select(func.coalesce(func.sum(_COLUMNS.weight), 0), func.max(_COLUMNS.since)).where(own, _COLUMNS.since > moment - _DAY)
    weight, newest = connection.execute(new).one()
    if weight + _weight(text) > MAX_NEW and newest > moment - RESERVE:
        raise TextsFull(
            codes.TEXTS_FULL,
            f"instance {text.instance}: its new policies of one day are more than the audit keeps ({MAX_NEW >> 20} MiB, "
            f"each counted as {LEAST_WEIGHT >> 10} KiB at least); expected one that was set before, or one new one an hour",
        )
