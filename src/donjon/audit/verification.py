"""Whether chains are what was written: every record at its place, none missing, changed, replaced or moved, none cut off the end,
none added.

The chain alone shows what was altered without writing all that follows anew; heads show that, too, and a chain that was cut or
that somebody else went on with.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby

from donjon.audit import chain
from donjon.audit.chain import FIRST, LAST, Link, Record
from donjon.audit.statements import Statement
from donjon.audit.testimony import Testimony, by_writer
from donjon.findings import Finding, Severity, codes

MAX_FINDINGS = 200
NEAR = 64  # numbers, on either side, where the place of a record that was moved is looked for
EVERY = timedelta(minutes=5)  # in which a writer states a record
RECORDS = 1000  # after which it does so earlier
BATCH = 256  # records that come at once
LATE = 2 * EVERY // timedelta(microseconds=1)  # how long a record is stated by no head, at most, where all is well
QUEUED = EVERY // timedelta(microseconds=1)  # how long a record may wait to be written while a head is made

_DO = "compare with a backup and with the heads in the logs; find out who could write to the database"
_WAL = "of a copy: was it made without its -wal file (docs/audit.md, Backup and restore)? else "
_LOSS, _ADDITION = "what was decided there can no longer be shown", "whoever can write to the database may have added it"
_WHY = dict.fromkeys((codes.NO_HEAD, codes.BEHIND_END, codes.MOMENT_AMISS, codes.HEAD_DUE), _ADDITION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain as it was found, from its first record to its last; `last_stated` is the last that a head states, 0 for none."""

    writer: str
    first: int  # one more than the last, where none is left
    last: int
    last_stated: int
    is_ended: bool = False  # a head says that nothing follows
    last_dropped: int = 0  # up to which record an anchor says that they were dropped for their age
    waits: int | None = None  # moment of the first record that no head states yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All chains that have records, or had, and what is wrong: `more` is the number of findings beyond the bound."""

    chains: tuple[Chain, ...]
    findings: tuple[Finding, ...]
    more: int


def verify(records: Iterable[Record], statements: Iterable[Statement], unproved: frozenset[str] = frozenset()) -> Verification:
    """What is found in these records, which come chain by chain in the order of their numbers, beside what was said of them.

    `unproved` are the writers of whom there are statements that no key proves.
    """
    testimonies = by_writer(statements)
    look = _Look(unproved=unproved)
    chains = [
        look.walk(testimonies.pop(writer, Testimony(writer=writer)), own)
        for writer, own in groupby(records, key=lambda record: record.writer)
    ]
    for each in testimonies.values():
        look.end(each, last := each.begin(LAST))
        if last.number:
            chains.append(_chain(each, last.number + 1, last, last.number, None))
    return Verification(chains=tuple(chains), findings=tuple(look.findings), more=look.more)


def find_unstated(chains: Iterable[Chain], moment: int) -> tuple[Finding, ...]:
    """The ends of chains that nobody states any more at that moment, as a service leaves them that was killed."""
    return tuple(
        Finding.warning(
            "DJ617",
            f"chain {each.writer}",
            f"no head states records {each.last_stated + 1} to {each.last}, and none says that the chain ended",
            "so a service leaves it that is killed; what it wrote last may have been cut off, and what stands there added",
            "compare with the service's log of that time",
        )
        for each in chains
        if each.waits is not None and not each.is_ended and moment - each.waits > LATE
    )


def find_unlogged(statements: Iterable[Statement], logged: Iterable[Statement]) -> tuple[Finding, ...]:
    """The chains of which the database has statements that no log has."""
    in_logs = set(logged)
    missing = Counter(each.link.writer for each in statements if each not in in_logs)
    return tuple(
        Finding.warning(
            "DJ625",
            f"chain {writer}",
            f"{count} of its heads and anchors are in none of the logs",
            "the service logs each; whoever has a key and can write to the database can have made them",
            "name all logs of that time with --heads",
        )
        for writer, count in sorted(missing.items())[:MAX_FINDINGS]
    )


def _chain(testimony: Testimony, first: int, last: Link, last_stated: int, waits: int | None) -> Chain:
    is_ended, last_dropped = testimony.end is not None, testimony.last_dropped.number
    return Chain(
        writer=testimony.writer,
        first=first,
        last=last.number,
        last_stated=last_stated,
        is_ended=is_ended,
        last_dropped=last_dropped,
        waits=waits,
    )


