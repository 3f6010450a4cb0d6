"""Every link of every page leads somewhere, its anchor too; every page is reached from docs/index.md and says where to go next.

`make docs` checks the same as it builds the site; this is for all who have no minute.
"""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = sorted(
    [
        *PROJECT.glob("*.md"),
        *DOCS.glob("*.md"),
        *(DOCS / "decisions").glob("*.md"),
        *(DOCS / "runbooks").glob("*.md"),
        PROJECT / "testbed" / "README.md",
    ]
)
LEADING_ON = sorted(DOCS.glob("*.md"))
"""The pages for readers; what stands beside them (decisions, README) has its own end."""

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<to>[^)\s]+)\)")


def links(page: Path) -> list[str]:
    """What the page links to within the repository."""
    text = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return [match["to"] for match in _LINK.finditer(text) if "://" not in match["to"]]


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings, as GitHub and Sphinx make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def place(page: Path, link: str) -> Path:
    return (page.parent / link.partition("#")[0]).resolve() if not link.startswith("#") else page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not place(page, link).exists()] == []
    at = [(place(page, link), link.partition("#")[2]) for link in links(page) if "#" in link]
    assert [anchor for target, anchor in at if anchor not in anchors(target)] == []


def test_every_page_is_reached_from_the_index() -> None:
    index = DOCS / "index.md"
    reached = {place(index, link) for link in links(index)} | {index}
    assert [page.name for page in LEADING_ON if page not in reached] == []


@pytest.mark.parametrize("page", LEADING_ON, ids=lambda page: page.name)
def test_a_page_ends_with_where_to_go_next(page: Path) -> None:
    last = page.read_text(encoding="utf-8").rstrip().rpartition("\n\n")[2]
    assert last.startswith("Next: "), f"{page.name}: ends with {last[:60]!r}"
    assert "](" in last
