"""What a person may be shown of somebody else's text, in a message or in a log."""

from collections.abc import Collection
from difflib import get_close_matches

LIKE, VERY_LIKE = 0.6, 0.85  # of `difflib`: two letters in five may differ, or one in seven
MAX_EXCERPT = 40  # characters of the text that a message repeats
MAX_RECITAL = 1_024  # of what a sentence of ours repeats whole, mostly: as long as events.k8s.io lets a note be


def excerpt(text: str) -> str:
    """A piece of somebody's text, short and on one line."""
    return printable(text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 1] + "…")


def recite(text: object) -> str:
    """Somebody's words as a sentence of ours repeats them: on one line, plain, and cut after `MAX_RECITAL`."""
    line = printable(" ".join(str(text).split())[: MAX_RECITAL + 1])
    return line if len(line) <= MAX_RECITAL else f"{line[: MAX_RECITAL - 1]}…"


def printable(text: str) -> str:
    """The text with what no terminal and no log should be given written out."""
    return (
        text
        if text.isprintable()
        else "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
    )


def nearest(word: str, names: Collection[str], likeness: float = LIKE) -> str:
    """The name that was probably meant by a word; empty where none is like it. Long words take long: the caller bounds them."""
    return next(iter(get_close_matches(word, names, n=1, cutoff=likeness)), "")


def one_of(names: tuple[str, ...], actual: str) -> str:
    """All names that would do, the likely one first."""
    likely = nearest(actual, names)
    rest = ", ".join(names)
    return f"one of {rest} (did you mean {likely}?)" if likely else f"one of {rest}"
