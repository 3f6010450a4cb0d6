"""Every code has its page and every page its code, and every module says what it is for."""

import ast
import re
from pathlib import Path

import pytest

import donjon

SOURCE = Path(donjon.__file__).parent
PAGES = SOURCE / "findings" / "pages"
GENERATED = {SOURCE / "adapters" / name / "wire" for name in ("keda", "kubelet")}
WIDEST_LINE = 150

_CODE = re.compile(r"\bDJ\d{3}\b")
_TITLE = re.compile(r"# (?P<code>DJ\d{3}): \S.*[^.\s]")


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if GENERATED.isdisjoint(path.parents))


def pages() -> list[Path]:
    return sorted(PAGES.iterdir())


def codes_in_source() -> set[str]:
    """The codes that modules raise, find or print; those that a docstring alone names are no codes of ours."""
    return {code for path in modules() for code in codes(ast.parse(path.read_text(encoding="utf-8")))}


def codes(tree: ast.Module) -> set[str]:
    said = {id(docstring) for docstring in docstrings(tree)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {code for text in texts if id(text) not in said for code in _CODE.findall(str(text.value))}


def docstrings(tree: ast.Module) -> list[ast.expr]:
    """Every string that stands alone as a statement: docstrings, and those under a constant."""
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]


def test_every_code_has_a_page_that_explain_can_print() -> None:
    assert sorted(codes_in_source() - {page.stem for page in pages()}) == []


def test_every_page_belongs_to_a_code_that_is_still_used() -> None:
    assert sorted({page.stem for page in pages()} - codes_in_source()) == []


def test_codes_are_found_in_calls_and_not_in_docstrings() -> None:
    assert codes(ast.parse('"""Of DJ001."""\nraise Malformed("DJ002", f"{x} [DJ003]")\nX = 1\n"""DJ004."""')) == {
        "DJ002",
        "DJ003",
    }


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_begins_with_its_code_and_says_what_to_do(page: Path) -> None:
    assert page.suffix == ".md"
    text = page.read_text(encoding="utf-8")
    title = _TITLE.fullmatch(text.partition("\n")[0])
    assert title is not None
    assert page.stem == title["code"]
    assert "**What to do.**" in text
    assert max(map(len, text.splitlines())) <= WIDEST_LINE


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def states_a_law(package: Path) -> bool:
    return "Law: " in (ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or "")


def test_every_package_below_the_programs_states_its_law() -> None:
    packages = [path for path in modules() if path.name == "__init__.py" and path.parent.parent == SOURCE]
    assert {path.parent.name for path in packages if not states_a_law(path)} == {"services", "cli"}
