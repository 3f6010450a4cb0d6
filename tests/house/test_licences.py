"""What is under another licence than the project stays where it is: in one folder of tests, and in nothing that is given out."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNEL = ROOT / "testbed" / "kernel"
SOURCES = [file for file in KERNEL.iterdir() if file.suffix in {".c", ".h", ".Kbuild"}]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_each_source_of_a_kernel_module_names_its_licence_first(file: Path) -> None:
    assert "SPDX-License-Identifier: GPL-2.0-only" in file.read_text().splitlines()[0]


def test_no_kernel_module_is_in_what_is_given_out(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", tmp_path)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel, tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sources:
        names = [*wheel.namelist(), *sources.getnames()]
    own = {file.name for file in SOURCES}
    assert len(names) > 100
    assert not [name for name in names if "testbed" in name or name.endswith(".ko") or Path(name).name in own]


def test_the_image_takes_the_package_alone() -> None:
    assert "testbed" not in (ROOT / "deploy" / "images" / "build").read_text()
