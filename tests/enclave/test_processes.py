"""What of a program would start processes: told of scripts, of servers by name and of imports, and never more than is seen."""

import sys
from pathlib import Path

import pytest
from tests.enclave.vectors import FOLDER, OPEN_ENCLAVE_FILE

from donjon.enclave.image_programs import is_version_of, start_paths, start_servers, start_words
from donjon.enclave.processes import ProgramStart, StartKind, program_start, start_findings
from donjon.errors import Malformed

STANDIN = (FOLDER.parent / "gramine" / "standin-libpal.so").read_bytes()


def codes(start: ProgramStart) -> list[str]:
    return [each.code for each in start_findings("x", start)]


@pytest.mark.parametrize(
    ("head", "interpreter", "is_shell"),
    [
        ("#!/bin/sh\nexec app", "/bin/sh", True),
        ("#! /usr/bin/env -S A=b bash\n", "bash", True),
        ("#!/usr/bin/python3 -u", "/usr/bin/python3", False),
        ("#!/usr/bin/env python3\n", "python3", False),
        ("#!", "", False),
        ("#!" + "x" * 10_000, "x" * 4094, False),
    ],
)
def test_a_script_is_told_by_its_first_line(head: str, interpreter: str, *, is_shell: bool) -> None:
    start = program_start("entry", head.encode())
    assert (start.kind, start.interpreter, start.is_shell) == (StartKind.SCRIPT, interpreter, is_shell)
    assert ("DJ355" in codes(start)) == is_shell


def test_a_program_s_imports_are_named_and_are_no_calls() -> None:
    content = Path("/bin/sh").read_bytes()
    start = program_start("/bin/dash", content)
    assert {"execve"} <= set(start.imports)
    assert start.is_shell
    (import_finding,) = (each for each in start_findings("x", start) if each.code == "DJ357")
    assert "an import is no call" in import_finding.words()


def test_a_python_can_and_a_library_that_calls_nothing_says_nothing() -> None:
    python = program_start(sys.executable, Path(sys.executable).resolve().read_bytes())
    assert python.kind is StartKind.PROGRAM
    assert codes(ProgramStart(path="lib.so", kind=StartKind.PROGRAM)) == []


@pytest.mark.parametrize("content", [STANDIN, OPEN_ENCLAVE_FILE])
def test_a_program_that_is_linked_with_nothing_is_static(content: bytes) -> None:
    start = program_start("x", content)
    assert (start.kind, start.imports, codes(start)) == (StartKind.STATIC, (), ["DJ358"])


@pytest.mark.parametrize("name", ["/usr/sbin/nginx", "postgres", "/venv/bin/gunicorn"])
def test_a_server_of_several_processes_is_known_by_its_name(name: str) -> None:
    assert "DJ356" in codes(program_start(name, b"#!/venv/bin/python\n"))


def test_what_is_neither_is_told_so_and_what_lies_is_a_coded_error() -> None:
    assert program_start("x", b"text").kind is StartKind.OTHER
    with pytest.raises(Malformed, match="ELF"):
        program_start("x", b"\x7fELF" + bytes(40))


def test_an_image_starts_its_entry_point_and_what_that_is_given() -> None:
    assert start_words(["/entry.sh"], ["nginx", "-g", "daemon off;"]) == ("/entry.sh", "nginx")
    assert start_words(["app"], ["--port", "80"]) == ("app",)
    assert start_words([], ["python3", "x.py"]) == ("python3",)
    assert start_words([], []) == ()


def test_a_server_that_is_named_behind_a_shell_or_an_interpreter_is_seen() -> None:
    assert [each.path for each in start_servers([], ["/bin/sh", "-c", "exec gunicorn app:app"])] == ["gunicorn"]
    assert [each.path for each in start_servers(["python3"], ["-m", "celery"])] == ["celery"]
    assert start_servers(["nginx"], []) == ()  # That is told of the program itself.


@pytest.mark.parametrize(
    ("word", "environment", "folder", "expected"),
    [
        ("/bin/app", (), "", ("bin/app", "usr/bin/app")),
        ("./run.sh", (), "/srv", ("srv/run.sh",)),
        ("bin/x", (), "", ("bin/x", "usr/bin/x")),
        ("../../../etc/x", (), "/a", ("etc/x",)),
        ("app", ("PATH=/opt/bin:/bin",), "/x", ("opt/bin/app", "bin/app", "usr/bin/app")),
    ],
)
def test_a_program_is_where_its_path_or_the_image_s_path_says(
    word: str, environment: tuple[str, ...], folder: str, expected: tuple[str, ...]
) -> None:
    assert start_paths(word, environment, folder) == expected


def test_a_version_is_what_a_link_leads_to() -> None:
    assert is_version_of("usr/bin/python3.13", "usr/bin/python3")
    assert not is_version_of("usr/bin/python3-config", "usr/bin/python3")
    assert not is_version_of("usr/bin/python3", "usr/bin/python3")
