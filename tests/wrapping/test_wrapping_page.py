"""What the page on wrapping shows, run as it stands there, on an application's image and a stand-in for a base image."""

from pathlib import Path

from tests import pages
from tests.images.made import write_layout
from tests.pages import Terminal
from tests.wrapping.programs import application, gramine_base

PAGE = "wrapping.md"


def test_every_command_of_the_page_says_what_the_page_shows(tmp_path: Path) -> None:
    write_layout(tmp_path / "app", application())
    write_layout(tmp_path / "gramine", gramine_base())
    reader = Terminal(folder=tmp_path, environment={}, instead={})
    wanted = pages.shown("wrapping.md", __file__)
    answers = [(command, lines) for command, lines in pages.answers(pages.text(PAGE)) if command in wanted]
    assert [command for command, _ in answers] == wanted
    for command, lines in answers:
        answer = reader.run(command)
        assert [line for line in lines if not pages.is_shown(line, answer)] == [], answer
    assert sorted(path.name for path in tmp_path.iterdir() if (path / "index.json").exists()) == [
        *("app", "gramine", "signed", "unsigned", "wrapped")
    ]
