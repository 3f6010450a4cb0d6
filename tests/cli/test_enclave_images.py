"""`donjon enclave show` and `lint` of images."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.cli.calling import call
from tests.enclave.vectors import FOLDER, SDK_FILE
from tests.images.made import MadeImage, digest, layer, write_docker_archive, write_layout

STREAM = (FOLDER / "edp_test_enclave.sgxs").read_bytes()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return call("enclave", *arguments, HOME="/nowhere")


@pytest.fixture
def image() -> MadeImage:
    base = layer({"app/enclave.signed.so": SDK_FILE, "app/old.so": SDK_FILE, "usr/share/text": b"text" * 10_000})
    return MadeImage(base, layer({"app/.wh.old.so": b"", "app/test.sgxs": STREAM}))


def test_show_says_where_in_an_image_each_enclave_is(tmp_path: Path, image: MadeImage) -> None:
    folder = write_layout(tmp_path / "layout", image)
    result = run("show", f"oci:{folder}", "--output", "json")
    assert result.returncode == 0, result.stdout
    stream, sdk = json.loads(result.stdout)
    assert (sdk["image"], sdk["digest"], sdk["file"]) == (f"oci:{folder}", digest(image.manifest), "app/enclave.signed.so")
    assert sdk["mrenclave"] == sdk["measured"] == "69a8788a94e77a4d0cb91a5974022c4fa3422fb6fad96d576af38ff42a7a9f3d"
    assert stream["file"] == "app/test.sgxs"
    text = run("show", f"oci:{folder}").stdout
    assert f"oci:{folder}: app/enclave.signed.so: an enclave of Intel SDK" in text
    assert "old.so" not in text


def test_lint_looks_into_docker_archives(tmp_path: Path, image: MadeImage) -> None:
    path = write_docker_archive(tmp_path / "image.tar", image)
    result = run("lint", f"docker-archive:{path}")
    assert f"docker-archive:{path}: app/enclave.signed.so" in result.stdout


def test_an_image_without_an_enclave_is_a_no(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "layout", MadeImage(layer({"a": b"nothing"})))
    result = run("show", f"oci:{folder}")
    assert result.returncode == 1
    assert f"oci:{folder}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["oci:/nowhere"], 3, "DJ321"),
        (["docker-archive:"], 2, "DJ320"),
        (["registry.example.com/App"], 2, "DJ320"),
        (["oci:/nowhere", "--logins", "/nowhere"], 2, "DJ334"),
        (["oci:/nowhere", "--mirror", "docker.io"], 2, "DJ335"),
        (["oci:/nowhere", "--registry-authority", "/nowhere"], 2, "DJ335"),
        (["nowhere/no.so"], 2, "cannot be read"),
    ],
)
def test_what_cannot_be_looked_at_is_told_with_its_code(arguments: list[str], code: int, words: str) -> None:
    result = run("show", *arguments)
    assert (result.returncode, words in result.stdout + result.stderr) == (code, True), result.stdout


def test_a_broken_enclave_of_an_image_is_told_beside_the_others(tmp_path: Path) -> None:
    broken = SDK_FILE[: len(SDK_FILE) // 2]
    folder = write_layout(tmp_path / "layout", MadeImage(layer({"app/a.so": SDK_FILE, "app/b.so": broken + b".note.sgxmeta"})))
    result = run("show", f"oci:{folder}", "--output", "json")
    assert result.returncode == 2
    assert [(each["file"], "error" in each) for each in json.loads(result.stdout)] == [("app/a.so", False), ("app/b.so", True)]
