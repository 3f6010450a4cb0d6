"""JMESPath over JSON text, within bounds. The door to jmespath.

Its language can double its own work at every step (`[@,@] | [@,@] | …`), so each step and the weight of what it answers are
counted, and so is the reading of expressions and of JSON, before it is done. The library keeps the last expressions of the whole
process, of any length, as trees of a hundred times their size: it is not let to, short ones are kept here.
`equals_ignore_case` is Microsoft's addition: policies in its documentation call it.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

from jmespath.functions import Functions, signature
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

from donjon.formats.words import excerpt
from donjon.policy.budget import Budget, Stop
from donjon.policy.claims import MAX_TEXT, Json, compact, is_unicode

MAX_QUERY = 8 << 10  # characters
MAX_WEIGHT = 16 * MAX_TEXT  # of one answer; what stands in it twice counts twice
MAX_NESTING = 100  # of JSON, and of a query; far below what Python's own stack holds, so that the answer never hangs on that
MAX_SENTENCE = 200  # characters of the library's own words, which may hold a whole value
MAX_CACHED, CACHE_SIZE = 128, 256  # characters of an expression that is kept, and how many are: less than 5 MiB of trees

# What things weigh, in what `Budget` counts.
CALL = 4_000  # a query beside all below
STEP = 400  # a step of a query beside its answer
SIGN = 300  # a character of an expression that is read
READ = 90  # a value in JSON that is read, beside its characters
VALUE = 60  # a value in an answer, beside its characters, or its bits


def query(text: str, expression: str, budget: Budget) -> str:
    """The JSON text that the expression finds in a JSON text; raises `Stop` DJ412 without an answer, DJ413 beyond a bound."""
    if len(expression) > MAX_QUERY:
        raise Stop("DJ413", f"a query of {len(expression)} characters, at most {MAX_QUERY} are looked at")
    budget.spend(CALL + SIGN * len(expression))
    value = read(text, budget)
    try:
        tree = _cached_tree(expression) if len(expression) <= MAX_CACHED else _tree(expression)
        return within_bounds(compact(cast("Json", _Interpreter(budget).visit(tree, value))))
    except Stop:
        raise
    except RecursionError as error:
        raise Stop("DJ413", f"a query nested deeper than {MAX_NESTING}") from error
    except Exception as error:
        # Whatever the library trips over, the query is to blame, and whoever wrote it is told.
        raise Stop("DJ412", f"the query {excerpt(expression)} has no answer: {_sentence(error)}") from error


def _tree(expression: str) -> Mapping[str, object]:
    """The library's tree of an expression, of which it keeps nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # `foo` for `"foo"`: an old spelling that still works.
        tree: Mapping[str, object] = Parser().parse(expression).parsed
    Parser.purge()
    return tree


_cached_tree = lru_cache(CACHE_SIZE)(_tree)


def read(text: str, budget: Budget) -> Json:
    """A JSON text as a value; raises `Stop` DJ412 for anything else, DJ413 beyond a bound."""
    budget.spend(len(within_bounds(text)) + READ * sum(map(text.count, _BEFORE_VALUES)))
    try:
        content = cast("Json", json.loads(text, parse_constant=_refuse))
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise Stop("DJ412", f"{excerpt(text)!r} is no JSON: {_sentence(error)}") from error
    if _nesting(content) > MAX_NESTING:
        raise _too_deep()
    return content


_BEFORE_VALUES = ("[", "{", ",", ":")
"""What a value or a name in JSON comes behind; those within texts count, too."""


def _too_deep() -> Stop:
    return Stop("DJ413", f"JSON nested deeper than {MAX_NESTING}")


def _nesting(content: Json) -> int:
    depth, level = 0, [content]
    while level:
        inner = [value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)]
        level = [value for values in inner for value in values]
        depth += 1
    return depth - 1


def within_bounds(text: str) -> str:
    """The text, if it is one that a claim can hold."""
    if len(text) > MAX_TEXT:
        raise Stop("DJ413", f"a text of {len(text)} characters, a claim holds at most {MAX_TEXT}")
    if not is_unicode(text):
        raise Stop("DJ412", "half a surrogate pair, which is no Unicode text")
    return text


def _refuse(word: str) -> Json:
    raise ValueError(f"{word} is no number")


def _sentence(error: Exception) -> str:
    message = (str(error).splitlines() or [""])[0] or type(error).__name__
    return message if len(message) <= MAX_SENTENCE else f"{message[:MAX_SENTENCE]}…"


class _Functions(Functions):
    """The functions of JMESPath, those bounded that could make much of little, and Microsoft's own."""

    @signature({"types": ["string"]}, {"types": ["string"]})
    def _func_equals_ignore_case(self, left: str, right: str) -> bool:
        return left.casefold() == right.casefold()

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, parts: Sequence[str]) -> str:
        length = sum(map(len, parts)) + len(separator) * len(parts)
        if length > MAX_TEXT:
            raise Stop("DJ413", f"join() of {length} characters, a claim holds at most {MAX_TEXT}")
        return separator.join(parts)

    @signature({"types": []})
    def _func_to_string(self, value: Json) -> str:
        return value if isinstance(value, str) else compact(value)


_FUNCTIONS = _Functions()


class _Interpreter(TreeInterpreter):
    """The library's interpreter, with every step counted."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(Options(custom_functions=_FUNCTIONS))
        self._budget = budget
        self._nesting = 0
        self._weights: dict[int, tuple[object, int]] = {}

    def visit(self, node: Mapping[str, object], *args: object, **kwargs: object) -> object:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise Stop("DJ413", f"a query nested deeper than {MAX_NESTING}")
        answer: object = super().visit(node, *args, **kwargs)  # type: ignore[arg-type]  # The library's type for it is private.
        self._nesting -= 1
        weight = self._weight(answer)
        self._budget.spend(STEP + weight)
        if weight > MAX_WEIGHT:
            raise Stop("DJ413", "an answer of more values and characters than are looked at")
        return answer

    def _weight(self, value: object) -> int:
        """Values and characters, counted once for each list or object; those are kept, so that no identity is used again."""
        match value:
            case str():
                return VALUE + len(value)
            case bool() | float() | None:
                return VALUE
            case int():
                return VALUE + value.bit_length()
            case list() | dict() if not value:
                return VALUE
            case list() | dict():
                entry = self._weights.get(id(value))
                if entry is None:
                    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
                    entry = self._weights[id(value)] = (value, VALUE + sum(map(self._weight, inner)))
                return entry[1]
            case _:
                return VALUE
