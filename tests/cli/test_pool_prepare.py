"""`donjon pool prepare` as its user calls it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.trees import written_without_devices
from tests.cli.calling import call
from tests.pki.certs import made

from donjon.simulation.host import host


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    tree = written_without_devices(tmp_path / "host", replace(host("phoenixnap-d2"), containerd="version = 2\n"))
    file = tmp_path / "facts.json"
    file.write_text(call("doctor", "--host-root", tree, "--output", "json").stdout, encoding="utf-8")
    return file


def test_a_file_of_facts_and_the_machine_itself_come_to_the_same(facts: Path) -> None:
    of_the_file = call("pool", "prepare", "--facts", facts, "--output", "json")
    of_the_machine = call("pool", "prepare", "--output", "json", DONJON_HOST_ROOT=str(facts.parent / "host"))
    assert of_the_file.returncode == 0
    assert json.loads(of_the_file.stdout) == json.loads(of_the_machine.stdout)
    assert {"name", "what", "why", "ends"} == set(json.loads(of_the_file.stdout)["steps"][0])


def test_a_machine_without_sgx_is_not_prepared(tmp_path: Path) -> None:
    tree = written_without_devices(tmp_path / "host", host("none"))
    done = call("pool", "prepare", "--host-root", tree, "--output", "script")
    assert (done.returncode, done.stdout) == (1, "")
    assert "DJ865" in done.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--cache", "http://pccs.example"), "DJ861"),
        (("--packages", "gopher://x"), "DJ862"),
        (("--driver", "sgx"), "DJ863"),
        (("--facts", "/dev/null"), "DJ860"),
        (("--facts", "/nowhere"), "DJ932"),
        (("--authority", "/dev/null"), "DJ204"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    options: tuple[str, ...], code: str, facts: Path, tmp_path: Path
) -> None:
    given = () if "--facts" in options else ("--facts", facts)
    done = call("pool", "prepare", *given, *options, "--output", "script", "--to", tmp_path / "to")
    assert done.returncode == 2
    assert code in done.stderr
    assert not (tmp_path / "to").exists()


def test_a_role_needs_a_folder(facts: Path) -> None:
    done = call("pool", "prepare", "--facts", facts, "--output", "ansible")
    assert done.returncode == 2
    assert "--to" in done.stderr


def test_a_folder_for_what_is_only_told_is_refused_and_not_ignored(facts: Path, tmp_path: Path) -> None:
    done = call("pool", "prepare", "--facts", facts, "--to", tmp_path / "to")
    assert done.returncode == 2
    assert "--output script" in done.stderr


def test_a_role_is_laid_out_as_ansibles_linter_asks(facts: Path, tmp_path: Path) -> None:
    assert call("pool", "prepare", "--facts", facts, "--aesm", "--output", "ansible", "--to", tmp_path / "to").returncode == 0
    texts = [each.read_text(encoding="utf-8") for each in (tmp_path / "to").rglob("*.yml")]
    assert texts
    for text in texts:
        assert re.match(r"---\n\S", text)
        assert not re.search(r"^( *)[\w.]+:\n\1- ", text, re.MULTILINE)


def test_where_nothing_can_be_written_it_says_so(facts: Path, tmp_path: Path) -> None:
    (tmp_path / "to").write_text("")
    done = call("pool", "prepare", "--facts", facts, "--output", "script", "--to", tmp_path / "to")
    assert done.returncode == 3
    assert "DJ864" in done.stderr


def test_an_authority_is_put_where_the_machine_looks_for_those(facts: Path, tmp_path: Path) -> None:
    pem = made().authority.pem
    (tmp_path / "ca.pem").write_bytes(pem)
    done = call("pool", "prepare", "--facts", facts, "--authority", tmp_path / "ca.pem", "--output", "script")
    assert "/usr/local/share/ca-certificates/donjon-cache.crt" in done.stdout
    assert pem.decode() in done.stdout
