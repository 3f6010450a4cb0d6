"""Calls to others over HTTP: an answer is bounded in size, none comes compressed, and whatever fails is one error.

Redirects are not followed. A server may take so many seconds for each step; how long the whole answer may take says who asks,
with `asyncio.timeout`, for a socket knows only how long it waits for the next byte.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import cached_property

import httpx2

from donjon.errors import Unavailable

AS_IT_IS = {"Accept-Encoding": "identity"}  # Compressed, a few bytes could be many megabytes.
MAX_REASON = 400  # characters of why there is no answer
OK = 200

LIBRARY_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL)
"""What the library says of a call; `lightkube` lets it through."""
ANY_ERROR = (*LIBRARY_ERRORS, OSError, ValueError, ImportError)
"""Beside these, authorities or a proxy that the environment names and that are none; and what the library's parsers raise."""


class ConnectionTrouble(Unavailable):
    """The server was not reached, or the connection ended under way; to ask again may help."""


class HttpAnswer:
    """An answer whose head is here, and whose body comes."""

    def __init__(self, response: httpx2.Response, code: str, what: str) -> None:
        self._response, self._code, self._what = response, code, what
        self.status, self.phrase = response.status_code, response.reason_phrase
        self.is_success = response.is_success

    def header(self, name: str) -> str:
        """What a header says; nothing where it is not there."""
        return str(self._response.headers.get(name, ""))

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes; behind each piece everybody else of the process has a turn."""
        with one_error(self._code, self._what, ANY_ERROR):
            async for piece in self._response.aiter_raw():
                yield piece
                await asyncio.sleep(0)

    async def whole(self, most: int) -> bytes:
        """The body; raises `Unavailable` for one of more bytes, which is not read to its end."""
        body = bytearray()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > most:
                    raise Unavailable(self._code, f"{self._what}: answers more than {most} bytes")
        return bytes(body)


class HttpClient:
    """Calls one server, or several."""

    def __init__(
        self,
        *,
        code: str,
        seconds: float,
        trust: ssl.SSLContext | None = None,
        server: str = "",
        name: str = "",
        direct: bool = False,
    ) -> None:
        """`code` is that of `Unavailable`; without `trust` the system's authorities count; `server` stands before every path.

        `name` is for whom its certificate must be, where `server` says an address. `direct` is for who is in the cluster: a proxy
        that the environment names, such as HTTP_PROXY, is for calls out of it, and could answer anything in place of a pod.
        """
        self._code, self._seconds, self._trust, self._server, self._direct = code, seconds, trust, server, direct
        self._extensions = {"sni_hostname": name} if name else None

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        """Made when first something is asked for: where it reads every authority of the system that takes 75 ms."""
        return httpx2.AsyncClient(
            base_url=self._server,
            verify=True if self._trust is None else self._trust,
            headers=AS_IT_IS,
            timeout=self._seconds,
            trust_env=not self._direct,
        )

    async def close(self) -> None:
        """Close the connections."""
        if (client := vars(self).get("_client")) is not None:
            await client.aclose()

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        where: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[HttpAnswer]:
        """The answer, to be read within the block; raises `Unavailable`, which begins with `what`.

        `silence` says how many seconds the server may say nothing, where that is not the same as for every other step.
        """
        timeout = httpx2.Timeout(self._seconds, read=silence or self._seconds)
        with one_error(self._code, what, LIBRARY_ERRORS):
            async with AsyncExitStack() as stack:
                with one_error(self._code, what, ANY_ERROR):
                    stream = self._client.stream(
                        method, where, params=query, content=body, headers=headers, timeout=timeout, extensions=self._extensions
                    )
                    response = await stack.enter_async_context(stream)
                yield HttpAnswer(response, self._code, what)


@contextmanager
def one_error(code: str, what: str, kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    """Every error of the library, as ours."""
    try:
        yield
    except (httpx2.TransportError, ssl.SSLError) as error:  # An alert comes as the latter, once the connection stands.
        raise ConnectionTrouble(code, f"{what}: {_reason(error)}") from error
    except kinds as error:
        raise Unavailable(code, f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:MAX_REASON]
