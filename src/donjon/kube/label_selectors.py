"""Label selectors as they stand in a query, such as `app=web,tier in (a, b),!canary`, with the operators of `selection`.

Source: k8s.io/apimachinery, `pkg/labels/selector.go`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeVar

from lark import Lark, Transformer
from lark.exceptions import LarkError

from donjon.errors import Malformed
from donjon.formats.json import Json
from donjon.kube.selection import OPERATORS

MAX_SELECTOR = 4096  # characters
MAX_PARTS = 64  # requirements and their values; each may be tried on thousands of pods


class Labels(Protocol):
    """A thing with labels."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""


T = TypeVar("T", bound=Labels)


class Requirement(NamedTuple):
    """What one label is to be; a tuple, since thousands of pods are asked."""

    key: str
    test: Callable[[Json, list[Json]], bool]
    values: list[Json]


Selector = tuple[Requirement, ...]
"""Requirements that all must hold."""


def parse(text: str) -> Selector:
    """The selector; raises `Malformed` DJ729. An empty text selects everything."""
    if len(text) > MAX_SELECTOR:
        raise Malformed("DJ729", f"label selector: {len(text)} characters, expected at most {MAX_SELECTOR}")
    if text.count(",") >= MAX_PARTS:
        raise Malformed("DJ729", f"label selector: {text.count(',') + 1} requirements and values, expected at most {MAX_PARTS}")
    try:
        return _parse(text)
    except LarkError as error:
        raise Malformed("DJ729", f"label selector {text[:80]!r}: {str(error).splitlines()[0][:200]}") from error


def choose(selector: Selector, things: Iterable[T]) -> list[T]:
    """Those whose labels are as the selector wants them; one requirement after the other, since there are thousands of things."""
    left = list(things)
    for key, test, values in selector:
        left = [each for each in left if test(each.labels.get(key), values)]
    return left


def selected(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels are as the selector wants them."""
    return all(test(labels.get(key), values) for key, test, values in selector)


@lru_cache(maxsize=256)  # Autoscalers ask the same again and again.
def _parse(text: str) -> Selector:
    tree = _grammar().parse(text)
    return tuple(each for each in _Requirements().transform(tree).children if each is not None)


@lru_cache(maxsize=1)
def _grammar() -> Lark:
    return Lark.open_from_package("donjon.kube", "label_selectors.lark", ("",), parser="lalr", maybe_placeholders=True)


class _Requirements(Transformer[Any, Any]):
    """Each requirement by its operator."""

    def values(self, words: list[str | None]) -> list[Json]:
        return [str(each or "") for each in words]

    def exists(self, words: list[str]) -> Requirement:
        return _requirement(words[0], "Exists")

    def absent(self, words: list[str]) -> Requirement:
        return _requirement(words[0], "DoesNotExist")

    def equal(self, words: list[str | None]) -> Requirement:
        return _requirement(words[0], "In", words[1] or "")

    def unequal(self, words: list[str | None]) -> Requirement:
        return _requirement(words[0], "NotIn", words[1] or "")

    def greater(self, words: list[str]) -> Requirement:
        return _requirement(words[0], "Gt", words[1])

    def less(self, words: list[str]) -> Requirement:
        return _requirement(words[0], "Lt", words[1])

    def within(self, words: list[Any]) -> Requirement:
        return _requirement(words[0], "In", *words[1])

    def without(self, words: list[Any]) -> Requirement:
        return _requirement(words[0], "NotIn", *words[1])


def _requirement(key: str | None, operator: str, *values: str) -> Requirement:
    return Requirement(str(key), OPERATORS[operator], [str(each) for each in values])
