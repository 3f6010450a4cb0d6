"""What strangers make happen does not fill the log."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from donjon.adapters.logs import LINES_A_SECOND, WHOLE, log_to_stderr, say
from donjon.cli import donjon
from donjon.services.attestation import audit_keeper


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where the lines go."""
    root, text = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(sys, "stderr", text)
    log_to_stderr("info")
    yield text
    log_to_stderr("info")
    root.handlers, root.level = handlers, level


def lines(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def at(second: float, event: str, logger: str = "donjon.x") -> None:
    """As `say` does, at a moment."""
    record = logging.getLogger(logger).makeRecord(logger, logging.INFO, "", 0, event, (), None, extra={"fields": {"a": 1}})
    record.created = second
    logging.getLogger(logger).handle(record)


def test_so_many_lines_a_second_about_one_event_and_then_how_many_were_left_out(written: io.StringIO) -> None:
    for _ in range(3 * LINES_A_SECOND):
        at(1000.5, "refused")
    at(1000.9, "something else")
    assert [line["event"] for line in lines(written)] == ["refused"] * LINES_A_SECOND + ["something else"]
    at(1001.0, "refused")
    at(1001.1, "refused")
    assert [line.get("left_out") for line in lines(written)[-2:]] == [2 * LINES_A_SECOND, None]
    assert lines(written)[-2]["a"] == 1


def test_what_is_said_of_the_audit_is_all_written(written: io.StringIO) -> None:
    for _ in range(3 * LINES_A_SECOND):
        at(1000.0, "audit head", WHOLE)
    assert len(lines(written)) == 3 * LINES_A_SECOND


def test_the_log_of_the_audit_is_the_one_that_is_left_whole() -> None:
    assert logging.getLogger(WHOLE) is audit_keeper.LOG


def test_a_line_is_json(written: io.StringIO) -> None:
    say(logging.getLogger("donjon.x"), "happened", what="that", nothing=None)
    (line,) = lines(written)
    assert (line["event"], line["what"], line["level"], "nothing" in line) == ("happened", "that", "info", False)


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["audit head", "asked", "asked", "slow", "happened", "fine"]),
        ("info", ["audit head", "slow", "happened"]),
        ("warning", ["audit head", "slow"]),
        ("error", ["audit head"]),
    ],
)
def test_what_is_written_at_a_level(written: io.StringIO, monkeypatch: pytest.MonkeyPatch, level: str, events: list[str]) -> None:
    """What libraries ask is written at debug alone; what is stated about the audit, always; headers of HTTP/2, never."""
    monkeypatch.setattr(sys, "stderr", written)
    log_to_stderr(level)
    say(logging.getLogger(WHOLE), "audit head")
    logging.getLogger("httpx2").info("asked")
    logging.getLogger("alembic.runtime.migration").info("asked")
    logging.getLogger("asyncio").warning("slow")
    logging.getLogger("hpack").debug("authorization: Bearer x")
    say(logging.getLogger("donjon.x"), "happened")
    say(logging.getLogger("donjon.x"), "fine", level=logging.DEBUG)
    assert [line["event"] for line in lines(written)] == events


@pytest.mark.parametrize("command", [["node", "run"], ["admission", "serve"], ["attestation", "serve"]])
def test_every_program_that_runs_on_has_a_level(command: list[str], written: io.StringIO) -> None:
    refused = CliRunner().invoke(donjon, [*command, "--log-level", "loud"])
    assert "--log-level: 'loud', expected debug or info or warning or error" in str(refused.exception)
    assert "DONJON_LOG_LEVEL" in CliRunner().invoke(donjon, [*command, "--help"]).output
    assert lines(written) == []


def test_no_line_has_the_password_of_an_address(written: io.StringIO) -> None:
    say(logging.getLogger("donjon.x"), "asked", where="https://user:hunter2@pccs.example/sgx", caller="a@b.example")
    (line,) = lines(written)
    assert (line["where"], line["caller"]) == ("https://…@pccs.example/sgx", "a@b.example")
