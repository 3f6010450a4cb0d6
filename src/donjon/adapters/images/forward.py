"""A stream that is read once, from its beginning to its end, with as much of `tell` and `seek` as `tarfile` asks for."""

from collections.abc import Iterator


class Forward:
    """Pieces as one stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._place = pieces, 0
        self._piece, self._start = memoryview(b""), 0

    def tell(self) -> int:
        """The place."""
        return self._place

    def parts(self, count: int) -> Iterator[memoryview]:
        """That many bytes, or what is left, as they lie."""
        while count > 0 and (part := self._piece[self._start : self._start + count] or self._next(count)):
            self._start += len(part)
            self._place += len(part)
            count -= len(part)
            yield part

    def _next(self, count: int) -> memoryview:
        self._piece, self._start = memoryview(next(filter(None, self._pieces), b"")), 0
        return self._piece[:count]

    def read(self, count: int) -> bytes:
        """That many bytes, or what is left."""
        return b"".join(self.parts(count))

    def seek(self, place: int) -> int:
        """Go on to a place, over what lies between."""
        for _ in self.parts(place - self._place):
            pass
        return self._place
