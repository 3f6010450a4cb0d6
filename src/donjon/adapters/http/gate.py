"""What the connections of the public server share, and what each of them may take."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from donjon.adapters.http import Response
from donjon.adapters.http.crowd import ByteBudget, Crowd, Peer

PIECE = 16 << 10  # bytes that are read and written at once; a record of TLS has as many
SHARE = 2  # this part of what is kept altogether may be kept for one site
SECOND = 1.0

BAD, TOO_SLOW, TOO_LARGE, HEAD_TOO_LARGE, NO_ROOM = 400, 408, 413, 431, 503
REASONS = {
    BAD: "Bad Request",
    TOO_SLOW: "Request Timeout",
    TOO_LARGE: "Content Too Large",
    HEAD_TOO_LARGE: "Request Header Fields Too Large",
    NO_ROOM: "Service Unavailable",
}


def plain(status: int) -> Response:
    """What somebody is told who is turned away before any route is known: 400, 408, 413, 431 or 503."""
    return Response(status=status, body=f"request: {REASONS[status].lower()}\n".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the clients of the public server may take: room, sizes and times."""

    connections: int = 1024
    of_a_site: int = 64  # of these; an address of IPv4, a network of 64 bits of IPv6
    head: int = 16 << 10  # bytes of request line and headers
    headers: int = 100
    body: int = 1 << 20  # bytes of a request's, where the server is not told another bound for it
    bodies: int = 32 << 20  # bytes of all that are received, or being answered
    answers: int = 64 << 20  # bytes of all that are not taken yet
    handshake: float = 5.0  # seconds
    first: float = 10.0  # until the first request begins
    idle: float = 60.0  # until another begins
    request: float = 10.0  # until its head is whole; and as many, from when it is asked for, until its body is
    answer: float = 60.0  # until it is made and taken


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
        error_response: Callable[[int], Response],
        body: Callable[[str, str], int],
        beside: Callable[[Headers], Headers] = lambda _headers: (),
    ) -> None:
        """`body` is asked for the bound of a body by the request's method and path.

        `error_response` makes the answer to a request that is turned away. `beside` is asked for the headers that such an answer
        has beside its own, by those of the request that were read.
        """
        self.limits, self.error_response, self.body, self.beside = limits, error_response, body, beside
        self.crowd: Crowd[G] = Crowd(limits.connections, limits.of_a_site)
        self.bodies: ByteBudget[G] = ByteBudget(limits.bodies, limits.bodies // SHARE)
        self.answers: ByteBudget[G] = ByteBudget(limits.answers, limits.answers // SHARE)
        self.buffer = bytearray(PIECE)  # in which every connection reads, one at a time
        self.empty = asyncio.Event()
        self.closing = False

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
