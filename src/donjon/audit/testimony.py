"""What was said of one chain, by heads and anchors: put together, and held against itself.

A statement that stands alone proves what it states; two that do not fit one another prove that one of them was not the writer's.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from donjon.audit import chain
from donjon.audit.chain import FIRST, Link
from donjon.audit.statements import Removal, Statement, StatementKind


@dataclass(slots=True, kw_only=True)
class Testimony:
    """All that heads and anchors say of one writer's chain."""

    writer: str
    hashes: defaultdict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))  # by number
    moments: dict[int, int] = field(default_factory=dict)  # by number, of the earliest head
    anchors: list[Statement] = field(default_factory=list)
    end: int | None = None  # the number behind which nothing is to follow
    spoken: bool = False  # somebody said something

    def take(self, statement: Statement) -> None:
        """What an anchor says is true of a head at that place, too, and so is what it says of the heads that it replaces."""
        link, self.spoken = statement.link, True
        self.hashes[link.number].add(link.hash)
        if statement.last:
            self.end = link.number if self.end is None else min(self.end, link.number)
        if statement.kind is StatementKind.ANCHOR:
            self.anchors += [] if statement in self.anchors else [statement]  # A log has what the database has.
            for each in _predecessors(statement.removal):
                self.hashes[each.number].add(each.hash)
        else:
            self.moments[link.number] = min(self.moments.get(link.number, statement.moment), statement.moment)

    @property
    def last_dropped(self) -> Link:
        """Up to where the chain was dropped: the furthest anchor, or where it began."""
        start = chain.start(self.writer)
        return max((each.link for each in self.anchors), key=lambda link: link.number, default=start)

    def begin(self, number: int) -> Link:
        """Where the chain stood before the record of that number, if nothing is missing."""
        return link if (link := self.last_dropped).number < number else chain.start(self.writer)

    def about(self, number: int) -> set[bytes]:
        """The hashes that are stated of that record, which is there; nobody asks for them twice."""
        return self.hashes.pop(number, set())

    def contradictions(self) -> Iterator[tuple[str, int, str]]:
        """Code, number and words of every two statements that do not fit one another."""
        self.hashes[FIRST - 1].add(chain.start(self.writer).hash)
        anchors = {each.link.number for each in self.anchors}
        for number in sorted(number for number, hashes in self.hashes.items() if len(hashes) > 1):
            words = "was dropped, and a head states another than the anchor"
            yield "DJ607", number, words if number in anchors else "is stated with two hashes"
        for each in self.anchors:
            if each.removal is not None:
                yield from self._young(each, each.removal)

    def _young(self, anchor: Statement, removal: Removal) -> Iterator[tuple[str, int, str]]:
        """A head is no older than what it states, so what it states was dropped too early where the head was too young."""
        old = anchor.moment - removal.retention
        moments = [moment for number, moment in self.moments.items() if removal.first <= number <= anchor.link.number]
        if max((removal.newest, *moments)) > old:
            yield "DJ618", anchor.link.number, "was dropped before it was as old as records are kept"


def by_writer(statements: Iterable[Statement]) -> dict[str, Testimony]:
    """What the statements say, by the writer whose chain they speak of."""
    testimonies: dict[str, Testimony] = {}
    for each in statements:
        testimonies.setdefault(each.link.writer, Testimony(writer=each.link.writer)).take(each)
    return testimonies


def _predecessors(removal: Removal | None) -> tuple[Link, ...]:
    if removal is None:
        return ()
    return removal.heads if removal.anchor is None else (*removal.heads, removal.anchor)
