"""Our HTTP servers: `probe` for the kubelet and Prometheus, `https` for the API server, `public` for everybody.

Anyone may connect to each of them; `crowd` says who gives way.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a route answers: status, body and media type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
