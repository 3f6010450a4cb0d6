"""`make docs`: how Sphinx makes the site of the pages as they stand here; a warning, such as a dead link, is an error.

The table of docs/index.md is the site's navigation: a page that it does not name, and no page that it names, is a warning.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

from donjon import __version__

ROOT = Path(__file__).resolve().parents[2]

project, author, version, release = "Donjon", "", __version__, __version__
project_copyright = "Apache-2.0"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/decisions/*.md", "docs/runbooks/*.md", "testbed/README.md"]
exclude_patterns = [".venv", ".venv-proto", "dist", "docs/examples"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["misc.highlighting_failure"]  # Blocks show what terminals show.
html_theme = "furo"
html_title = f"Donjon {version}"
html_show_sphinx = False
html_copy_source = False

FOLDERS = ("runbooks", "decisions")
"""Folders of pages, of which the index names the first."""

_LINK = re.compile(r"\]\((?P<page>[^)#:]+)\)")


def navigate(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the index its tree of pages, decisions and runbooks below it."""
    del app
    if name == root_doc:
        pages = [match["page"].removesuffix(".md") for match in _LINK.finditer(source[0]) if match["page"].endswith(".md")]
        alone = [page for page in pages if page.partition("/")[0] not in FOLDERS]
        source[0] += _tree(["../README", "../CONTRIBUTING", *alone, *(f"{folder}/*" for folder in FOLDERS)])


def _tree(pages: list[str]) -> str:
    return "\n\n```{toctree}\n:hidden:\n:glob:\n\n" + "\n".join(dict.fromkeys(pages)) + "\n```\n"


def setup(app: Sphinx) -> None:
    """Sphinx asks for this."""
    app.connect("source-read", navigate)
