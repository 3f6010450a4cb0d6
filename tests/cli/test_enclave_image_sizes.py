"""`donjon enclave size` and `inspect` of images."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.enclave.vectors import FOLDER, SDK_FILE
from tests.images.made import MadeImage, layer, write_layout

from donjon.cli import donjon
from donjon.enclave.processes import needed_libraries

MANIFEST = b'libos.entrypoint = "/usr/bin/python3"\n[sgx]\nenclave_size = "256M"\n'
SHELL = Path("/bin/sh").read_bytes()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(donjon, ["enclave", *arguments])


def of(tmp_path: Path, files: dict[str, bytes], **process: object) -> str:
    image = MadeImage(layer(files), process=json.loads(json.dumps(process)))
    return f"oci:{write_layout(tmp_path / 'image', image)}"


def test_size_of_an_image_is_of_each_enclave_in_it(tmp_path: Path) -> None:
    name = of(tmp_path, {"app/enclave.signed.so": SDK_FILE, "gramine/app.manifest.sgx": MANIFEST, "etc/hosts": b"x"})
    result = run("size", name, "-o", "json")
    answers = {each["file"]: each for each in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert answers[f"{name}: app/enclave.signed.so"]["limits"] == {"sgx.intel.com/epc": "2Mi"}
    assert answers[f"{name}: gramine/app.manifest.sgx"]["family"] == "Gramine"


def test_size_of_an_image_without_any_is_a_no_and_a_broken_one_is_told_with_its_file(tmp_path: Path) -> None:
    name = of(tmp_path, {"etc/hosts": b"x"})
    assert run("size", name).exit_code == 1
    other = of(tmp_path / "other", {"a.manifest.sgx": b"entrypoint = [ sgx"})
    result = run("size", other)
    assert (result.exit_code, f"{other}: a.manifest.sgx: " in result.stdout) == (2, True)


def test_inspect_looks_at_what_the_image_starts(tmp_path: Path) -> None:
    files = {"entry.sh": b'#!/bin/sh\nexec "$@"\n', "usr/bin/python3.13": SHELL, "gramine/app.manifest.sgx": MANIFEST}
    name = of(tmp_path, files, Entrypoint=["/entry.sh"], Cmd=["python3", "-m", "gunicorn"])
    result = run("inspect", name)
    assert result.exit_code == 1
    lines = [line for line in result.stdout.splitlines() if line.startswith(name)]
    assert lines == [
        f"{name}: entry.sh: a script for /bin/sh",
        f"{name}: usr/bin/python3.13: a program",
        f"{name}: gunicorn: named in its command",
        f"{name}: gramine/app.manifest.sgx: a manifest of Gramine",
    ]
    for code in ("DJ355", "DJ356", "DJ357"):
        assert code in result.stdout


def test_inspect_looks_at_what_gramine_starts_and_into_the_libraries_of_programs(tmp_path: Path) -> None:
    program = Path("/bin/bash").read_bytes()
    (library,) = needed_libraries(program)  # For its terminal.
    files = {"usr/bin/python3.13": program, "gramine/app.manifest.sgx": MANIFEST, f"usr/lib/{library}": SHELL}
    result = run("inspect", of(tmp_path, files, Entrypoint=["/gramine/app"]), "-o", "json")
    told = {each["file"].rpartition(": ")[2]: each for each in json.loads(result.stdout)}
    assert told["usr/bin/python3.13"]["kind"] == "program"  # For the manifest starts /usr/bin/python3.
    assert "fork" in told[f"usr/lib/{library}"]["imports"]


@pytest.mark.parametrize(
    ("process", "words"),
    [({"Entrypoint": ["/app"]}, "has no such file"), ({}, "says of nothing that it starts it")],
)
def test_inspect_says_where_it_cannot_look(tmp_path: Path, process: dict[str, list[str]], words: str) -> None:
    result = run("inspect", of(tmp_path, {"etc/hosts": b"x"}, **process))
    assert (result.exit_code, words in result.stdout) == (0, True)
    assert run("inspect", "oci:/nowhere").exit_code == 3
    assert run("size", "oci:/nowhere").exit_code == 3


def test_inspect_holds_gramine_s_manifest_against_the_signature_beside_it_in_the_image(tmp_path: Path) -> None:
    folder = FOLDER.parent / "gramine"
    files = {
        "srv/app.manifest.sgx": (folder / "plain.manifest.sgx").read_bytes(),
        "srv/app.sig": (folder / "plain.sigstruct").read_bytes(),
        "usr/lib/x86_64-linux-gnu/gramine/sgx/libpal.so": (folder / "standin-libpal.so").read_bytes(),
    }
    assert "the same that was signed" in run("inspect", of(tmp_path, files)).stdout
