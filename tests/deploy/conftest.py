"""The chart as Helm renders it, without a cluster."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
CHART = PROJECT / "deploy" / "chart"
EXPLICIT = ('admission.mode="policies"', 'image.repository="donjon.dev/donjon"')
"""What must be said: the mode, where there is no cluster to ask, and where the image is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Helm:
    """Real Helm, which renders what it is given."""

    program: Path

    def run(self, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def template(self, *settings: str, values: str = "") -> list[dict[str, Any]]:
        """The objects that come out of `--set` settings and a file of values."""
        done = self.refusal_or_text(*settings, values=values)
        assert done.returncode == 0, done.stderr
        return [each for each in YAML(typ="safe").load_all(done.stdout) if each]

    def refusal(self, *settings: str, values: str = "") -> str:
        """The words with which values are refused."""
        done = self.refusal_or_text(*settings, values=values)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def refusal_or_text(self, *settings: str, values: str = "") -> subprocess.CompletedProcess[str]:
        options = [part for setting in (*EXPLICIT, *settings) for part in ("--set-json", setting)]
        where = ("donjon", CHART, "--namespace", "donjon", "--kube-version", "1.36.3")
        return self.run("template", *where, *options, "--values", "-", stdin=values)


@pytest.fixture(scope="session")
def helm() -> Helm:
    program = PROJECT / "testbed" / "bin" / "helm"
    if not program.exists():
        pytest.skip("needs testbed/bin/helm: make cluster")
    return Helm(program=program)


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one object of this kind and name."""
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)
    return found
