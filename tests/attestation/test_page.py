"""The page on verifying quotes shows what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests import pages
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.pages import Terminal

from donjon.collateral import bundle

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "verifying-quotes.md").read_text(encoding="utf-8")
QUOTE = ROOT / "vectors" / "dcap-qvl" / "quotes" / "f8b81014b6e4_v3_sgx_00a067110000.bin"
BUNDLE = ROOT / "vectors" / "dcap-qvl" / "sgx_quote_collateral.json"
REFUSED = 1


def test_its_python_runs_and_has_ten_lines() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("ConfigurationAndSWHardeningNeeded (Finding(code='DJ260'")
    lines = [line for line in code.splitlines() if line and not line.startswith(("from ", "import "))]
    assert len(lines) <= 10


def test_its_first_command_prints_what_it_shows_and_the_others_fetch_collateral_and_show_it(tmp_path: Path) -> None:
    verify, fetch, show = pages.shown("verifying-quotes.md", __file__)
    (printed,) = re.findall(rf"^\$ {re.escape(verify)}\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "vectors").symlink_to(ROOT / "vectors")
    with fakepccs.serving(Pccs(fakepccs.collateral(bundle.parse(BUNDLE.read_bytes()), "sgx"))) as cache:
        instead = {"QUOTE": str(QUOTE), "https://pccs.example:8081": cache.address}
        reader = Terminal(folder=tmp_path, environment={}, instead=instead)
        assert reader.run(verify) == printed
        assert "bundle.json" in reader.run(fetch)
    assert "00a067110000" in reader.run(show, ok=(0, REFUSED)).lower()


README = re.findall(
    r"^\| `donjon (quote [^`]*|collateral [^`]*)`", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("command", [command for command in README if "vectors/" in command])
def test_the_commands_of_the_readme_run(command: str) -> None:
    subprocess.run([sys.executable, "-m", "donjon", *command.split()], cwd=ROOT, capture_output=True, timeout=30, check=True)


def test_the_readme_shows_more_than_what_needs_a_network() -> None:
    assert [command for command in README if "vectors/" not in command] == ["collateral fetch QUOTE --to BUNDLE.json"]
    assert len(README) > 1
