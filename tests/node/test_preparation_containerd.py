"""containerd's file changed by the script's own functions: odd forms, passwords, and a containerd that reads it otherwise."""

import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

BEGIN = files("donjon.node.preparation").joinpath("begin.sh").read_text(encoding="utf-8")
OPTION = "device_ownership_from_security_context"
TABLE = '[plugins."io.containerd.grpc.v1.cri"]'


class Bench:
    """A folder with a file, and a path with a root that is none and a containerd that says what it is told."""

    def __init__(self, folder: Path) -> None:
        self.file, self.path = folder / "config.toml", folder / "path"
        self.path.mkdir()
        self.program("id", "echo 0")

    def program(self, name: str, words: str) -> None:
        place = self.path / name
        place.write_text(f"#!/bin/sh\n{words}\n", encoding="utf-8")
        place.chmod(0o755)

    def prepare(self, text: str) -> tuple[int, str]:
        self.file.write_text(text, encoding="utf-8", newline="")
        self.file.chmod(0o600)
        script = f"{BEGIN}\nstep containerd containerd nothing what why {self.file}\nfinished=yes\n"
        done = subprocess.run(
            ["/bin/sh", "-c", script], env={"PATH": f"{self.path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"version = 2\n{TABLE}\n  {OPTION} = false # = true later\n", f"  {OPTION} = true # = true later\n"),
        (f"version = 2\r\n{TABLE}\r\n  {OPTION} = false\r\n", f"{TABLE}\r\n  {OPTION} = true\r\n"),
        ('[plugins.cri]\n  x = 1\n[plugins."other"]\n  version = 3\n', f"  x = 1\n    {OPTION} = true\n"),
    ],
    ids=["a comment", "lines of Windows", "another's version"],
)
def test_the_option_is_set_and_the_file_is_read_by_nobody_more(before: str, after: str, bench: Bench) -> None:
    """Registries' passwords stand in it."""
    assert bench.prepare(before)[0] == 0
    assert after in bench.file.read_bytes().decode()
    assert {each.stat().st_mode & 0o777 for each in bench.file.parent.glob("config.toml*")} == {0o600}
    assert len([*bench.file.parent.iterdir()]) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('version = 2\ndisabled_plugins = [\n  "cri",\n]\n', "disabled_plugins"),
        (f'version = 2\nplugins."io.containerd.grpc.v1.cri".{OPTION} = false\n', "no containerd to ask"),
        (f'version = 2\n[plugins]\n"io.containerd.grpc.v1.cri" = {{ {OPTION} = false }}\n', "no containerd to ask"),
        (f'version = 2\n{TABLE}\n  "{OPTION}" = false\n', "no containerd to ask"),
        (f'version = 2\nx = """\n{TABLE}\n"""\n', "no containerd to ask"),
    ],
)
def test_without_a_containerd_to_ask_odd_forms_are_left_alone(text: str, words: str, bench: Bench) -> None:
    code, said = bench.prepare(text)
    assert (code, words in said) == (3, True)
    assert bench.file.read_text(encoding="utf-8") == text


def test_what_containerd_reads_otherwise_is_not_called_done(bench: Bench) -> None:
    text = f'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n{TABLE}\n'
    bench.program("containerd", f"echo '{OPTION} = false'")
    code, said = bench.prepare(text)
    assert (code, "reads the option as false all the same" in said) == (3, True)
    assert bench.file.read_text(encoding="utf-8") == text


def test_containerd_is_asked_before_the_file_is_its_own(bench: Bench) -> None:
    """Killed in between, it would not start again."""
    text = f"version = 2\n{TABLE}\n"
    bench.program("containerd", f'cat "{bench.file}" >>"{bench.path}/seen"; echo no >&2; exit 1')
    assert bench.prepare(text)[0] == 3
    assert (bench.path / "seen").read_text(encoding="utf-8") == text
    assert bench.file.read_text(encoding="utf-8") == text
