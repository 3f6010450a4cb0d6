"""The commands of the runbooks and of the page of monitoring, as a woken person finds them: in blocks, and within sentences."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[1]
RUNBOOKS = tuple(sorted((PROJECT / "docs" / "runbooks").iterdir()))
MONITORING = PROJECT / "docs" / "monitoring.md"

_LOOK = re.compile(r"^\$ (.+)$", re.MULTILINE)
_WITHIN = re.compile(r"`((?:donjon|helm|kubectl) [^`]+)`")


def blocks(page: Path) -> list[str]:
    """What stands in the page's blocks."""
    return _LOOK.findall(page.read_text(encoding="utf-8"))


def sentences(page: Path) -> list[str]:
    """What stands within its sentences, a name of `donjon`'s commands among them."""
    return [" ".join(each.split()) for each in _WITHIN.findall(page.read_text(encoding="utf-8"))]


def of_a_cluster() -> list[str]:
    """Every command that asks a cluster, each once: of all blocks, and of the sentences those of kubectl and Helm."""
    pages = (MONITORING, *RUNBOOKS)
    shown = [command for page in pages for command in blocks(page)]
    return list(dict.fromkeys(shown + [each for page in pages for each in sentences(page) if not each.startswith("donjon")]))


def of_donjon() -> list[str]:
    """Every command of `donjon`, each once, its pipes and the pods that it is run in left out."""
    pages = (MONITORING, *RUNBOOKS)
    every = [command for page in pages for command in (*blocks(page), *sentences(page))]
    parts = [part.rpartition(" -- ")[2].strip() for command in every for part in command.split("|")]
    return list(dict.fromkeys(part for part in parts if part.startswith("donjon ")))
