"""What `make release` makes: the same bytes twice, from other folders, by other users' masks and dates."""

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.deploy.conftest import PROJECT

from donjon import __version__

BUILT_FROM = (
    "src",
    "deploy/bpf",
    "deploy/chart",
    "deploy/release.py",
    "deploy/images/build",
    "deploy/images/layout.py",
    "deploy/images/Containerfile",
)
BESIDE = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-MIT", "CHANGELOG.md", ".gitignore", "requirements/image.txt")
IMAGE = PROJECT / "deploy" / "images" / "build-out" / "donjon.tar"
PACKED = {
    "SHA256SUMS",
    f"donjon-{__version__}-image.oci.tar",
    f"donjon-{__version__}-py3-none-any.whl",
    f"donjon-{__version__}.cdx.json",
    f"donjon-{__version__}.tar.gz",
    f"donjon-chart-{__version__}.tgz",
}


def copied(where: Path, *, seed: int) -> Path:
    """The project in another folder, its files as old as chance has it."""
    dates = random.Random(seed)  # noqa: S311 - any dates will do.
    for name in (*BUILT_FROM, *BESIDE):
        target = where / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.bpf.o"))
        else:
            shutil.copy(source, target)
    (where / "testbed" / "bin").mkdir(parents=True)
    (where / "testbed" / "bin" / "helm").symlink_to(PROJECT / "testbed" / "bin" / "helm")
    for path in where.rglob("*"):
        if not path.is_symlink():
            moment = dates.randrange(1_000_000_000, 1_700_000_000)
            os.utime(path, (moment, moment))
    return where


def packed(project: Path, umask: int) -> dict[str, bytes]:
    """What a release of that folder holds."""
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1767225600"}
    command = [sys.executable, "-m", "deploy.release", "dist", str(IMAGE)]
    done = subprocess.run(command, cwd=project, env=environment, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in (project / "dist").iterdir()}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    if not IMAGE.exists():
        pytest.skip("needs the image: deploy/images/build")
    one, other = (copied(tmp_path_factory.mktemp(name), seed=seed) for seed, name in enumerate(("one", "another")))
    return packed(one, 0o022), packed(other, 0o077)


def test_a_release_is_the_same_from_another_folder_with_other_dates_and_another_mask(
    releases: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    one, other = releases
    assert set(one) == PACKED
    assert [name for name in PACKED if one[name] != other[name]] == []


def test_the_wheel_has_what_the_meter_loads(releases: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path) -> None:
    wheel = tmp_path / "donjon.whl"
    wheel.write_bytes(next(content for name, content in releases[0].items() if name.endswith(".whl")))
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("donjon/adapters/epc/meter.bpf.o").startswith(b"\x7fELF")


def test_the_checksums_are_those_of_everything_else(releases: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path) -> None:
    for name, content in releases[0].items():
        (tmp_path / name).write_bytes(content)
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert {line.removesuffix(": OK") for line in checked.stdout.splitlines()} == PACKED - {"SHA256SUMS"}


def test_the_bill_of_materials_names_every_package_of_python_and_of_debian(
    releases: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    text = releases[0][f"donjon-{__version__}.cdx.json"].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill: dict[str, Any] = json.loads(text)
    assert bill["metadata"]["component"]["version"] == __version__
    names = {
        kind: {each["name"] for each in bill["components"] if each["purl"].startswith(f"pkg:{kind}/")} for kind in ("pypi", "deb")
    }
    locked = (PROJECT / "requirements/image.txt").read_text(encoding="utf-8").splitlines()
    assert names["pypi"] == {line.partition("==")[0] for line in locked if "==" in line}
    with (
        tarfile.open(IMAGE) as image,
        tarfile.open(fileobj=image.extractfile(f"blobs/{layers_of(IMAGE)[0].replace(':', '/')}")) as root,
    ):
        paths = root.getnames()
    assert names["deb"] == {path.rpartition("/")[2] for path in paths if "/status.d/" in path}
    assert "libc6" in names["deb"]


def layers_of(archive: Path) -> list[str]:
    """The image's layers by their hashes."""
    with tarfile.open(archive) as image:

        def read(name: str) -> dict[str, Any]:
            stream = image.extractfile(name)
            assert stream is not None
            parsed: dict[str, Any] = json.load(stream)
            return parsed

        (entry,) = read("index.json")["manifests"]
        manifest = read(f"blobs/{entry['digest'].replace(':', '/')}")
        return [layer["digest"] for layer in manifest["layers"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it builds an image")
def test_the_images_layers_are_the_same_from_another_folder_with_another_mask(tmp_path: Path) -> None:
    archives = []
    projects = [copied(tmp_path / str(seed), seed=seed) for seed in range(2)]
    for project, mask in zip(projects, (0o022, 0o077), strict=True):
        environment = os.environ | {"PYTHON": sys.executable}
        done = subprocess.run(
            [project / "deploy/images/build"], env=environment, umask=mask, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        archives.append(Path(done.stdout.splitlines()[-1]))
    assert layers_of(archives[0]) == layers_of(archives[1])
    assert len(layers_of(archives[0])) == 4
