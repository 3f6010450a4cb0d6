"""A stage cannot be skipped: the value that says that something was proved is made only where it is proved."""

import ast
from pathlib import Path

import pytest

import donjon

SOURCE = Path(donjon.__file__).parent
OWNERS = {
    "Certificate": "donjon.pki.intel",
    "Crl": "donjon.pki.crl",
    "TrustedCollateral": "donjon.collateral.trusted",
    "Document": "donjon.collateral.document",
    "VerifiedQuote": "donjon.attestation.verify",
    "AcceptedQuote": "donjon.attestation.acceptance",
    "BoundQuote": "donjon.attestation.binding",
    "ClaimSet": "donjon.attestation.claims",
    "Appraisal": "donjon.attestation.appraise",
}


def makers(tree: ast.AST, own: str) -> set[str]:
    """The stages whose value that module makes: by a name it has or imported, or through their module."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    known = {alias.asname or alias.name: f"{each.module}.{alias.name}" for each in imports for alias in each.names}
    named = {known.get(func.id, f"{own}.{func.id}") for func in calls if isinstance(func, ast.Name)}
    owners = [
        (func.value.id, func.attr) for func in calls if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)
    ]
    through = {f"{known.get(module, module)}.{attribute}" for module, attribute in owners}
    return {stage for stage, owner in OWNERS.items() if f"{owner}.{stage}" in named | through}


def module_of(path: Path) -> str:
    return ".".join(("donjon", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_only_its_owner_makes_a_stage(path: Path) -> None:
    module = module_of(path)
    made = makers(ast.parse(path.read_text(encoding="utf-8")), module)
    assert made == {stage for stage, owner in OWNERS.items() if owner == module}


@pytest.mark.parametrize(
    "code",
    [
        "from donjon.attestation.verify import VerifiedQuote\nVerifiedQuote(quote=quote)",
        "from donjon.attestation.verify import VerifiedQuote as V\nV(quote=quote)",
        "from donjon.attestation import verify\nverify.VerifiedQuote(quote=quote)",
    ],
)
def test_a_stage_made_elsewhere_is_seen(code: str) -> None:
    assert makers(ast.parse(code), "donjon.cli.quote.command") == {"VerifiedQuote"}


def test_another_class_of_that_name_is_no_stage() -> None:
    assert makers(ast.parse("class Crl: ...\nCrl()"), "donjon.simulation.intel.setting") == set()
