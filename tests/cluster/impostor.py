"""A server in the webhook's place that answers badly: late, with garbage, or under a certificate that has ended."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from donjon.adapters.http.tls import context
from donjon.adapters.keys import fresh
from donjon.pki.serving import issue

HOST = "10.87.0.1"
"""The testbed's bridge, where the API server is too."""
DAY = timedelta(days=1)
Answer = Callable[[], bytes]


def late() -> bytes:
    """Longer than the API server waits for any webhook of ours."""
    time.sleep(10)  # noqa: TID251 - the impostor is late in real seconds.
    return b"{}"


def garbage() -> bytes:
    """No AdmissionReview."""
    return b"\x00\xff{{{ not json"


def another_kind() -> bytes:
    """JSON, of another kind, that would let nothing through."""
    return json.dumps({"apiVersion": "v1", "kind": "Status", "response": {"uid": "x", "allowed": False}}).encode()


@contextmanager
def impostor(answer: Answer, *, ended: bool = False) -> Iterator[tuple[str, bytes]]:
    """Its address, and the authority by which it is known; `ended` is whether its certificate ended yesterday."""
    made = datetime.now(tz=UTC) - (10 * DAY if ended else timedelta())  # noqa: TID251 - certificates are judged by the real clock.
    serving = issue([HOST], fresh(), made, 9 * DAY)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients that hang up are what this is for."""

    server = Server((HOST, 0), Handler)
    server.daemon_threads = True
    server.socket = context(serving.certificate, serving.key).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://{HOST}:{server.server_address[1]}/mutate", serving.authority.pem
    finally:
        server.shutdown()
        server.server_close()
