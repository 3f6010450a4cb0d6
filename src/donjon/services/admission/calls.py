"""The API server's calls, from the server to the webhook: each read whole, and answered one at a time, the addresses in turn."""

from collections.abc import Awaitable, Callable

from donjon.adapters.http import Response
from donjon.adapters.http.crowd import site
from donjon.adapters.http.fairlock import FairLock
from donjon.adapters.http.limits import Limits
from donjon.adapters.http.public import Message
from donjon.admission.policies.enclaves import HOLD_PATH, PIN_PATH
from donjon.admission.review import MAX_SIZE
from donjon.services.admission.webhook import JudgesEnclaves, Webhook, WebhookRequest

LIMITS = Limits(
    connections=512,
    of_a_site=256,  # The API server's address has as many as there are pods being made at once.
    body=MAX_SIZE,
    bodies=24 << 20,
    bodies_of_a_site=16 << 20,  # Two of the largest reviews, or thousands of the usual, for the API server's address.
    answers=16 << 20,  # The largest answer has 200 KiB.
    answers_of_a_site=8 << 20,
    idle=150.0,  # The API server itself closes after 90, and whoever closes first loses no call.
    answer=30.0,  # The API server waits for no webhook longer.
)


class WebhookCalls:
    """An ASGI application."""

    def __init__(self, webhook: Webhook, enclaves: JudgesEnclaves | None = None) -> None:
        self._webhook, self._enclaves, self._turns = webhook, enclaves, FairLock()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request, unless its client goes before it is whole."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        request = _request(scope, bytes(body))
        body.clear()
        answer = await self._answer(request)
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, request: WebhookRequest) -> Response:
        if self._enclaves is not None and request.path in {PIN_PATH, HOLD_PATH}:
            # This one may wait for a registry, and nobody else for it.
            return await self._webhook.answer_on_enclaves(self._enclaves, request)
        async with self._turns.turn(site(request.peer)):
            return self._webhook.answer(request)


def _request(scope: Message, body: bytes) -> WebhookRequest:
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return WebhookRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        content_type=kind.partition(b";")[0].strip().decode("latin-1").lower(),
        body=body,
        peer=_peer(scope),
    )


def _peer(scope: Message) -> str:
    return str(scope["client"][0]) if scope["client"] else ""


def _headers(answer: Response) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", answer.content_type.encode()), (b"content-length", b"%d" % len(answer.body))]
