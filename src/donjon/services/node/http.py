"""The agent's own HTTP: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, make_asgi_app
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

Probe = Callable[[], bool]


def node_app(registry: CollectorRegistry, *, alive: Probe, ready: Probe) -> ASGI3Application:
    """The three routes; a probe's no is 503."""
    metrics = make_asgi_app(registry)
    probes = {"/healthz": alive, "/readyz": ready}

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/metrics":
            await metrics(scope, receive, send)
        elif path in probes:
            await _answer(send, *((200, b"ok\n") if probes[path]() else (503, b"not yet\n")))
        else:
            await _answer(send, 404, b"try /metrics, /healthz or /readyz\n")

    return app


async def _answer(send: ASGISendCallable, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": text, "more_body": False})
