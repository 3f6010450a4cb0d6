"""The clock, the one place that asks for the time."""

import time
from datetime import UTC, datetime

_ASIDE = 1e-4  # seconds: enough for another thread to be woken and to take the interpreter's lock


def now() -> str:
    """The moment in UTC, RFC 3339 with whole seconds, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - the clock's own door.


def monotonic() -> float:
    """Seconds on a clock that never goes back."""
    return time.monotonic()  # noqa: TID251 - the clock's own door.


def pause(seconds: float) -> None:
    """Wait, where nobody else waits for this thread."""
    time.sleep(seconds)  # noqa: TID251 - the clock's own door.


def labour() -> float:
    """Seconds that the processor has worked for this thread, however busy it is with others."""
    return time.thread_time()


def labour_aside() -> float:
    """The same, for work beside an event loop: whoever waits for the interpreter has it first."""
    time.sleep(_ASIDE)  # noqa: TID251 - the clock's own door.
    return time.thread_time()


def moment() -> datetime:
    """The moment in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the clock's own door.
