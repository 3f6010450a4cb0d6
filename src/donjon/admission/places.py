"""How to put something into a pod where the object or list around it may be missing; what has another type stays alone."""

from collections.abc import Iterable, Iterator

from donjon.formats.json import Json, JsonObject, at
from donjon.kube.patch import APPEND, Add, Operation, escaped


def put(pod: JsonObject, way: tuple[str, ...], key: str, value: Json) -> Iterator[Operation]:
    """Set a member of the object at the end of that way, made where it is missing."""
    path = ""
    for depth, step in enumerate(way, start=1):
        path = f"{path}/{step}"
        stated = at(pod, *way[:depth])
        if not isinstance(stated, (dict, type(None))):
            return
        if stated is None:
            yield Add(path=path, value={})
    yield Add(path=f"{path}/{escaped(key)}", value=value)


def appended(path: str, stated: Json, entries: Iterable[Json]) -> Iterator[Operation]:
    """Append to a list, made where it is missing."""
    entries = list(entries)
    if not entries or not isinstance(stated, (list, type(None))):
        return
    if stated is None:
        yield Add(path=path, value=[])
    yield from (Add(path=f"{path}/{APPEND}", value=entry) for entry in entries)
