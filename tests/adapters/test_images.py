import json
import tarfile
from pathlib import Path

import pytest
from tests.images.made import MadeImage, digest, layer, member, write_archive, write_docker_archive, write_layout

from donjon.adapters.images.images import Images
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject
from donjon.images.access import RegistryAccess
from donjon.images.image import Compression
from donjon.images.references import parse_reference

IMAGES = Images(RegistryAccess())
BASE = layer({"etc/a": b"old", "etc/b": b"b", "usr/bin/app": b"app"})
TOP = layer({"etc/a": b"new", "etc/.wh.b": b""})
FILES = {"etc/a": b"new", "usr/bin/app": b"app"}


def read(name: str) -> dict[str, bytes]:
    image = IMAGES.resolve(parse_reference(name))
    return {file.path: file.content for file in IMAGES.files(image, lambda path, size: bool(path) and size >= 0)}


@pytest.mark.parametrize("compression", Compression)
def test_a_layout_is_read_from_a_folder_and_from_an_archive(tmp_path: Path, compression: Compression) -> None:
    folder = write_layout(tmp_path / "layout", MadeImage(BASE, TOP, compression=compression))
    archive = write_archive(folder, tmp_path / "layout.tar")
    assert read(f"oci:{folder}") == FILES
    assert read(f"oci:{archive}") == FILES


def test_a_docker_archive_is_read(tmp_path: Path) -> None:
    made = MadeImage(BASE, TOP, TOP)
    path = write_docker_archive(tmp_path / "image.tar", made)
    assert read(f"docker-archive:{path}") == FILES


def test_a_docker_archive_of_today_is_a_layout_besides(tmp_path: Path) -> None:
    made = MadeImage(BASE, TOP)
    folder = write_layout(tmp_path / "layout", made)
    manifest = json.loads(made.manifest)
    blobs = [f"blobs/sha256/{each['digest'].removeprefix('sha256:')}" for each in (manifest["config"], *manifest["layers"])]
    (folder / "manifest.json").write_text(json.dumps([{"Config": blobs[0], "RepoTags": None, "Layers": blobs[1:]}]))
    path = write_archive(folder, tmp_path / "image.tar")
    assert read(f"docker-archive:{path}") == read(f"oci:{path}") == FILES


def test_an_image_says_what_its_config_does(tmp_path: Path) -> None:
    process: JsonObject = {
        "Entrypoint": ["/app"],
        "Cmd": None,
        "Env": ["A=b"],
        "WorkingDir": "/x",
        "User": "1",
        "Labels": {"c": "d"},
    }
    made = MadeImage(BASE, process={**process, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}})
    image = IMAGES.resolve(parse_reference(f"oci:{write_layout(tmp_path / 'layout', made)}"))
    config = image.config
    assert (config.entrypoint, config.command, config.environment) == (("/app",), (), ("A=b",))
    assert (config.working_dir, config.user, config.labels) == ("/x", "1", {"c": "d"})
    assert (config.exposed_ports, config.volumes) == (("80/tcp",), ("/data",))
    assert image.digest == image.named_digest == digest(made.manifest)


def test_hard_links_are_files_of_their_own(tmp_path: Path) -> None:
    base = layer([(member("a"), b"content"), (member("b", tarfile.LNKTYPE, linkname="a"), b""), (member("c"), b"c")])
    folder = write_layout(tmp_path / "layout", MadeImage(base, layer({".wh.a": b""})))
    assert read(f"oci:{folder}") == {"b": b"content", "c": b"c"}


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "layout", MadeImage(layer({"a": b"1", "b": b"22"})))
    image = IMAGES.resolve(parse_reference(f"oci:{folder}"))
    assert [file.path for file in IMAGES.files(image, lambda _, size: size > 1)] == ["b"]


def test_the_image_for_linux_on_x86_is_chosen(tmp_path: Path) -> None:
    made, other = MadeImage(BASE), MadeImage(TOP, platform=("linux", "arm64"))
    made.blobs |= other.blobs
    entries: list[JsonObject] = [
        {**other.descriptor, "platform": {"os": "linux", "architecture": "arm64"}},
        {**made.descriptor, "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    folder = write_layout(tmp_path / "layout", made, entries)
    image = IMAGES.resolve(parse_reference(f"oci:{folder}"))
    assert image.digest == digest(made.manifest)


@pytest.mark.parametrize(("tag", "expected"), [("one", 0), ("two", 1)])
def test_a_tag_of_a_layout_names_one_of_its_images(tmp_path: Path, tag: str, expected: int) -> None:
    images = [MadeImage(BASE), MadeImage(TOP)]
    images[0].blobs |= images[1].blobs
    name = "org.opencontainers.image.ref.name"
    entries: list[JsonObject] = [
        {**each.descriptor, "annotations": {name: text}} for each, text in zip(images, ("one", "two"), strict=True)
    ]
    folder = write_layout(tmp_path / "layout", images[0], entries)
    assert IMAGES.resolve(parse_reference(f"oci:{folder}:{tag}")).digest == digest(images[expected].manifest)
    with pytest.raises(DonjonError, match=r"it has one, two.*DJ321"):
        IMAGES.resolve(parse_reference(f"oci:{folder}:three"))
