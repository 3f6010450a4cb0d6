"""What every program answers without TLS: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from collections.abc import Callable

from donjon.adapters.http import Response
from donjon.adapters.http.probe import Routes
from donjon.adapters.metrics import exposition

Probe = Callable[[], bool]

_OK = Response(status=200, body=b"ok\n")


def routes(metrics: exposition.Registry, *, ready: Probe, unready: str, alive: Probe = lambda: True) -> Routes:
    """The three routes; a probe's no is 503, that of /readyz in those words. Most are alive where they answer at all."""
    return {
        "/metrics": lambda: Response(status=200, body=exposition.text(metrics), content_type=exposition.CONTENT_TYPE),
        "/healthz": lambda: _OK if alive() else _no("not yet"),
        "/readyz": lambda: _OK if ready() else _no(unready),
    }


def _no(words: str) -> Response:
    return Response(status=503, body=f"{words}\n".encode("ascii"))
