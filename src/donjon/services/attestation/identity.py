"""What names a request, so that a caller's complaint, a line of the log and a record of the audit can be laid side by side.

A caller's own `x-ms-client-request-id` is taken up where it is short and plain; it proves nothing, and two may say the same.
Source: Azure REST API guidelines, "Distributed tracing and telemetry".
"""

import re
import secrets
from itertools import count

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from donjon.adapters import logs
from donjon.adapters.http.gate import Headers

CLIENT, ANSWER = "x-ms-client-request-id", "x-ms-request-id"
MAX_IDENTITY = 64  # characters; Azure's clients send the 36 of a UUID

_PLAIN = re.compile(rb"[0-9A-Za-z._-]{1,%d}" % MAX_IDENTITY)
_PROCESS, _NUMBERS = secrets.token_hex(8), count(1)
_IDENTITY = "donjon.identity"  # where the scope of a request keeps it


def identity(scope: Scope) -> str:
    """The caller's own, or 32 hexadecimal digits: which process, and which of its answers."""
    if _IDENTITY not in scope:
        scope[_IDENTITY] = of_headers(scope.get("headers", ()))
    request_id: str = scope[_IDENTITY]
    return request_id


def of_headers(headers: Headers) -> str:
    """The name of the request, from its headers alone: of several names, none is believed."""
    values = [value for name, value in headers if name == CLIENT.encode()]
    if len(values) == 1 and _PLAIN.fullmatch(values[0]):
        return values[0].decode("ascii")
    return f"{_PROCESS}{next(_NUMBERS):016x}"


def of_refusal(headers: Headers) -> Headers:
    """What the server's own refusal of a request with these headers has beside its own."""
    return ((ANSWER.encode(), of_headers(headers).encode()),)


def with_request_names(application: ASGIApp) -> ASGIApp:
    """The application, each of its answers with the request's name, and each line that it logs meanwhile."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        name = identity(scope)

        async def send_with_name(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (ANSWER.encode(), name.encode())]
            await send(message)

        with logs.about(request=name):
            await application(scope, receive, send_with_name)

    return answer
