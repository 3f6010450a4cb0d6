"""The text of manifests as JSON that knows its lines. Reading the bytes is for whoever received them.

Built from the parser's events without recursion, so that neither depth nor aliases cost more than the bounds below.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from json import JSONDecoder

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.scanner import Scanner

from donjon.admission.manifests.scalars import parse_plain
from donjon.errors import Malformed
from donjon.formats.json import Json

MAX_SIZE = 3 << 20  # bytes of one file; the API server takes as many in one request
MAX_DOCUMENTS = 5_000
MAX_DEPTH = 100
MAX_NODES = 500_000  # of one document, its aliases written out
MAX_TWICE = 20  # keys of one document that are told because they stand twice

_LINE_END = re.compile(r"\A[ \t]*\r?\n")
_BLANKS = re.compile(r"[ \t\r\n]*")
_RENDER = "a template is to be rendered first, as in helm template . | donjon check -"
_MERGE = "<<"
_TAGGED_TEXT = "tag:yaml.org,2002:str"
_OF_SGX = re.compile(r"sgx|epc|enclave|aesm|donjon", re.IGNORECASE)
_IMAGE_WITH_BLANK = re.compile(r"\bimage:\s*(?P<name>\S+:)\s+(?P<tag>\S+)")


@dataclass(slots=True)
class Node:
    """A value and where it begins; scalars, lists of nodes, or nodes by key."""

    line: int  # from 1
    value: "bool | int | float | str | list[Node] | dict[str, Node] | None"
    size: int = 1  # nodes in it, aliases written out
    height: int = 1
    keys: dict[str, int] = field(default_factory=dict)  # the lines of an object's keys
    twice: tuple[tuple[int, str], ...] = ()  # of a document: keys that stood in their object before, with their lines

    def json(self) -> Json:
        """The value without its lines."""
        match self.value:
            case dict():
                return {key: inner.json() for key, inner in self.value.items()}
            case list():
                return [inner.json() for inner in self.value]
            case _:
                return self.value

    def line_of(self, pointer: str) -> int:
        """The line of what that JSON pointer names, or of the innermost part of the way that is there."""
        here, line = self, self.line
        for step in (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]):
            if isinstance(here.value, dict) and step in here.value:
                here, line = here.value[step], here.keys[step]
            elif isinstance(here.value, list) and step.isdigit() and int(step) < len(here.value):
                here = here.value[int(step)]
                line = here.line
            else:
                break
        return line


def read(text: str) -> tuple[Node, ...]:
    """The documents of a YAML or JSON text, empty ones left out; raises `Malformed` DJ930 with the line, DJ931 beyond a bound.

    Of a key that stands twice, the last is taken, as Kubernetes does; where anything in the document speaks of SGX, it is DJ930,
    for whoever wrote the first meant it.
    """
    documents: list[Node] = []
    building = _Building()
    try:
        for event in _parser().parse(_apart(text)):
            building.take(event)
            if isinstance(event, DocumentEndEvent):
                documents += building.finish()
                building = _Building()
            if len(documents) > MAX_DOCUMENTS:
                raise Malformed("DJ931", f"more than {MAX_DOCUMENTS} documents: check them in several calls")
    except MarkedYAMLError as error:
        raise Malformed("DJ930", _explanation(error, text)) from error
    except (YAMLError, ValueError) as error:
        raise Malformed("DJ930", f"no YAML: {str(error).splitlines()[0]}") from error
    return tuple(documents)


class _Scanner(Scanner):
    """Takes a tab for a blank where no key can begin, as kubectl's parser does: after a value, or before a comment."""

    def scan_to_next_token(self) -> None:
        """Go on to the next token."""
        super().scan_to_next_token()
        while self.reader.peek() == "\t" and not self.allow_simple_key:
            self.reader.forward()
            super().scan_to_next_token()


def _parser() -> YAML:
    parser = YAML(typ="safe", pure=True)
    parser.Scanner = _Scanner
    return parser


def _apart(text: str) -> str:
    """JSON objects one after the other, as jq prints them, as documents of YAML; any other text as it is.

    A document may begin in the line of its `---`, so that lines stay where they are.
    """
    decoder, ends, here = JSONDecoder(), [0], _past_blanks(text, 0)
    try:
        while text.startswith("{", here):
            _, end = decoder.raw_decode(text, here)
            ends.append(end)
            here = _past_blanks(text, end)
    except (ValueError, RecursionError):  # What it is then, the parser of YAML says better.
        return text
    if here < len(text) or len(ends) < 3:  # noqa: PLR2004 - the beginning and two objects.
        return text
    return "\n--- ".join(_LINE_END.sub("", text[begin:end], count=1) for begin, end in pairwise(ends))


def _past_blanks(text: str, here: int) -> int:
    match = _BLANKS.match(text, here)
    return match.end() if match else here


