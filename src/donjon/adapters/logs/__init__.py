"""Log lines as JSON, one a change; the clock of a line is the record's own."""

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from donjon.errors import hide_passwords

_ABOUT: ContextVar[Mapping[str, str] | None] = ContextVar("about", default=None)

LEVELS = ("debug", "info", "warning", "error")
LINES_A_SECOND = 20  # about one event: strangers decide how often most of them happen
WHOLE = "donjon.services.attestation.audit_keeper"
"""Whose lines are all written: what it states about the audit stands nowhere else."""


class JsonLines(logging.Formatter):
    """time, level, event, and whatever the caller adds as `extra={"fields": …}`; passwords of addresses are hidden."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return hide_passwords(json.dumps(line, default=str, ensure_ascii=False))


class _Trickle(logging.Filter):
    """So many lines a second about one event; the next line about it says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._count: Counter[tuple[str, str]] = Counter()
        self._left_out: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written, or only counted."""
        if record.name == WHOLE:
            return True
        if (second := int(record.created)) != self._second:
            self._second = second
            self._count.clear()
        event = record.name, str(record.msg)
        self._count[event] += 1
        if self._count[event] > LINES_A_SECOND:
            self._left_out[event] += 1
            return False
        if left_out := self._left_out.pop(event, 0):
            record.fields = getattr(record, "fields", {}) | {"left_out": left_out}
        return True


def log_to_stderr(level: str) -> None:
    """Send the log lines of the process, of that level and above, to standard error as JSON.

    What HTTP clients, asyncio and Alembic say of each connection, request and start is written at debug alone.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_Trickle())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    quiet = max(logging.WARNING, logging.getLevelName(level.upper()))
    for client in ("httpx2", "httpcore2", "asyncio", "alembic"):
        logging.getLogger(client).setLevel(logging.DEBUG if level == "debug" else quiet)
    for noisy in ("uvicorn", "uvicorn.error", "hpack"):  # The last would write out headers, with what they carry.
        logging.getLogger(noisy).setLevel(quiet)
    logging.getLogger(WHOLE).setLevel(logging.INFO)  # At every level.


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Until the end of the block every line that `say` writes has these fields, too, in whatever task or thread it begins."""
    before = _ABOUT.set({**(_ABOUT.get() or {}), **fields})
    try:
        yield
    finally:
        _ABOUT.reset(before)


def say(logger: logging.Logger, event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """One structured line: what happened, and those of its fields that say something."""
    line_fields = {name: value for name, value in {**fields, **(_ABOUT.get() or {})}.items() if value is not None}
    logger.log(level, event, extra={"fields": line_fields})
