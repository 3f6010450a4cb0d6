"""The image as its Containerfile says it, and as the last build left it."""

import json
import stat
import tarfile
from collections.abc import Iterator

import pytest
from tests.deploy.conftest import PROJECT

CONTAINERFILE = PROJECT / "deploy" / "images" / "Containerfile"
ARCHIVE = PROJECT / "deploy" / "images" / "build-out" / "donjon.tar"
LIMIT = 140 << 20
"""Bytes, unpacked: 92 MiB without what the attestation service adds, of which SQLAlchemy is the greatest part."""


def steps() -> Iterator[tuple[str, str]]:
    text = CONTAINERFILE.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield tuple(line.split(maxsplit=1))  # type: ignore[misc]  # Every step has a word and what follows.


def test_no_step_needs_a_shell_so_that_any_root_will_do() -> None:
    assert {word for word, _ in steps()} == {"ARG", "FROM", "ENV", "USER", "ENTRYPOINT", "COPY", "LABEL"}
    assert ("ENTRYPOINT", '["/usr/local/bin/donjon"]') in steps()


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert [what for word, what in steps() if word == "USER"] == ["65532:65532"]


@pytest.fixture(scope="module")
def image() -> Iterator[tarfile.TarFile]:
    if not ARCHIVE.exists():
        pytest.skip("needs the image: deploy/images/build")
    with tarfile.open(ARCHIVE) as archive:
        yield archive


def read(image: tarfile.TarFile, name: str) -> dict[str, object]:
    file = image.extractfile(name)
    assert file is not None
    parsed: dict[str, object] | list[dict[str, object]] = json.load(file)
    return parsed[0] if isinstance(parsed, list) else parsed


def files(image: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Every file of every layer."""
    layers = read(image, "manifest.json")["Layers"]
    assert isinstance(layers, list)
    found: dict[str, tarfile.TarInfo] = {}
    for layer in layers:
        with tarfile.open(fileobj=image.extractfile(layer)) as unpacked:
            found |= {member.name.removeprefix("./"): member for member in unpacked}
    return found


def test_the_image_says_what_it_is(image: tarfile.TarFile) -> None:
    manifest = read(image, "manifest.json")
    config = read(image, str(manifest["Config"]))["config"]
    assert isinstance(config, dict)
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert manifest["RepoTags"] == [f"donjon.dev/donjon:{labels['version']}"]
    assert labels["licenses"] == "Apache-2.0"
    assert labels["source"]
    assert labels["revision"]
    assert config["User"] == "65532:65532"


def test_the_image_has_no_shell_no_package_manager_and_nothing_that_gives_root(image: tarfile.TarFile) -> None:
    found = files(image)
    programs = {name.rpartition("/")[2] for name in found if name.startswith(("usr/bin/", "usr/sbin/", "usr/local/bin/"))}
    assert {name for name in programs if not name.startswith("python3")} <= {"", "donjon"}
    assert not [name for name, member in found.items() if member.isfile() and member.mode & (stat.S_ISUID | stat.S_ISGID)]


def test_the_image_tells_scanners_its_packages(image: tarfile.TarFile) -> None:
    packages = {name.rpartition("/")[2] for name in files(image) if name.startswith("var/lib/dpkg/status.d/")}
    assert {"libc6", "libssl3"} <= packages or any(name.startswith("libssl3") for name in packages)


def test_the_image_is_small(image: tarfile.TarFile) -> None:
    assert sum(member.size for member in files(image).values()) < LIMIT
