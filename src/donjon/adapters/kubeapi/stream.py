"""JSON of the API server, cut into objects while it comes: how much is in memory does not depend on how much is sent.

Whoever may create pods chooses megabytes of what their objects hold. So an object that is larger than `LARGEST` is let pass, and
only what its beginning says of it is kept. Each object is read by Python's own JSON; this module only finds where objects begin
and end; docs/decisions/0010-objects-are-cut-by-us.md says why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST = 320 << 10  # bytes of one object: all annotations that a pod may have, and itself; read, it takes up to 70 times that
AROUND = 64 << 10  # bytes of a list without its objects
HEAD = 4096  # bytes; the API server writes an object's names first, and all of them together are shorter

_TYPE = re.compile(rb'\s*\{\s*"type":\s*"([A-Z]+)"')
_METADATA = re.compile(rb'"metadata":\s*\{')
_MEMBER = re.compile(rb'\s*"(\w+)":\s*"([^"\\]*)",?')
_NEXT = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*(?:(["{}\[\]])|\Z)', re.DOTALL)
"""Up to the next bracket outside strings, the quote of a string that does not end here, or the end: it always matches.

The repetition of whole strings is not possessive: Python 3.11.2, Debian 12's, then goes on behind the beginning of one that does
not end here, instead of before it.
"""
_STRING_END = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_QUOTE, _OPENERS, _LIST, _OBJECT = b'"'[0], b"{[", b"["[0], b"{"[0]
_OF_AN_ITEM = 3  # brackets open within an item: the list's own, that of its items, the item's
_INSTEAD = b"0"  # stands for an item where the list is read without them


@dataclass(frozen=True, slots=True)
class ObjectText:
    """One object's text, or the beginning of one that is too large."""

    text: bytes
    large: bool

    @property
    def event(self) -> str:
        """What kind of event it is, where it is one of a watch."""
        match = _TYPE.match(self.text)
        return match[1].decode() if match else ""

    @property
    def names(self) -> dict[str, str]:
        """Name, namespace, uid and version, as far as they stand at the beginning of its metadata."""
        start = _METADATA.search(self.text)
        members, place = {}, start.end() if start else len(self.text)
        while match := _MEMBER.match(self.text, place):
            members[match[1].decode()] = match[2].decode(errors="replace")
            place = match.end()
        return members


class Buffer:
    """Bytes that are kept up to a bound; beyond it only their beginning."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = bytearray()
        self._large = False

    def add(self, data: bytes) -> None:
        """Append bytes, as far as there is room for them."""
        if not self._large:
            self._bytes += data[: self._most + 1 - len(self._bytes)]
            self._large = len(self._bytes) > self._most
        if self._large:
            del self._bytes[HEAD:]

    def part(self) -> ObjectText:
        """The bytes so far as the text of one object."""
        return ObjectText(bytes(self._bytes), large=self._large)


class Lines:
    """The lines of a watch, one an event."""

    def __init__(self) -> None:
        self._line = Buffer(LARGEST)

    def feed(self, data: bytes) -> Iterator[ObjectText]:
        """The lines that end in this piece of the answer."""
        *ends, begin = data.split(b"\n")
        for end in ends:
            self._line.add(end)
            yield self._line.part()
            self._line = Buffer(LARGEST)
        self._line.add(begin)

    def rest(self) -> ObjectText:
        """What came after the last line: nothing, unless the answer was cut."""
        return self._line.part()


class Items:
    """The objects of a list, taken out of it."""

    def __init__(self) -> None:
        self._item: Buffer | None = None
        self._around = Buffer(AROUND)
        self._depth = 0  # brackets open
        self._in_list = False  # within a list that is a member of the answer
        self._in_string = self._behind_backslash = False  # whether the last piece ended within a string, and behind its backslash

    def feed(self, data: bytes) -> Iterator[ObjectText]:
        """The objects that end in this piece of the answer."""
        start = 0
        for place in self._brackets(data):
            if data[place] in _OPENERS:
                self._depth += 1
                if self._depth == _OF_AN_ITEM and self._in_list and data[place] == _OBJECT:
                    self._around.add(data[start:place] + _INSTEAD)
                    self._item, start = Buffer(LARGEST), place
                self._in_list = data[place] == _LIST if self._depth == _OF_AN_ITEM - 1 else self._in_list
            else:
                self._depth -= 1
                if self._item is not None and self._depth < _OF_AN_ITEM:
                    self._item.add(data[start : place + 1])
                    yield self._item.part()
                    self._item, start = None, place + 1
        (self._around if self._item is None else self._item).add(data[start:])

    def rest(self) -> ObjectText:
        """The list without its objects; an object that was cut is still in it, so that it is no JSON."""
        if self._item is not None:
            self._around.add(b"{")
        return self._around.part()

    def _brackets(self, data: bytes) -> Iterator[int]:
        """Where brackets stand that are in no string."""
        for match in _NEXT.finditer(data, self._after_string(data)):
            place = match.end() - 1
            if match.lastindex is None:
                return
            if data[place] == _QUOTE:
                self._in_string = True
                self._remember_trailing_backslash(data, place + 1)
                return
            yield place

    def _after_string(self, data: bytes) -> int:
        """Where the string ends in which the last piece ended: at 0 where there was none."""
        if not self._in_string:
            return 0
        start = 1 if self._behind_backslash and data else 0
        end = _STRING_END.match(data, start)
        if end is None:
            self._remember_trailing_backslash(data, start)
            return len(data)
        self._in_string = self._behind_backslash = False
        return end.end()

    def _remember_trailing_backslash(self, data: bytes, start: int) -> None:
        """Whether a string that goes on in the next piece goes on behind a backslash."""
        if data[start:]:
            self._behind_backslash = (len(data) - start - len(data[start:].rstrip(b"\\"))) % 2 == 1
        elif data:
            self._behind_backslash = False
