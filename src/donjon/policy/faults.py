"""What is wrong with a policy's text: where, what was found and what was expected there."""

from difflib import get_close_matches

from donjon.errors import Malformed
from donjon.policy.syntax import Place

SHOWN = 40  # characters of the text that a message repeats


class Fault(Malformed):
    """A policy that is none; `others` are the further faults of the same text."""

    def __init__(self, code: str, at: Place, found: str, expected: str) -> None:
        super().__init__(code, f"policy: {at}: {found}; expected {expected}")
        self.at = at
        self.found = found
        self.expected = expected
        self.others: tuple[Fault, ...] = ()


def shown(text: str) -> str:
    """A piece of somebody's text, short and on one line."""
    return printable(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


def printable(text: str) -> str:
    """The text with what no terminal and no log should be given written out."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def one_of(names: tuple[str, ...], found: str) -> str:
    """All names that would do, the likely one first."""
    likely = get_close_matches(found, names, n=1)
    rest = ", ".join(names)
    return f"one of {rest}" if not likely else f"one of {rest} (did you mean {likely[0]}?)"
