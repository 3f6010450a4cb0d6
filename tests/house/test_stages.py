"""A stage cannot be skipped: the value that says that something was proved is made only where it is proved."""

import ast
from pathlib import Path

import pytest

import donjon

SOURCE = Path(donjon.__file__).parent
OWNERS = {
    "Certificate": "pki/intel.py",
    "Crl": "pki/crl.py",
    "TrustedCollateral": "collateral/trusted.py",
    "VerifiedQuote": "attestation/verify.py",
}


def makers(tree: ast.AST) -> set[str]:
    """The stages whose value is made there, by name or by an attribute of that name."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {func.id for func in calls if isinstance(func, ast.Name)} | {
        func.attr for func in calls if isinstance(func, ast.Attribute)
    }
    return names & OWNERS.keys()


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_only_its_owner_makes_a_stage(path: Path) -> None:
    place = path.relative_to(SOURCE).as_posix()
    assert {stage for stage in makers(ast.parse(path.read_text(encoding="utf-8"))) if OWNERS[stage] != place} == set()


@pytest.mark.parametrize(("stage", "place"), OWNERS.items())
def test_every_owner_makes_its_stage(stage: str, place: str) -> None:
    assert stage in makers(ast.parse((SOURCE / place).read_text(encoding="utf-8")))


def test_a_stage_made_under_the_name_of_its_module_is_seen() -> None:
    assert makers(ast.parse("verify.VerifiedQuote(quote=quote)")) == {"VerifiedQuote"}
