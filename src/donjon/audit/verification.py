"""Whether chains are what was written: every record at its place, none missing, changed, replaced or moved, none cut off the end.

The chain alone shows what was altered without writing all that follows anew; heads show that, too, and a chain that was cut.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from donjon.audit import chain
from donjon.audit.chain import FIRST, LAST, Link, Record
from donjon.audit.statements import Kind, Statement
from donjon.findings import Finding, Severity

MAX_FINDINGS = 200
NEAR = 64  # numbers, on either side, where the place of a record that was moved is looked for

_DO = "compare with a backup and with the heads in the logs; find out who could write to the database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain as it was found, from its first record to its last; `stated` is the last that a head states, 0 for none."""

    writer: str
    first: int
    last: int
    stated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All chains that have records, and what is wrong: `more` is the number of findings beyond the bound."""

    chains: tuple[Chain, ...]
    findings: tuple[Finding, ...]
    more: int


def verify(records: Iterable[Record], statements: Iterable[Statement]) -> Verification:
    """What is found in these records, which come chain by chain in the order of their numbers, beside what was said of them."""
    look = _Look()
    for each in statements:
        look.take(each)
    chains = [look.walk(writer, own) for writer, own in groupby(records, key=lambda record: record.writer)]
    for writer in look.heads.keys() - {each.writer for each in chains}:
        look.end(writer, look.begin(writer, LAST))
    return Verification(chains=tuple(chains), findings=tuple(look.findings), more=look.more)


@dataclass(slots=True)
class _Look:
    """What was stated, and what is wrong so far."""

    heads: defaultdict[str, dict[int, set[bytes]]] = field(default_factory=lambda: defaultdict(dict))
    anchors: dict[str, Link] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    more: int = 0

    def take(self, statement: Statement) -> None:
        """Of several anchors the furthest counts; what an anchor says is true of a head at that place, too."""
        link = statement.link
        self.heads[link.writer].setdefault(link.number, set()).add(link.hash)
        if statement.kind is Kind.ANCHOR and link.number > self.begin(link.writer, LAST).number:
            self.anchors[link.writer] = link

    def begin(self, writer: str, number: int) -> Link:
        """Where the chain stood before the record of that number, if nothing is missing."""
        anchor = self.anchors.get(writer)
        return anchor if anchor is not None and anchor.number < number else chain.begun(writer)

    def walk(self, writer: str, records: Iterable[Record]) -> Chain:
        """Record by record, each after the one before it."""
        first, stated = 0, 0
        before, sound = chain.begun(writer), True
        for record in records:
            if not first:
                first, before = record.number, self.begin(writer, record.number)
            self._follows(record, before, sound=sound)
            sound = self._intact(record)
            stated = record.number if self._said(record) else stated
            before = chain.end(record)
        self.end(writer, before)
        return Chain(writer=writer, first=first, last=before.number, stated=stated)

    def end(self, writer: str, last: Link) -> None:
        """Whether heads say more than there is, or other things of what was dropped."""
        own, anchor = self.heads.pop(writer, {}), self.anchors.get(writer)
        if anchor is not None and own.get(anchor.number, {anchor.hash}) != {anchor.hash}:
            self._add(
                "DJ607", f"chain {writer}, record {anchor.number}", "was dropped, and a head states another than the anchor"
            )
        if (stated := max(own, default=0)) > last.number:
            self._add("DJ606", f"chain {writer}", f"ends with record {last.number}, and a head states record {stated}")

    def _follows(self, record: Record, before: Link, *, sound: bool) -> None:
        if record.number > before.number + 1:
            missing = f"records {before.number + 1} to {record.number - 1} are missing"
            self._add("DJ602", f"chain {record.writer}", missing)
        elif sound and record.intact and record.previous != before.hash:
            found = "is not the one that the next one follows" if before.number else "the first record does not begin this chain"
            self._add(
                "DJ605", f"chain {record.writer}, record {before.number}" if before.number else f"chain {record.writer}", found
            )

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

    def _said(self, record: Record) -> bool:
        """Whether heads speak of it, and say the same."""
        said = self.heads[record.writer].pop(record.number, set())
        if said - {record.hash}:
            self._add("DJ607", f"chain {record.writer}, record {record.number}", "is another than a head states")
        return record.hash in said

    def _add(self, code: str, subject: str, found: str) -> None:
        if len(self.findings) == MAX_FINDINGS:
            self.more += 1
            return
        why = "what was decided there can no longer be shown"
        self.findings.append(Finding(code=code, severity=Severity.ERROR, subject=subject, found=found, why=why, do=_DO))
