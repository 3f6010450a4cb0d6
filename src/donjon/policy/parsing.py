"""Text to a policy: the grammar of `grammar.lark`, then the rules of `meaning`. With `tree` the door to lark.

`lark` keeps no state between two texts, so one parser, made from the packaged grammar when the first text comes, serves all.
"""

import re
from functools import cache

from lark import Lark, UnexpectedCharacters, UnexpectedToken

from donjon.errors import Malformed
from donjon.formats.words import excerpt
from donjon.policy.faults import Fault
from donjon.policy.meaning import faults
from donjon.policy.syntax import Place, Policy
from donjon.policy.tree import VERSION_FIRST, place, policy_of

MAX_SIZE = 64 << 10  # bytes of UTF-8; the language has no bound of its own
MAX_PIECES = 20_000  # words, texts, signs and comments: each costs some 25 µs, and policies of a few thousand are very long ones
MAX_FAULTS = 20  # told at once

_WORDS = {
    "NAME": "a name",
    "STRING": "a text in double quotes",
    "INT": "a whole number",
    "OPERATOR": "== or another comparison",
    "EQUAL": "'='",
    "ARROW": "'=>'",
    "AND": "'&&'",
    "NOT": "'!'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LPAR": "'('",
    "RPAR": "')'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "COLON": "':'",
    "COMMA": "','",
    "DOT": "'.'",
    "SEMICOLON": "';'",
    "$END": "the end",
}
"""The grammar's terminals in a reader's words, in the order in which they are told; lark names the brackets itself."""
_PIECE = re.compile(
    r"""//[^\r\n]*+|"(?:[^"\\\r\n]|\\["\\])*+"|[A-Za-z_][A-Za-z0-9_]*+|-?[0-9]++|=>|&&|[=!<>]=|[][{}(),:.;=!<>]|([^ \t\r\n])"""
)
"""One piece as the grammar has it; in the group, what begins none."""
_FIRST = re.compile(r"(?:\s++|//[^\r\n]*+)*+(?P<word>[A-Za-z_][A-Za-z0-9_]*+|=>|\S)", re.ASCII)
"""The word or sign with which a text begins, behind comments."""
_TYPOGRAPHIC = frozenset("“”„‟«»‘’‚")


def parse(text: str) -> Policy:
    """The policy that a text is; raises `Fault` (DJ400 to DJ407) with line, column and what was expected."""
    _check_size(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedCharacters as error:
        raise _unreadable(error, text) from error
    except UnexpectedToken as error:
        raise _unexpected(error, text) from error
    policy = policy_of(tree, text)
    wrong = [fault for fault, _ in zip(faults(policy), range(MAX_FAULTS), strict=False)]
    if wrong:
        wrong[0].others = tuple(wrong[1:])
        raise wrong[0]
    return policy


def decode(content: bytes) -> str:
    """The text of a policy's bytes, without a byte order mark; raises `Malformed` DJ400 for what is no UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed("DJ400", f"policy: byte {error.start} is no UTF-8; save it as UTF-8 text") from error


@cache
def _parser() -> Lark:
    return Lark.open_from_package(
        __package__,
        "grammar.lark",
        start="policy",
        parser="lalr",
        lexer="basic",
        propagate_positions=True,
        maybe_placeholders=False,
    )


def _check_size(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Malformed("DJ400", f"policy: character {error.start} is half a surrogate pair; expected Unicode text") from error
    if size > MAX_SIZE:
        raise Malformed("DJ401", f"policy: {size} bytes long, expected at most {MAX_SIZE}")
    for number, piece in enumerate(_PIECE.finditer(text)):
        if piece[1]:  # The parser ends there, too, and says why.
            return
        if number == MAX_PIECES:
            raise Malformed("DJ401", f"policy: longer than it may be, expected at most {MAX_PIECES} words and signs")


# What the grammar refuses.


def _unreadable(error: UnexpectedCharacters, text: str) -> Fault:
    at = Place(error.line, error.column)
    rest = text.split("\n")[at.line - 1][at.column - 1 :]
    if rest.startswith('"'):
        return Fault("DJ400", at, "a text that does not end", _unended_text(rest))
    if rest[0] in _TYPOGRAPHIC:
        return Fault("DJ400", at, f"the typographic quotation mark {rest[0]}", 'plain quotation marks, "')
    return Fault(
        "DJ400", at, f"the sign {excerpt(rest[0])}", "a name, a number, a text in double quotes or a sign of the language"
    )


def _unended_text(rest: str) -> str:
    """What is missing from the text in quotes with which a line goes on."""
    typographic = next((sign for sign in rest if sign in _TYPOGRAPHIC), None)
    if typographic is not None:
        return f'a plain " where {typographic} stands'
    return 'a closing " on its line; a \\ may stand only before " and \\'


def _unexpected(error: UnexpectedToken, text: str) -> Fault:
    if not text.strip():
        return Fault("DJ400", Place(1, 1), "an empty policy", "version=1.0; and sections")
    first = _FIRST.match(text)
    if first is not None and first["word"] != "version":
        start = first.start("word")
        at = Place(text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
        return Fault("DJ400", at, f"the policy begins with {excerpt(first['word'])}", VERSION_FIRST)
    expected = " or ".join(word for name, word in _WORDS.items() if name in (error.accepts or error.expected))
    if error.token.type == "$END":
        return Fault("DJ400", Place(error.token.end_line or 1, error.token.end_column or 1), "the end of the text", expected)
    return Fault("DJ400", place(error.token), f"found '{excerpt(str(error.token))}'", expected)
