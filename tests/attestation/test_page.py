"""The page on verifying quotes shows what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "verifying-quotes.md").read_text(encoding="utf-8")


def test_its_python_runs_and_has_ten_lines() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("ConfigurationAndSWHardeningNeeded (Finding(code='DJ260'")
    lines = [line for line in code.splitlines() if line and not line.startswith(("from ", "import "))]
    assert len(lines) <= 10


def test_its_command_prints_what_it_shows() -> None:
    (command, shown) = re.findall(r"```console\n\$ donjon (.*?)\n(.*?)```", PAGE, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-m", "donjon", *command.split()], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == shown


README = re.findall(
    r"^\| `donjon (quote [^`]*|collateral [^`]*)`", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("command", [command for command in README if "vectors/" in command])
def test_the_commands_of_the_readme_run(command: str) -> None:
    subprocess.run([sys.executable, "-m", "donjon", *command.split()], cwd=ROOT, capture_output=True, timeout=30, check=True)


def test_the_readme_shows_more_than_what_needs_a_network() -> None:
    assert [command for command in README if "vectors/" not in command] == ["collateral fetch QUOTE --to BUNDLE.json"]
    assert len(README) > 1
