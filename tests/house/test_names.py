"""A name is a noun of the field or a verb, and a class's is its own in the whole house."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import donjon

SOURCE = Path(donjon.__file__).parent
GENERATED = {SOURCE / "adapters" / name / "wire" for name in ("keda", "kubelet")}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if GENERATED.isdisjoint(path.parents))

PARTICIPLE = re.compile(
    r"_*(?:accepted|added|allowed|answered|asked|begun|believed|carried|checked|chosen|claimed|counted|dropped|drawn|ended|fetched"
    r"|found|given|gone|held|joined|kept|known|listed|looked|lost|made|meant|measured|named|opened|placed|printed|proved|refused|said"
    r"|seen|sent|served|settled|shown|signed|spelt|stated|stored|taken|told|tried|used|wanted|written)_*",
    re.IGNORECASE,
)
"""Each once named ten different things."""


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that a module gives to something, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store(), id=name) | ast.Attribute(ctx=ast.Store(), attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case _:
                pass


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_participle_is_the_name_of_a_thing(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [f"{line}: {name}" for line, name in names(tree) if PARTICIPLE.fullmatch(name)] == []


def test_no_two_classes_have_one_name() -> None:
    homes = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(SOURCE)))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}
