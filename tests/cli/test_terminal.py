"""What others wrote reaches the terminal as signs, and programs as it is."""

import json
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.admission.checks import checked

from donjon.cli.check import check
from donjon.cli.explain import explain
from donjon.cli.terminal import plain, say, say_finding, say_json, write
from donjon.findings import Finding
from donjon.formats.json import JsonObject

STEERING = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\u202e", "\u2066", "\u061c", "\ud800"]


def printed(text: str = "", document: JsonObject | None = None, *, exact: bool = False) -> str:
    @click.command()
    def command() -> None:
        if document is not None:
            say_json(document)
        elif exact:
            write(text)
        else:
            say(text)

    return CliRunner().invoke(command, []).stdout


@pytest.mark.parametrize("blanks", ["  ", " " * 200, "\u00a0\u00a0", "\u3000 \u2003"], ids=ascii)
def test_blanks_in_a_value_push_no_text_to_the_next_line(blanks: str) -> None:
    told = Outer(inners=(Inner(name=f"a{blanks}b", number=1),), word=f"ok{blanks}do: kubectl apply")
    assert plain(told) == Outer(inners=(Inner(name="a b", number=1),), word="ok do: kubectl apply")


@pytest.mark.parametrize("sign", STEERING, ids=ascii)
def test_a_line_stays_one_and_steers_nothing(sign: str) -> None:
    line = printed(f"a{sign}b")
    assert len(line) == len("a?b\n")
    assert sign not in line.removesuffix("\n")
    assert (line[0], line[2:]) == ("a", "b\n")


@pytest.mark.parametrize(
    ("color", "environment", "severity"),
    [(False, {}, "error"), (True, {}, "\x1b[31merror\x1b[0m"), (True, {"NO_COLOR": "1"}, "error")],
)
def test_a_finding_is_one_line_of_which_the_severity_alone_has_a_colour_and_on_a_terminal_alone(
    *, color: bool, environment: dict[str, str], severity: str
) -> None:
    @click.command()
    def command() -> None:
        say_finding(Finding.error("DJ001", "a\x1b[1m", "b", "c", "d"), before="\nfile: ")

    done = CliRunner(env={"NO_COLOR": None, **environment}).invoke(command, [], color=color)
    assert done.stdout == f"␊file: {severity}: a␛[1m: b: c [DJ001]; d\n"


@given(st.text())
def test_what_is_plain_has_as_many_characters_and_no_more_to_hide(text: str) -> None:
    assert len(plain(text)) == len(text)
    assert plain(plain(text)) == plain(text)


def test_ordinary_words_of_any_language_stay() -> None:
    words = "größe 大小 حجم 🔒 10 Mi"
    assert printed(words) == f"{words}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    name: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inners: tuple[Inner, ...]
    word: str


def test_values_are_made_plain_throughout() -> None:
    told = Outer(inners=(Inner(name="\x1b[2J", number=1),), word="a\nb")
    assert plain(told) == Outer(inners=(Inner(name="␛[2J", number=1),), word="a␊b")


@pytest.mark.parametrize("sign", STEERING, ids=ascii)
def test_programs_read_what_was_written_and_a_terminal_is_not_steered_by_it(sign: str) -> None:
    text = printed(document={"name": f"a{sign}"})
    assert json.loads(text) == {"name": f"a{sign}"}
    assert sign not in text or sign == "\n"


def test_a_document_that_goes_into_a_file_stays_as_it_is() -> None:
    assert printed("a: \x1b\n\tb: 1\n", exact=True) == "a: \x1b\n\tb: 1\n"


HOSTILE = r"""
apiVersion: v1
kind: Pod
metadata:
  name: "p\e[2J\n/etc/fake.yaml:1: Pod good: admitted\u202e"
  namespace: "n\e]0;title\a"
  annotations: {sgx.intel.com/quote-provider: "no\e[8mbody"}
spec:
  nodeName: "\x9b31mnode"
  containers:
  - name: "c\rOK"
    resources: {limits: {sgx.intel.com/epc: 10, sgx.intel.com/provision: 1, "x.example/\eE": "\e7"}}
"""


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_names_in_a_manifest_steer_nothing(form: str) -> None:
    done = checked(HOSTILE, "-o", form)
    assert done.exit_code == 1
    assert not set(done.output) & {*STEERING} - {"\n", *("\u202e" if form == "yaml" else "")}
    assert "\n/etc/fake.yaml" not in done.output


def test_names_of_files_and_words_of_errors_steer_nothing() -> None:
    done = CliRunner().invoke(check, ["/none\x1b[31m", "-"], input='a: *"\x1b"')
    assert done.exit_code == 2
    assert "/none␛[31m: cannot be read" in done.stderr
    assert "\x1b" not in done.stderr
    assert "\x1b" not in CliRunner().invoke(explain, ["\x1b[31m"]).stderr
