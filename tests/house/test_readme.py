"""Every command that the README shows is run by tests/cluster/test_readme.py; said here so that it is found in seconds."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]

# Commands that other tests run as they stand, or that cannot run within themselves.
ELSEWHERE = {
    "make check": "is what runs this test",
    "make cluster": "the fixture `cluster` runs what it runs",
    "make cluster-down": "tests/cluster/test_testbed_down.py runs it, after all others",
}


def shown() -> set[str]:
    """The commands of console blocks, and those of the table and the text that stand in backticks."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^\$ (.+)$", readme, re.MULTILINE)
    inline = re.findall(r"`((?:make|donjon) [a-z][^`]*)`", readme)
    # Words in capitals stand for what a reader fills in; those commands have tests of their own.
    return {command for command in (*blocks, *inline) if not re.search(r"\b[A-Z]{3,}\b", command)}


def test_every_command_of_the_readme_is_run_or_named() -> None:
    tested = re.sub(r'"\s*\n\s*"', "", (PROJECT / "tests" / "cluster" / "test_readme.py").read_text(encoding="utf-8"))
    assert {command for command in shown() if f'("{command}"' not in re.sub(r"\(\s+", "(", tested)} == set(ELSEWHERE)
