"""Every command that a page shows is run by a test, or stands in a short list with its reason; and what it names is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML
from tests import pages

from donjon import cli

PROJECT = pages.PROJECT
LANGUAGES = {"console", "text", "yaml", "toml", "json", "python", "sql"}
WITH_COMMANDS = {page.name for page in pages.DOCS.glob("*.md") if pages.commands(page.read_text(encoding="utf-8"))}

NAMING = sorted(
    [
        *PROJECT.glob("*.md"),
        *pages.DOCS.rglob("*.md"),
        *(PROJECT / "src" / "donjon" / "findings" / "pages").iterdir(),
        *(PROJECT / "deploy" / "chart").rglob("*.txt"),
        *(PROJECT / "deploy" / "chart").rglob("*.yaml"),
        PROJECT / "testbed" / "README.md",
    ]
)
"""All that people read and that may name a command of ours."""

WORDS = {".", "donjon", "node"}
"""Programs whose names begin lines of what others print, too."""

HASHED = ("audit record 1", "audit chain 1")
"""What is no command: the audit's hashes begin with it."""

RUNBOOKS = "monitoring.md"
"""Its commands are run with those of the runbooks (tests/runbooks.py)."""

_FENCE = re.compile(r"^ *```(?P<language>\S*)\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL)
_OURS = re.compile(r"(?:^\s*|\$ |\| |; |-- |bin/|^kubectl |until |exec |--from \S+ )donjon (?P<words>[a-z][^|;]*)")
_VALUE = re.compile(r"--set(?:-file)?[ =]'?(?P<name>[a-zA-Z.]+)=")


def test_every_block_says_what_it_holds_and_commands_stand_in_none_but_console() -> None:
    programs = {command.split()[0] for name in WITH_COMMANDS for command in pages.commands(pages.text(name))} - WORDS
    wrong = [
        (page.name, fence["language"], line)
        for page in pages.DOCS.glob("*.md")
        for fence in _FENCE.finditer(page.read_text(encoding="utf-8"))
        for line in fence["body"].splitlines()
        if fence["language"] not in LANGUAGES
        or (fence["language"] == "text" and (line.startswith("$ ") or line.split(" ")[0] in programs))
    ]
    assert wrong == []


def test_every_page_with_commands_has_its_tests_and_they_read_it() -> None:
    assert set(pages.RUN_BY) == WITH_COMMANDS
    for page, table in pages.RUN_BY.items():
        for place, test in table.items():
            code = (PROJECT / "tests" / test).read_text(encoding="utf-8")
            here = str(PROJECT / "tests" / test)
            if place.startswith("$ ") and f'("{place[2:]}")' in code:
                assert place[2:] in pages.shown(page, here)
            else:
                assert place.startswith("$ ") or place in ("", *pages.sections(page))
                reads = f'pages.shown("{page}", __file__)' in code or (page, "runbooks.of_a_cluster()" in code) == (
                    RUNBOOKS,
                    True,
                )
                assert reads, (test, page)
                assert pages.shown(page, here), (test, page)


def test_what_no_test_runs_is_on_a_page_and_says_why() -> None:
    every = [f"$ {command}" for page in WITH_COMMANDS for command in pages.commands(pages.text(page))]
    for begins, reason in pages.NOT_RUN.items():
        assert any(command.startswith(f"{begins} ") for command in every), begins
        for test in re.findall(r"tests/\S+\.py", reason):
            assert (PROJECT / test).exists()


def named(text: str) -> Iterator[list[str]]:
    """The words behind `donjon` of every command that a text names: in its blocks, and in backticks between them."""
    inline = re.findall(r"`([^`]+)`", _FENCE.sub("", text))
    blocks = [line for fence in _FENCE.finditer(text) for line in fence["body"].replace("\\\n", " ").splitlines()]
    begun = [line for line in blocks if re.match(r"\s*(\$ |donjon |kubectl |helm )", line)]
    for command in (*(" ".join(each.split()) for each in inline), *begun):
        for match in _OURS.finditer(command.partition("  # ")[0]):
            if match["words"] in HASHED:
                continue
            try:
                yield shlex.split(match["words"].partition(" > ")[0])
            except ValueError:  # an apostrophe of a sentence
                continue


def fault(words: list[str]) -> str:
    """What is wrong with these words, as the program itself would see it; arguments may be anything."""
    command: click.Command = cli.donjon
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        if rest[0].isupper() or rest[0] == "…":
            return ""
        within = command.get_command(click.Context(command), rest[0])
        if within is None:
            return f"no command {rest[0]}"
        command, rest = within, rest[1:]
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"-h", "--help", "--version"}
    strange = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return next((f"no option {word}" for word in strange if word not in options), "")


@pytest.mark.parametrize("page", NAMING, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_command_and_option_that_is_named_is_there(page: Path) -> None:
    every = list(named(page.read_text(encoding="utf-8")))
    assert [(words, said) for words in every if (said := fault(words))] == []


def test_a_wrong_command_or_option_is_seen() -> None:
    page = "`donjon why POD --nowhere`\n```console\n$ x | donjon statsu\n```\n`donjon node run`"
    assert [fault(words) for words in named(page)] == ["no option --nowhere", "", "no command statsu"]


def is_there(name: str, values: object) -> bool:
    for part in name.split("."):
        if not isinstance(values, dict) or part not in values:
            return values == {}  # a map whose members are the user's
        values = values[part]
    return True


def test_every_value_of_the_chart_that_a_page_sets_is_there() -> None:
    values = YAML(typ="safe").load(PROJECT / "deploy" / "chart" / "values.yaml")
    sets = {(page.name, name) for page in NAMING for name in _VALUE.findall(page.read_text(encoding="utf-8"))}
    assert ("install.md", "image.repository") in sets
    assert sorted((page, name) for page, name in sets if not is_there(name, values)) == []


def test_what_is_applied_in_helms_name_has_helms_annotations_or_an_uninstall_would_leave_it() -> None:
    texts = {page.name: " ".join(page.read_text(encoding="utf-8").replace("\\\n", " ").split()) for page in NAMING}
    applied = {name: text.count("--field-manager=helm -f -") for name, text in texts.items() if "--field-manager=helm" in text}
    assert "install.md" in applied
    annotated = "kubectl annotate --local -f - -o yaml meta.helm.sh/release-name=donjon meta.helm.sh/release-namespace=donjon |"
    assert {name: texts[name].count(annotated) for name in applied} == applied
