"""Label selectors as they stand in a query, such as `app=web,tier in (a, b),!canary`, as the expressions that `selection` knows.

Source: k8s.io/apimachinery, `pkg/labels/selector.go`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from lark import Lark, Transformer
from lark.exceptions import LarkError

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject
from donjon.kube.selection import holds

MAX_SELECTOR = 4096  # characters

Selector = tuple[JsonObject, ...]
"""Expressions that all must hold: key, operator and values."""


def parse(text: str) -> Selector:
    """The selector; raises `Malformed` DJ729. An empty text selects everything."""
    if len(text) > MAX_SELECTOR:
        raise Malformed("DJ729", f"label selector: {len(text)} characters, expected at most {MAX_SELECTOR}")
    try:
        return _parse(text)
    except LarkError as error:
        raise Malformed("DJ729", f"label selector {text[:80]!r}: {str(error).splitlines()[0][:200]}") from error


def selected(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels are as the selector wants them."""
    return all(holds(each, cast("Mapping[str, Json]", labels)) for each in selector)


@lru_cache(maxsize=256)  # Autoscalers ask the same again and again.
def _parse(text: str) -> Selector:
    tree = _grammar().parse(text)
    return tuple(each for each in _Expressions().transform(tree).children if each is not None)


@lru_cache(maxsize=1)
def _grammar() -> Lark:
    return Lark.open_from_package("donjon.kube", "label_selectors.lark", ("",), parser="lalr", maybe_placeholders=True)


class _Expressions(Transformer[Any, Any]):
    """Each requirement as an expression."""

    def values(self, words: list[str | None]) -> list[Json]:
        return [str(each or "") for each in words]

    def exists(self, words: list[str]) -> JsonObject:
        return {"key": str(words[0]), "operator": "Exists"}

    def absent(self, words: list[str]) -> JsonObject:
        return {"key": str(words[0]), "operator": "DoesNotExist"}

    def equal(self, words: list[str | None]) -> JsonObject:
        return _expression(words, "In")

    def unequal(self, words: list[str | None]) -> JsonObject:
        return _expression(words, "NotIn")

    def greater(self, words: list[str | None]) -> JsonObject:
        return _expression(words, "Gt")

    def less(self, words: list[str | None]) -> JsonObject:
        return _expression(words, "Lt")

    def within(self, words: list[Any]) -> JsonObject:
        return {"key": str(words[0]), "operator": "In", "values": words[1]}

    def without(self, words: list[Any]) -> JsonObject:
        return {"key": str(words[0]), "operator": "NotIn", "values": words[1]}


def _expression(words: list[str | None], operator: str) -> JsonObject:
    return {"key": str(words[0]), "operator": operator, "values": [str(words[1] or "")]}
