"""What becomes of the parts of an answer: objects, read one by one, of which only what somebody asks for is kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from donjon.adapters.kubeapi.stream import LARGEST, ObjectText
from donjon.errors import Unavailable
from donjon.formats.json import Json, JsonObject, at

T = TypeVar("T")


def read(part: ObjectText, what: str) -> JsonObject:
    """The object that a part of an answer is; raises `Unavailable` DJ041 for everything else."""
    if part.large:
        raise Unavailable("DJ041", f"{what}: the answer is too large to be read")
    return parse(part.text, what)


def parse(text: bytes, what: str) -> JsonObject:
    """The object that an answer is; raises `Unavailable` DJ041 for everything else."""
    try:
        value = cast("Json", json.loads(text))
    except (ValueError, RecursionError) as error:  # JSON nested too deep for Python is no answer of an API server either.
        raise Unavailable("DJ041", f"{what}: the answer is no JSON") from error
    if not isinstance(value, dict):
        raise Unavailable("DJ041", f"{what}: the answer is no object")
    return value


@dataclass(frozen=True, slots=True)
class Conversion(Generic[T]):
    """What is made of the objects of one kind, the large ones too."""

    path: str
    keep: Callable[[JsonObject], T]
    beyond: Callable[[JsonObject], T] | None

    def object(self, part: ObjectText) -> JsonObject:
        """An object of a list; of a large one its names."""
        return {"metadata": {**part.names}} if part.large else read(part, f"GET {self.path}")

    def event(self, part: ObjectText) -> tuple[str, JsonObject]:
        """An event of a watch: its kind and its object."""
        if part.large:
            return part.event, {"metadata": {**part.names}}
        event = read(part, f"watch {self.path}")
        item = event.get("object")
        return str(event.get("type")), item if isinstance(item, dict) else {}

    def convert(self, item: JsonObject, *, large: bool) -> T:
        """What `keep` makes of an object, or `beyond` of one that is too large."""
        if not large:
            return self.keep(item)
        if self.beyond is None:
            name = at(item, "metadata", "name") or "an object"
            raise Unavailable("DJ041", f"{self.path}: {name} is larger than {LARGEST >> 10} KiB")
        return self.beyond(item)
