"""Log lines as JSON, one a change; the clock of a line is the record's own."""

import json
import logging
import sys
from datetime import UTC, datetime


class _JsonLines(logging.Formatter):
    """time, level, event, and whatever the caller adds as `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send every log line of the process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx2", "httpcore2", "uvicorn", "uvicorn.error", "hpack", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def say(logger: logging.Logger, event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """One structured line: what happened, and those of its fields that say something."""
    logger.log(level, event, extra={"fields": {name: value for name, value in fields.items() if value is not None}})
