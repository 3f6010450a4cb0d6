"""Code compares codes by their names, and each number is of somebody."""

import ast
import re
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
