"""The image as its Containerfile says it, and as the last build left it."""

import hashlib
import json
import stat
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
from tests.deploy.conftest import PROJECT

CONTAINERFILE = PROJECT / "deploy" / "images" / "Containerfile"
ARCHIVE = PROJECT / "deploy" / "images" / "build-out" / "donjon.tar"
LIMIT = 148 << 20
"""Bytes, unpacked: 92 MiB without what the attestation service adds, of which SQLAlchemy is the greatest part.

libbpf for the meter, and what it links to, are 1.2 MiB of them; what images are looked into by (zstd, pyelftools) 3.3 MiB.
"""


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


def read(image: tarfile.TarFile, name: str) -> dict[str, Any]:
    file = image.extractfile(name)
    assert file is not None
    parsed: dict[str, Any] = json.load(file)
    return parsed


def blob(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def manifest_of(image: tarfile.TarFile) -> dict[str, Any]:
    (entry,) = read(image, "index.json")["manifests"]
    return read(image, blob(entry))


def files(image: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Every file of every layer."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in manifest_of(image)["layers"]:
        with tarfile.open(fileobj=image.extractfile(blob(layer))) as unpacked:
            found |= {member.name.removeprefix("./"): member for member in unpacked}
    return found


def test_the_image_says_what_it_is(image: tarfile.TarFile) -> None:
    config = read(image, blob(manifest_of(image)["config"]))["config"]
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    (entry,) = read(image, "index.json")["manifests"]
    assert set(entry["annotations"].values()) == {f"donjon.dev/donjon:{labels['version']}"}
    assert labels["licenses"] == "Apache-2.0 AND (MIT OR GPL-2.0-only)"
    assert labels["source"]
    assert labels["revision"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/local/bin/donjon"]
    assert "LANG=C.UTF-8" in config["Env"]


def test_the_images_hashes_are_those_of_its_parts(image: tarfile.TarFile) -> None:
    names = [name for name in image.getnames() if name.startswith("blobs/")]
    for name in names:
        stream = image.extractfile(name)
        assert stream is not None
        assert hashlib.sha256(stream.read()).hexdigest() == name.rpartition("/")[2]
    manifest = manifest_of(image)
    layers = [layer["digest"] for layer in manifest["layers"]]
    assert read(image, blob(manifest["config"]))["rootfs"]["diff_ids"] == layers
    assert len(names) == 2 + len(layers)


def test_the_image_does_not_tell_the_folder_it_was_built_in(image: tarfile.TarFile) -> None:
    for layer in manifest_of(image)["layers"]:
        stream = image.extractfile(blob(layer))
        assert stream is not None
        assert str(PROJECT).encode() not in stream.read()


def test_the_image_has_no_shell_no_package_manager_and_nothing_that_gives_root(image: tarfile.TarFile) -> None:
    found = files(image)
    programs = {name.rpartition("/")[2] for name in found if name.startswith(("usr/bin/", "usr/sbin/", "usr/local/bin/"))}
    assert {name for name in programs if not name.startswith("python3")} <= {"", "donjon"}
    assert not [name for name, member in found.items() if member.isfile() and member.mode & (stat.S_ISUID | stat.S_ISGID)]


def test_the_image_tells_scanners_its_packages(image: tarfile.TarFile) -> None:
    packages = {name.rpartition("/")[2] for name in files(image) if name.startswith("var/lib/dpkg/status.d/")}
    assert {"libc6", "libssl3"} <= packages or any(name.startswith("libssl3") for name in packages)


def test_the_image_has_what_the_meter_loads(image: tarfile.TarFile) -> None:
    names = {name.rpartition("/")[2] for name in files(image)}
    assert {"libbpf.so.1", "meter.bpf.o", "meter.bpf.c"} <= names


def test_the_image_is_small(image: tarfile.TarFile) -> None:
    assert sum(member.size for member in files(image).values()) < LIMIT
