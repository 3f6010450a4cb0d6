"""Each clause of what a careful verifier refuses is named by a test, and each that a test names is on the page."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)
NAMED = re.compile(r"\b[Cc]lauses? (\d+(?:(?:, | and | to )\d+)*)")
SPAN = re.compile(r"(\d+)(?: to (\d+))?")


def tried(text: str) -> set[int]:
    """The clauses that a text names at a test."""
    spans = [SPAN.findall(match) for match in NAMED.findall(text)]
    return {number for span in spans for first, last in span for number in range(int(first), int(last or first) + 1)}


def test_each_clause_is_tried_and_no_other_is_named() -> None:
    rows = [int(number) for number in ROW.findall((ROOT / "docs" / "clauses.md").read_text(encoding="utf-8"))]
    assert rows == list(range(1, len(rows) + 1))
    texts = [path.read_text(encoding="utf-8").partition('"""\n')[2] for path in (ROOT / "tests" / "broken").glob("test_*.py")]
    assert set.union(*map(tried, texts)) == set(rows)
