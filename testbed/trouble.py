"""The one error of the testbed: what was found, why, what to do next, and the end of the log that tells more."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LAST_LINES = 12


class Trouble(Exception):
    """The testbed could not do what was asked; the message is meant to be read by the person who asked."""

    def __init__(self, found: str, *, why: str, do: str, log: Path | None = None) -> None:
        parts = [f"{found}: {why}", f"what to do: {do}"]
        if log is not None:
            parts.append(f"log: {log}, its last lines:")
            parts.extend(f"    {line}" for line in last_lines(log))
        super().__init__("\n".join(parts))


class Lacking(Trouble):
    """This machine cannot hold a testbed as it stands: no root, no network, no compiler. Tests are then not run, and say so."""


def last_lines(log: Path) -> list[str]:
    """The end of a log file; a file that cannot be read says so instead."""
    try:
        with log.open(encoding="utf-8", errors="replace") as stream:
            return [line.rstrip() for line in deque(stream, LAST_LINES)] or ["(empty)"]
    except OSError as error:
        return [f"(cannot be read: {error.strerror})"]
