"""Names of JSON members and enumerations, in whatever case a client writes them.

Microsoft's service reads them so, and its clients rely on it: .NET gives properties capital letters, and the Java client says
`BINARY`. A name that stands twice in two spellings is refused as one that stands twice in one: two readers would see two
documents.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from donjon.errors import Malformed
from donjon.formats.json import Json
from donjon.formats.strict_json import Members
from donjon.formats.words import excerpt

MAX_NAMES = 16  # in one refusal; the rest are counted

Shape = Mapping[str, tuple[str, ...]]
"""The names that an object may have, each with those of the object that it holds; none for what is no object."""

E = TypeVar("E", bound=StrEnum)


def canonical(of: Members, shape: Shape, code: str) -> Members:
    """The object with its names as we write them.

    Raises `Malformed` with that code for unknown names, all at once, and for a name that stands twice.
    """
    unknown: list[str] = []
    twice: list[str] = []
    content = _fold(of.content, shape, "", unknown, twice)
    if unknown:
        raise Malformed(code, f"{of.subject}: member {_list(unknown)}, expected none but {', '.join(_paths(shape))}")
    if twice:
        raise Malformed(code, f"{of.subject}: member {_list(twice)} stands twice, in whatever case, expected once")
    return Members(of.subject, content)


def choice(text: str, among: type[E]) -> E | None:
    """Which of these a text names; `None` for one that names none."""
    return {_key(str(each)): each for each in among}.get(_key(text))


def _fold(content: Mapping[str, Json], shape: Shape, within: str, unknown: list[str], twice: list[str]) -> dict[str, Json]:
    canonical_names = {_key(name): name for name in shape}
    folded: dict[str, Json] = {}
    for spelling, value in content.items():
        name = canonical_names.get(_key(spelling))
        if name is None:
            unknown.append(within + spelling)
            continue
        if name in folded:
            twice.append(within + name)
        inner = dict.fromkeys(shape[name], ())
        folded[name] = _fold(value, inner, f"{within}{name}.", unknown, twice) if inner and isinstance(value, dict) else value
    return folded


def _key(name: str) -> str:
    """Letters of ASCII alone have two cases here: beyond it, signs that look alike would fold into one name."""
    return name.lower() if name.isascii() else name


def _list(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(map(excerpt, names[:MAX_NAMES])) + more


def _paths(shape: Shape) -> Iterable[str]:
    for name, inner in shape.items():
        yield name + (f" ({', '.join(inner)})" if inner else "")
