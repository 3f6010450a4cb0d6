"""`donjon explain CODE`: the page of a code."""

from importlib.resources import files

import click

from donjon.cli.terminal import say, write
from donjon.errors import EXIT_MALFORMED


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Print the page of a code such as DJ104, or 104 for short; without one, list all codes."""
    folder = files("donjon.findings") / "pages"
    pages = {page.name.removesuffix(".md"): page for page in folder.iterdir() if page.name.endswith(".md")}
    if code is None:
        for name in sorted(pages):
            say(pages[name].read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "))
        return
    name = code.upper() if not code.isdecimal() else f"DJ{code}"
    page = pages.get(name)
    if page is None:
        say(f"donjon: no code {code[:20]!r}; donjon explain lists all of them", err=True)
        raise SystemExit(EXIT_MALFORMED)
    write(page.read_text(encoding="utf-8").rstrip() + "\n")
