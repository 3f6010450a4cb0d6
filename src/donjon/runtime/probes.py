"""What every program answers without TLS: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from collections.abc import Callable

from donjon.adapters.http import Response
from donjon.adapters.http.probe import Routes
from donjon.adapters.metrics import exposition

Probe = Callable[[], bool]
Words = Callable[[], str]

_OK = Response(status=200, body=b"ok\n")


def routes(metrics: exposition.Registry, *, unready: Words, alive: Probe = lambda: True, caveat: Words = lambda: "") -> Routes:
    """The three routes; a probe's no is 503. `unready` says why the program is not ready, and nothing where it is.

    Most are alive where they answer at all. What a reader of a yes must know is a caveat.
    """
    return {
        "/metrics": lambda: Response(status=200, body=exposition.text(metrics), content_type=exposition.CONTENT_TYPE),
        "/healthz": lambda: _OK if alive() else _no("not yet"),
        "/readyz": lambda: _no(words) if (words := unready()) else _yes(caveat()),
    }


def once_in(route: Callable[[], Response], seconds: float, clock: Callable[[], float]) -> Callable[[], Response]:
    """The route, whose answer is made anew after so many seconds: anybody in the cluster may ask, as often as they like."""
    until, answer = float("-inf"), _OK

    def keep() -> Response:
        nonlocal until, answer
        if clock() >= until:
            answer, until = route(), clock() + seconds
        return answer

    return keep


def _yes(caveat: str) -> Response:
    return Response(status=200, body=f"ok: {caveat}\n".encode()) if caveat else _OK


def _no(words: str) -> Response:
    return Response(status=503, body=f"{words}\n".encode("utf-8", "backslashreplace"))
