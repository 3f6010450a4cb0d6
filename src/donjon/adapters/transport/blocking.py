"""The same calls as `client` makes, for who has a thread of its own and waits in it."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property

import httpx2

from donjon.adapters.transport.client import ANY_ERROR, AS_IT_IS, LIBRARY_ERRORS, one_error
from donjon.errors import Unavailable


class BlockingAnswer:
    """An answer whose head is here, and whose body comes."""

    def __init__(self, response: httpx2.Response, code: str, what: str) -> None:
        self._response, self._code, self._what = response, code, what
        self.status, self.phrase = response.status_code, response.reason_phrase
        self.is_success = response.is_success

    def header(self, name: str) -> str:
        """What a header says, several in one line; nothing where it is not there."""
        return ", ".join(self._response.headers.get_list(name))

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes."""
        with one_error(self._code, self._what, ANY_ERROR):
            yield from self._response.iter_raw()

    def whole(self, most: int) -> bytes:
        """The body; raises `Unavailable` for one of more bytes, which is not read to its end."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > most:
                raise Unavailable(self._code, f"{self._what}: answers more than {most} bytes")
        return bytes(body)


class BlockingClient:
    """Calls any server by its whole address."""

    def __init__(self, *, code: str, seconds: float, trust: ssl.SSLContext | None = None) -> None:
        """`code` is that of `Unavailable`; without `trust` the system's authorities count."""
        self._code, self._seconds, self._trust = code, seconds, trust

    @cached_property
    def _client(self) -> httpx2.Client:
        trust = True if self._trust is None else self._trust
        return httpx2.Client(verify=trust, headers=AS_IT_IS, timeout=self._seconds)

    def close(self) -> None:
        """Close the connections."""
        if (client := vars(self).get("_client")) is not None:
            client.close()

    @contextmanager
    def ask(
        self,
        method: str,
        where: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        name: str = "",
    ) -> Iterator[BlockingAnswer]:
        """The answer, to be read within the block; raises `Unavailable`, which begins with `what`.

        `name` is for whom a certificate must be, where `where` says an address.
        """
        extensions = {"sni_hostname": name} if name else None
        with one_error(self._code, what, LIBRARY_ERRORS), ExitStack() as stack:
            with one_error(self._code, what, ANY_ERROR):
                stream = self._client.stream(method, where, headers=headers, data=form, extensions=extensions)
                response = stack.enter_context(stream)
            yield BlockingAnswer(response, self._code, what)