@dataclass(slots=True)
class _Open:
    """A list or object whose end has not come yet."""

    node: Node
    anchor: str | None
    key: str | None = None
    merged: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class _Building:
    """One document, event by event."""

    root: Node | None = None
    anchors: dict[str, Node] = field(default_factory=dict)
    around: list[_Open] = field(default_factory=list)
    of_sgx: bool = False  # whether anything in it, taken or not, speaks of SGX
    twice: list[tuple[int, str]] = field(default_factory=list)

    def finish(self) -> list[Node]:
        """The document, unless it is empty; raises `Malformed` DJ930 for a key twice in one that speaks of SGX."""
        if self.root is None or self.root.value is None:
            return []
        if self.twice and self.of_sgx:
            line, key = self.twice[0]
            raise Malformed("DJ930", f"line {line}: {key} is there twice")
        self.root.twice = tuple(self.twice)
        return [self.root]

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1
        match event:
            case ScalarEvent():
                self.of_sgx = self.of_sgx or _OF_SGX.search(event.value) is not None
                self._settle(Node(line=line, value=_scalar(event)), event.anchor)
            case AliasEvent():
                self._settle(self._aliased(event, line), None, line=line)
            case SequenceStartEvent():
                self._begin(Node(line=line, value=[]), event.anchor)
            case MappingStartEvent():
                self._begin(Node(line=line, value={}), event.anchor)
            case SequenceEndEvent() | MappingEndEvent():
                open_node = self.around.pop()
                _merge(open_node)
                self._settle(open_node.node, open_node.anchor)

    def _aliased(self, event: AliasEvent, line: int) -> Node:
        if event.anchor not in self.anchors:
            raise Malformed("DJ930", f"line {line}: *{event.anchor} names nothing that stands before it")
        return self.anchors[event.anchor]

    def _begin(self, node: Node, anchor: str | None) -> None:
        self.around.append(_Open(node=node, anchor=anchor))
        if len(self.around) > MAX_DEPTH:
            raise Malformed("DJ931", f"line {node.line}: nested deeper than {MAX_DEPTH}")

    def _settle(self, node: Node, anchor: str | None, *, line: int | None = None) -> None:
        """Put a finished node where it belongs."""
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.around:
            self.root = node
            return
        into = self.around[-1]
        if isinstance(into.node.value, dict) and into.key is None:
            into.key = _key(node)
            if into.key in into.node.value and len(self.twice) < MAX_TWICE:
                self.twice.append((line or node.line, into.key))
            into.node.keys[into.key] = line or node.line
            return
        _put(into, node)
        _grow(into.node, node)


def _put(around: _Open, node: Node) -> None:
    """The node into the list, or under the key that came before it."""
    key, around.key = around.key, None
    match around.node.value:
        case list():
            around.node.value.append(node)
        case dict() if key == _MERGE:
            around.merged += node.value if isinstance(node.value, list) else [node]
        case dict() if key is not None:
            around.node.value[key] = node


def _grow(around: Node, node: Node) -> None:
    around.size += node.size
    around.height = max(around.height, node.height + 1)
    if around.size > MAX_NODES:
        raise Malformed("DJ931", f"line {node.line}: more than {MAX_NODES} values in one document, aliases written out")
    if around.height > MAX_DEPTH:
        raise Malformed("DJ931", f"line {node.line}: nested deeper than {MAX_DEPTH}, aliases written out")


def _merge(open_node: _Open) -> None:
    """Take over what `<<` names, without what the object says itself."""
    if isinstance(open_node.node.value, dict):
        open_node.node.keys.pop(_MERGE, None)
        for source in open_node.merged:
            for key, inner in source.value.items() if isinstance(source.value, dict) else ():
                open_node.node.keys.setdefault(key, source.keys[key])
                open_node.node.value.setdefault(key, inner)


def _key(node: Node) -> str:
    match node.value:
        case dict() | list():
            raise Malformed("DJ930", f"line {node.line}: a key that is no word; {_RENDER}")
        case bool():
            return str(node.value).lower()
        case None:
            return "null"
        case _:
            return str(node.value)


def _scalar(event: ScalarEvent) -> bool | int | float | str | None:
    text = _in_pairs(str(event.value))
    return text if event.style is not None or event.tag == _TAGGED_TEXT else parse_plain(text)


def _in_pairs(text: str) -> str:
    """The text with characters that JSON escapes as two surrogates made one; a half alone is none, as Go's decoder has it."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _explanation(error: MarkedYAMLError, text: str) -> str:
    """The parser's complaint with its line, and what helps with the mistakes that people make."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    message = f"line {line}: no YAML: {error.problem or error.context}"
    return "; ".join((message, *_hints(text, line)))


def _hints(text: str, line: int) -> Iterator[str]:
    source_line = (text.splitlines() or [""])[min(line, len(text.splitlines()) or 1) - 1]
    image = _IMAGE_WITH_BLANK.search(source_line)
    if image is not None:
        yield f"image has a blank in it: write {image['name']}{image['tag']}"
    if "{{" in text:
        yield _RENDER
