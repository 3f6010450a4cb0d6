"""JSON as one recursive alias, and a way into it that never raises. Reading bytes is for whoever received them."""

from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]


def at(value: Json, *path: str) -> Json:
    """What stands at the end of that path of keys; `None` where the path ends early or runs into something that is no object."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def objects(value: Json) -> tuple[JsonObject, ...]:
    """The objects of a list, without whatever else stands in it; none where it is no list."""
    return tuple(entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else ()
