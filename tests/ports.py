"""Ports for servers that must know theirs before they listen."""

import secrets
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"
_FIRST, _COUNT = 20_000, 12_000  # below those that Linux gives to whoever connects


def free_port() -> int:
    """A port at which nobody listens, nor at the next one, and that no connection of anybody's takes by chance."""
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)
        with ExitStack() as stack:
            try:
                for each in (port, port + 1):
                    stack.enter_context(socket.create_server((HOST, each)))
            except OSError:
                continue
            return port
