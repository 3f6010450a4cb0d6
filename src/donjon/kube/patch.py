"""JSON patches (RFC 6902) as values: the two operations that we need, and what a document is after them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject

APPEND = "-"  # the index after a list's last (RFC 6901, section 4)


class Standing(Enum):
    """What stands at a place that a patch would put something into."""

    NOTHING = 0  # so it has to be made
    FITTING = 1  # an object or a list, as it should
    OTHER = 2  # of another type, so it stays alone

    @classmethod
    def of(cls, value: Json, fitting: type[dict[str, Json]] | type[list[Json]]) -> "Standing":
        """What that value is, where an object or a list should be."""
        return cls.FITTING if isinstance(value, fitting) else cls.NOTHING if value is None else cls.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """A member set, or an entry put into a list."""

    path: str
    value: Json

    def as_dict(self) -> JsonObject:
        """The operation as JSON."""
        return {"op": "add", "path": self.path, "value": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A member or an entry taken away."""

    path: str

    def as_dict(self) -> JsonObject:
        """The operation as JSON."""
        return {"op": "remove", "path": self.path}


Operation = Add | Remove


def escape(key: str) -> str:
    """A key as one step of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def put(way: Iterable[tuple[str, Standing]], key: str, value: Json) -> Iterator[Operation]:
    """Set a member of the last object on a way of them, each made where it is missing; what has another type stays alone."""
    path = ""
    for path, existing in way:
        if existing is Standing.OTHER:
            return
        if existing is Standing.NOTHING:
            yield Add(path=path, value={})
    yield Add(path=f"{path}/{escape(key)}", value=value)


def append(path: str, existing: Standing, entries: Iterable[Json]) -> Iterator[Operation]:
    """Append to a list, made where it is missing; what has another type stays alone."""
    entries = list(entries)
    if not entries or existing is Standing.OTHER:
        return
    if existing is Standing.NOTHING:
        yield Add(path=path, value=[])
    yield from (Add(path=f"{path}/{APPEND}", value=entry) for entry in entries)


def apply(document: JsonObject, operations: Iterable[Operation]) -> JsonObject:
    """The document after the operations, itself untouched; raises `Malformed` DJ911 where one does not fit."""
    own: dict[int, Json] = {}
    changed = dict(document)
    own[id(changed)] = changed
    for operation in operations:
        try:
            _apply(changed, operation, own)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise Malformed("DJ911", f"patch: {operation.path}: nothing there to change") from error
    return changed


def _apply(document: JsonObject, operation: Operation, own: dict[int, Json]) -> None:
    """Change what is our own; on the way there, what is still the original's is copied, one level at a time and once.

    A deep copy of the whole would recurse as deep as whoever wrote the document likes.
    """
    *way, last = [step.replace("~1", "/").replace("~0", "~") for step in operation.path.split("/")[1:]]
    place: JsonObject | list[Json] = document
    for step in way:
        place = _own_copy(place, step, own)
    match place, operation:
        case dict(), Add():
            place[last] = operation.value
        case list(), Add():
            place.insert(len(place) if last == APPEND else int(last), operation.value)
        case dict(), Remove():
            del place[last]
        case list(), Remove():
            del place[int(last)]


def _own_copy(place: JsonObject | list[Json], step: str, own: dict[int, Json]) -> JsonObject | list[Json]:
    entry = place[step] if isinstance(place, dict) else place[int(step)]
    if not isinstance(entry, (dict, list)):
        raise TypeError(step)
    if id(entry) in own:
        return entry
    copied = dict(entry) if isinstance(entry, dict) else list(entry)
    own[id(copied)] = copied
    if isinstance(place, dict):
        place[step] = copied
    else:
        place[int(step)] = copied
    return copied
