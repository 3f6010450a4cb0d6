"""`from donjon import …`: the names that stay, the three lines that are shown, and what they cost who does not use them."""

import re
import subprocess
import sys
from pathlib import Path

import donjon

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "vectors" / "dcap-qvl"
EVIDENCE = VECTORS / "quotes" / "f8b81014b6e4_v3_sgx_00a067110000.bin"
BUNDLE = VECTORS / "sgx_quote_collateral.json"
NAMES = {
    "Acceptance",
    "AcceptedQuote",
    "DonjonError",
    "Expected",
    "Finding",
    "VerifiedQuote",
    "__version__",
    "accept",
    "parse_quote",
    "prove_collateral",
    "verify",
}
"""Programs of others use them: one may be added, and none is taken away."""


def test_the_names_are_there() -> None:
    assert set(donjon.__all__) == NAMES
    assert all(hasattr(donjon, name) for name in donjon.__all__)
    assert not hasattr(donjon, "nothing")


def test_the_lines_of_the_readme_are_those_of_the_package_and_run() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert [f"    {line}" for line in shown.splitlines() if line] == re.findall("^    .+$", str(donjon.__doc__), re.MULTILINE)
    values: dict[str, object] = {"evidence": EVIDENCE.read_bytes(), "bundle": BUNDLE.read_bytes()}
    exec(shown, values)  # noqa: S102 - our own page.
    answer = values["answer"]
    assert isinstance(answer, tuple)
    assert all(isinstance(each, donjon.Finding) for each in answer)
    assert "DJ260" in [each.code for each in answer]


def test_the_package_alone_loads_nothing_else() -> None:
    program = "import sys, donjon; print([name for name in sys.modules if name.startswith('donjon.') or name == 'cryptography'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
