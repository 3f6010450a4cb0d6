"""A listening socket whose newcomers are let in a few at a time.

asyncio lets in as many at once as it asks the kernel to keep waiting. Where they come faster than they are served, a whole crowd
would come between an honest connection and its answer; so the kernel keeps many, and every turn of the loop takes a few.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from donjon.errors import Unavailable

AT_ONCE = 8  # newcomers in one turn of the loop
WAITING = 1024  # newcomers that the kernel keeps


async def listen(protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.Server:
    """Serves with a protocol for each connection; raises `Unavailable` DJ052 where the address is taken or not ours."""
    try:
        server = await asyncio.get_running_loop().create_server(protocol, host, port, backlog=AT_ONCE)
    except OSError as error:
        raise Unavailable("DJ052", f"{host}:{port}: {error.strerror or error}") from error
    for each in server.sockets:
        with socket.socket(fileno=os.dup(each.fileno())) as same:
            same.listen(WAITING)
    return server


async def stop_listening(server: asyncio.Server, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
    """Listen no more; whoever has connected by then is served by such a protocol.

    asyncio lets each in by a task of its own, and one that begins only after the server was closed fails and leaves its socket
    open. So nobody more is let in first, and those tasks have their turn. Who waits in the kernel even then would be reset.
    """
    loop = asyncio.get_running_loop()
    for each in server.sockets:
        loop.remove_reader(each.fileno())
    await asyncio.sleep(0)
    last = [newcomer for each in server.sockets for newcomer in _newcomers(each.fileno())]
    server.close()
    await asyncio.gather(*(loop.connect_accepted_socket(protocol, each) for each in last), return_exceptions=True)


def _newcomers(number: int) -> Iterator[socket.socket]:
    """Who waits at a listening socket, by its file's number."""
    with socket.socket(fileno=os.dup(number)) as same, suppress(BlockingIOError):
        same.setblocking(False)
        for _ in range(WAITING):
            yield same.accept()[0]


def port_of(server: asyncio.Server) -> int:
    """The port at which it listens."""
    port: int = server.sockets[0].getsockname()[1]
    return port


def address_of(transport: asyncio.BaseTransport) -> str:
    """The address of who has connected."""
    peername = transport.get_extra_info("peername")
    return str(peername[0]) if peername else ""
