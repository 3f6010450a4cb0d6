"""Code compares codes by their names, and each number is of somebody."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import donjon
from donjon.findings import codes

SOURCE = Path(donjon.__file__).parent
NAMES = SOURCE / "findings" / "codes.py"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != NAMES)
CODE = re.compile(r"\bDJ\d{3}\b")


def comparisons(tree: ast.Module) -> Iterator[ast.AST]:
    """What decides by a value: comparisons, cases, keys of tables, sets, and how a text begins or ends."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare() | ast.Set() | ast.MatchValue():
                yield node
            case ast.Dict(keys=keys):
                yield from (key for key in keys if key is not None)
            case ast.Call(func=ast.Attribute(attr="startswith" | "endswith")):
                yield node
            case _:
                pass


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_compared_with_a_bare_code(path: Path) -> None:
    bare = [
        constant.value
        for node in comparisons(ast.parse(path.read_text(encoding="utf-8")))
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str) and CODE.search(constant.value)
    ]
    assert bare == []


def test_every_number_is_of_an_area() -> None:
    pages = {path.stem for path in (SOURCE / "findings" / "pages").iterdir()}
    assert {page[2] for page in pages} == set(codes.AREAS)


def names_given_twice(source: str) -> list[str]:
    """Names that are assigned more than once at the top: the second would be compared in the place of the first."""
    targets = [each for statement in ast.parse(source).body for each in getattr(statement, "targets", ())]
    return [name for name, count in Counter(each.id for each in targets if isinstance(each, ast.Name)).items() if count > 1]


def test_no_name_of_a_code_is_given_twice() -> None:
    assert names_given_twice(NAMES.read_text(encoding="utf-8")) == []
    assert names_given_twice('A = "DJ001"\nB = "DJ002"\nA = "DJ003"\n') == ["A"]
