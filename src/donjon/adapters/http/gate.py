"""What the connections of the public server share."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from donjon.adapters.http import Response
from donjon.adapters.http.crowd import ByteBudget, Crowd, Peer
from donjon.adapters.http.limits import PIECE, Limits

SECOND = 1.0

BAD, TOO_SLOW, TOO_LARGE, HEAD_TOO_LARGE, NO_ROOM = 400, 408, 413, 431, 503
REASONS = {
    BAD: "Bad Request",
    TOO_SLOW: "Request Timeout",
    TOO_LARGE: "Content Too Large",
    HEAD_TOO_LARGE: "Request Header Fields Too Large",
    NO_ROOM: "Service Unavailable",
}


ErrorResponse = Callable[[int, str], Response]
"""Makes the answer to what is turned away before any route is known, by status (400, 408, 413, 431 or 503) and address."""


def plain(status: int, address: str) -> Response:
    """An answer that says the status in words."""
    del address
    return Response(status=status, body=f"request: {REASONS[status].lower()}\n".encode())


Headers = Iterable[tuple[bytes, bytes]]


class Guest(Peer, Protocol):
    """A connection that the gate can end."""

    def cut_off(self) -> None:
        """Abort the connection, without an answer."""

    def let_go(self) -> None:
        """There is no room for its body any more; who has it would keep it."""


G = TypeVar("G", bound=Guest)


class Gate(Generic[G]):
    """What the connections of one server share."""

    def __init__(
        self,
        limits: Limits,
        error_response: ErrorResponse,
        body: Callable[[str, str], int],
        beside: Callable[[Headers], Headers] = lambda _headers: (),
    ) -> None:
        """`body` is asked for the bound of a body by the request's method and path.

        `beside` is asked for the headers that an answer of `error_response` has beside its own, by those of the request that were
        read.
        """
        self.limits, self.error_response, self.body, self.beside = limits, error_response, body, beside
        self.crowd: Crowd[G] = Crowd(limits.connections, limits.of_a_site)
        self.bodies: ByteBudget[G] = ByteBudget(limits.bodies, limits.bodies_of_a_site)
        self.answers: ByteBudget[G] = ByteBudget(limits.answers, limits.answers_of_a_site)
        self.buffer = bytearray(PIECE)  # in which every connection reads, one at a time
        self.empty = asyncio.Event()

    def let_in(self, peer: G) -> None:
        """One more connection; another gives way where that is one too many."""
        self.empty.clear()
        if (victim := self.crowd.enter(peer)) is not None:
            victim.cut_off()

    def let_out(self, peer: G) -> None:
        """One connection less; `empty` is set with the last."""
        self.crowd.leave(peer)
        if not len(self.crowd):
            self.empty.set()
