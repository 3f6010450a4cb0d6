"""`donjon enclave` on real enclaves that others made."""

import json
from pathlib import Path

from click.testing import CliRunner, Result
from tests import pages
from tests.enclave.vectors import FOLDER, SDK_FILE
from tests.images.made import MadeImage, layer, write_layout
from tests.pages import Terminal

from donjon.cli import donjon

SDK = str(FOLDER / "ita-minimal-enclave.signed.so")


def test_the_page_shows_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "enclave.signed.so").write_bytes(SDK_FILE)
    manifest = 'libos.entrypoint = "/usr/bin/python3"\n[sgx]\nenclave_size = "512M"\nmax_threads = 16\n'
    (tmp_path / "app.manifest.sgx").write_text(manifest, encoding="utf-8")
    (tmp_path / "entrypoint.sh").write_text('#!/bin/sh\nexec "$@"\n', encoding="utf-8")
    write_layout(tmp_path / "image", MadeImage(layer({"app/enclave.signed.so": SDK_FILE})))
    reader = Terminal(folder=tmp_path, environment={}, instead={})
    shown = pages.answers(pages.text("enclaves.md"))
    assert [command for command, _ in shown] == pages.shown("enclaves.md", __file__)
    for command, lines in shown:
        answer = reader.run(command, ok=(0, 1))
        assert [line for line in lines if not pages.is_shown(line, answer)] == []


def run(*arguments: str) -> Result:
    return CliRunner().invoke(donjon, ["enclave", *arguments])


def test_show_prints_what_programs_need_of_each_enclave() -> None:
    result = run("show", SDK, str(FOLDER / "edp_test_enclave.sgxs"), "--output", "json")
    sdk, stream = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (sdk["family"], sdk["signature_valid"], sdk["debug"], sdk["product_id"], sdk["svn"]) == (
        "Intel SDK",
        True,
        False,
        0,
        0,
    )
    assert sdk["mrenclave"] == sdk["measured"] == "69a8788a94e77a4d0cb91a5974022c4fa3422fb6fad96d576af38ff42a7a9f3d"
    assert sdk["sample_key"] == "Intel Trust Authority's client sample"
    assert [each["code"] for each in sdk["findings"]] == ["DJ304", "DJ307"]
    assert stream["mrenclave"].startswith("784acfd7")


def test_show_says_no_to_an_enclave_that_was_changed_after_it_was_signed(tmp_path: Path) -> None:
    place = SDK_FILE.index(b"\x7fELF") + 0x2000
    changed = tmp_path / "changed.so"
    changed.write_bytes(SDK_FILE[:place] + bytes([SDK_FILE[place] ^ 1]) + SDK_FILE[place + 1 :])
    result = run("show", str(changed))
    assert (result.exit_code, "DJ305" in result.stdout) == (1, True)


def test_lint_says_no_to_a_sample_key_and_tells_whose_it_is() -> None:
    result = run("lint", SDK)
    assert result.exit_code == 1
    assert "Intel Trust Authority's client sample" in result.stdout


def test_a_file_without_an_enclave_is_a_no_and_one_that_is_away_is_malformed(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert run("show", str(empty)).exit_code == 1
    assert run("show", str(tmp_path / "away")).exit_code == 2


def test_an_image_that_is_named_as_docker_alone_reads_it_is_told_how_to_be_named() -> None:
    for command in ("show", "lint", "size", "inspect"):
        result = run(command, "debian:12")
        assert result.exit_code == 2
        assert "no such file, and an image is named with its registry: docker.io/library/debian:12" in result.output


def test_size_prints_the_line_for_the_pod_and_why() -> None:
    result = run("size", str(FOLDER / "own-open-enclave.signed"))
    assert result.exit_code == 0
    assert 'sgx.intel.com/epc: "1Mi"  # or, as the AKS FAQ has it, sgx.intel.com/sgx_epc_mem_in_MiB: 1' in result.stdout
    assert [line.split()[-2] for line in result.stdout.splitlines() if line.endswith("pages")] == ["4", "16", "24", "2"]


def test_size_counts_an_enclave_for_each_process_of_gramine(tmp_path: Path) -> None:
    manifest = tmp_path / "app.manifest.sgx"
    manifest.write_text('libos.entrypoint = "/app"\n[sgx]\nenclave_size = "256M"\n', encoding="utf-8")
    result = run("size", str(manifest), "--processes", "3", "--output", "json")
    (answer,) = json.loads(result.stdout)
    assert (answer["family"], answer["limits"]) == ("Gramine", {"sgx.intel.com/epc": "770Mi"})
    assert answer["start_bytes"] == 3 * (65520 + 129) * 4096


def test_size_of_what_is_no_enclave_is_a_no(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("nothing", encoding="utf-8")
    assert run("size", str(tmp_path / "notes")).exit_code == 1
    (tmp_path / "broken.manifest.sgx").write_text("entrypoint sgx [", encoding="utf-8")
    broken = run("size", str(tmp_path / "broken.manifest.sgx"))
    assert (broken.exit_code, "DJ317" in broken.stdout) == (2, True)


def test_inspect_says_what_would_start_processes_and_says_no_where_it_surely_does(tmp_path: Path) -> None:
    script = tmp_path / "entrypoint.sh"
    script.write_text("#!/bin/sh\nset -e\nexec app\n", encoding="utf-8")
    result = run("inspect", str(script), "/bin/true")
    assert result.exit_code == 1
    assert "a script for /bin/sh" in result.stdout
    assert "DJ355" in result.stdout
    quiet = run("inspect", "/bin/true", "--output", "json")
    assert (quiet.exit_code, json.loads(quiet.stdout)[0]["findings"]) == (0, [])


def test_inspect_says_what_a_manifest_of_gramine_says(tmp_path: Path) -> None:
    manifest = tmp_path / "app.manifest.sgx"
    manifest.write_text(
        'libos.entrypoint = "/app"\n[sgx]\nenclave_size = "256M"\ndebug = true\nallowed_files = ["file:/tmp/"]\n',
        encoding="utf-8",
    )
    result = run("inspect", str(manifest))
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [
        "starts",
        "enclave",
        "threads",
        "debug",
        "attestation",
        "product",
        "trusts",
        "allows",
        "MRENCLAVE",
    ]
    (answer,) = json.loads(run("inspect", str(manifest), "-o", "json").stdout)
    assert (answer["gramine"]["debug"], answer["gramine"]["allowed_files"]) == (True, ["file:/tmp/"])
    assert run("inspect", str(tmp_path / "away")).exit_code == 2


GRAMINE = FOLDER.parent / "gramine"


def test_inspect_works_mrenclave_of_gramine_out_of_its_manifest_and_libpal(tmp_path: Path) -> None:
    manifest, pal = tmp_path / "app.manifest.sgx", str(GRAMINE / "standin-libpal.so")
    manifest.write_bytes((GRAMINE / "plain.manifest.sgx").read_bytes())
    assert "not worked out" in run("inspect", str(manifest)).stdout
    assert "no signature is beside it" in run("inspect", str(manifest), "--pal", pal).stdout
    (tmp_path / "app.sig").write_bytes((GRAMINE / "plain.sigstruct").read_bytes())
    right = run("inspect", str(manifest), "--pal", pal)
    assert (right.exit_code, "the same that was signed" in right.stdout) == (0, True)
    manifest.write_bytes(manifest.read_bytes() + b"# changed\n")
    wrong = run("inspect", str(manifest), "--pal", pal)
    assert (wrong.exit_code, "DJ318" in wrong.stdout) == (1, True)