@dataclass(slots=True)
class _Look:
    """A walk over the chains, and the findings so far."""

    unproved: frozenset[str]
    findings: list[Finding] = field(default_factory=list)
    more: int = 0

    def walk(self, testimony: Testimony, records: Iterable[Record]) -> Chain:
        """Record by record, each after the one before it."""
        first, last_stated = 0, 0
        earlier: Record | None = None
        before, sound = chain.start(testimony.writer), True
        waits: Record | None = None
        for record in records:
            if earlier is None:
                first, before = record.number, testimony.begin(record.number)
            self._follows(record, before, sound=sound)
            before_it = earlier if sound else None
            if sound := self._intact(record):
                self._moves_on(testimony, record, before_it)
            if self._is_stated(testimony, record):
                last_stated, waits = record.number, None
            else:
                waits = waits or record
            before, earlier = chain.end(record), record
        if waits is not None and earlier is not None:
            self._overdue(waits, earlier)
        self.end(testimony, before)
        return _chain(testimony, first, before, last_stated, None if waits is None else waits.moment)

    def end(self, testimony: Testimony, last: Link) -> None:
        """Whether heads say more than there is, nothing at all, or other things of what was dropped."""
        subject = f"chain {testimony.writer}"
        if not testimony.spoken:
            unproved = "none of its heads is proved by the keys given (DJ601 names theirs): it may be a key that is missing here"
            nothing = "there is no head of it, not even of its beginning"
            self._add("DJ613", subject, unproved if testimony.writer in self.unproved else nothing)
        for code, number, words in testimony.contradictions():
            self._add(code, f"{subject}, record {number}", words)
        furthest = max(testimony.hashes, default=0)
        if furthest > last.number:
            self._add("DJ606", subject, f"ends with record {last.number}, and a head states record {furthest}")
        if testimony.end is not None and (behind := max(last.number, furthest)) > testimony.end:
            self._add("DJ614", subject, f"a head says that it ended with record {testimony.end}, and there is record {behind}")

    def _follows(self, record: Record, before: Link, *, sound: bool) -> None:
        if record.number > before.number + 1:
            missing = f"records {before.number + 1} to {record.number - 1} are missing"
            self._add("DJ602", f"chain {record.writer}", missing)
        elif sound and record.intact and record.previous != before.hash:
            observation = (
                "is not the one that the next one follows" if before.number else "the first record does not begin this chain"
            )
            self._add(
                "DJ605",
                f"chain {record.writer}, record {before.number}" if before.number else f"chain {record.writer}",
                observation,
            )

    def _moves_on(self, testimony: Testimony, record: Record, earlier: Record | None) -> None:
        """Whether its moment fits those of the record before it, of the head there, and of its own."""
        subject = f"chain {record.writer}, record {record.number}"
        if earlier is not None and record.moment < earlier.moment:
            self._add("DJ615", subject, "is older than the one before it")
        elif record.moment < testimony.moments.get(record.number - 1, record.moment) - QUEUED:
            self._add("DJ615", subject, "is older than a head of the one before it")
        elif record.moment > testimony.moments.get(record.number, record.moment):
            self._add("DJ615", subject, "is younger than a head that states it")

    def _intact(self, record: Record) -> bool:
        if record.intact:
            return True
        subject = f"chain {record.writer}, record {record.number}"
        near = range(max(FIRST, record.number - NEAR), min(LAST, record.number + NEAR) + 1)
        if (place := next(filter(record.fits, near), None)) is not None:
            self._add("DJ604", subject, f"was record {place}")
        else:
            self._add("DJ603", subject, "was changed: its hash is not that of what it tells")
        return False

    def _is_stated(self, testimony: Testimony, record: Record) -> bool:
        """Whether heads speak of it, and say the same."""
        hashes = testimony.about(record.number)
        if hashes - {record.hash}:
            self._add("DJ607", f"chain {record.writer}, record {record.number}", "is another than a head states")
        return record.hash in hashes

    def _overdue(self, first: Record, last: Record) -> None:
        if last.number - first.number >= RECORDS + BATCH or last.moment - first.moment > LATE:
            observation = f"no head states records {first.number} to {last.number}, and one was due"
            self._add("DJ616", f"chain {last.writer}", observation)

    def _add(self, code: str, subject: str, observation: str) -> None:
        if len(self.findings) == MAX_FINDINGS:
            self.more += 1
            return
        why = _WHY.get(code, _LOSS)
        self.findings.append(
            Finding(code=code, severity=Severity.ERROR, subject=subject, observation=observation, why=why, do=_do(code))
        )


def _do(code: str) -> str:
    """What to do; first, where the end is missing, whether the file was copied whole."""
    return f"{_WAL}{_DO}" if code == codes.CUT else _DO
