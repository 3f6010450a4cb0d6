"""Our HTTP servers: `public` for whom a program serves, `probe`, which is smaller, for the kubelet and Prometheus.

Anyone may connect to each of them; `limits` says what they may take, `crowd` who gives way.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a route answers: status, body and media type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
