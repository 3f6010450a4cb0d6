"""The way to Resource Manager, bounded: to one host, for answers of a size, with pauses of a length.

Azure's library by itself reads answers whole, waits as long as it is told to, and goes wherever one points, with the token.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline.transport import RequestsTransport

from donjon.errors import Malformed, Unavailable
from donjon.formats.words import excerpt

MAX_ANSWER = 8 << 20  # bytes of one answer
LONGEST_PAUSE = 15 * 60.0  # seconds that Azure may ask for


class BoundedTransport(RequestsTransport):  # type: ignore[misc] # The library names it late, so it is Any to mypy.
    """Sends to one host and to those below it."""

    def __init__(self, endpoint: str, pause: Callable[[float], None]) -> None:
        """The endpoint is Resource Manager's address."""
        super().__init__()
        self._host, self._pause = urlsplit(endpoint).hostname or "", pause

    def sleep(self, duration: float) -> None:
        """Wait before the next question; raises `Unavailable` DJ846 where Azure asks for too long a pause."""
        if not duration <= LONGEST_PAUSE:  # Neither is what is no number.
            raise Unavailable("DJ846", f"Azure asks for a pause of {duration:g} seconds; apply again later")
        self._pause(duration)

    def send(self, request: Any, **options: Any) -> Any:
        """Ask; raises `Malformed` DJ845 for another host, and for an answer without end."""
        host = urlsplit(request.url).hostname or ""
        if host != self._host and not host.endswith(f".{self._host}"):
            raise Malformed("DJ845", f"Azure's answer points to another host, {excerpt(host)}, which gets no token")
        response = super().send(request, **{**options, "stream": True})
        with closing(response):
            response._content = b"".join(_bounded(response.iter_bytes()))  # noqa: SLF001 - there is no door for a body read here.
        return response


def _bounded(parts: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > MAX_ANSWER:
            raise Malformed("DJ845", f"Azure's answer has more than {MAX_ANSWER} bytes")
        yield part
