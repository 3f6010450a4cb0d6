"""What the clients of a server of ours may take: each of our servers holds every one of these bounds."""

from dataclasses import dataclass

PIECE = 16 << 10  # bytes that are read and written at once; a record of TLS has as many


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Room, sizes and times; where none are named, those of a service for everybody."""

    connections: int = 1024
    of_a_site: int = 64  # of these; an address of IPv4, a network of 64 bits of IPv6
    head: int = 16 << 10  # bytes of request line and headers
    headers: int = 100
    body: int = 1 << 20  # bytes of a request's, where the server is not told another bound for it
    bodies: int = 32 << 20  # bytes of all that are received, or being answered
    bodies_of_a_site: int = 16 << 20  # of these
    answers: int = 64 << 20  # bytes of all that are not taken yet
    answers_of_a_site: int = 32 << 20  # of these
    handshake: float = 5.0  # seconds
    first: float = 10.0  # until the first request begins
    idle: float = 60.0  # until another begins
    request: float = 10.0  # until its head is whole; and as many, from when it is asked for, until its body is
    answer: float = 60.0  # until it is made and taken
