"""The agent's own HTTP: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from collections.abc import Callable

from donjon.adapters.http import Response
from donjon.adapters.http.probe import Routes
from donjon.adapters.metrics import exposition

Probe = Callable[[], bool]


def routes(metrics: exposition.Registry, *, alive: Probe, ready: Probe) -> Routes:
    """The three routes; a probe's no is 503."""
    return {
        "/metrics": lambda: Response(status=200, body=exposition.text(metrics), content_type=exposition.CONTENT_TYPE),
        "/healthz": lambda: _probe(alive),
        "/readyz": lambda: _probe(ready),
    }


def _probe(probe: Probe) -> Response:
    return Response(status=200, body=b"ok\n") if probe() else Response(status=503, body=b"not yet\n")
