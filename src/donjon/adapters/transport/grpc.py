"""A gRPC server that ends its connections with itself, and takes no more of them, nor of calls in each, than it is told."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from grpclib.server import Server, Stream
from h2.settings import SettingCodes

if TYPE_CHECKING:
    from grpclib._typing import IServable

CLOSING = 1.0  # seconds that a client is given to take the end of its connection
CALLS = 100  # at a time in a connection, as the library has it


class GrpcServer(Server):
    """The library leaves connections open when it closes.

    A client would take the server for well, and since Python 3.12 `wait_closed` waits for the last of them.
    """

    def __init__(
        self,
        handlers: "Collection[IServable]",
        *,
        connections: int | None = None,
        calls: int = CALLS,
        config: Configuration | None = None,
    ) -> None:
        """Without `connections` it takes as many as come; `calls` may run at a time in each of them."""
        super().__init__(handlers, config=config)
        self._mapping = _Calls(self._mapping)
        self._most, self._calls = connections, calls
        self._protocols: WeakSet[_BoundedProtocol] = WeakSet()

    def _protocol_factory(self) -> H2Protocol:
        usual = super()._protocol_factory()
        is_welcome = self._most is None or self.connections < self._most
        protocol = _BoundedProtocol(usual, calls=self._calls, is_welcome=is_welcome)
        self._protocols.add(protocol)
        return protocol

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(each.is_open for each in self._protocols)

    def close(self) -> None:
        """Take nobody any more, and end the connections that there are."""
        super().close()
        for protocol in list(self._protocols):
            protocol.end()

    async def leave(self) -> None:
        """Close, and wait for it as long as clients are given."""
        self.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self.wait_closed()


class _Calls(dict[str, Handler]):
    """Ours, and any other name for a call that is not there.

    The library's own no to such a call has no content type: clients in Go call it malformed, and who looks whether a server has
    health or reflection cannot tell that it has not.
    """

    def get(self, name: str, default: Any = None) -> Handler:
        del default
        return super().get(name, _NONE)


async def _refuse(stream: Stream[Any, Any]) -> None:
    del stream
    raise GRPCError(Status.UNIMPLEMENTED, "no such call here")


_NONE = Handler(_refuse, Cardinality.UNARY_UNARY, None, None)  # Nothing is read or written.


class _BoundedProtocol(H2Protocol):
    """One that is not welcome ends as soon as it is made."""

    def __init__(self, usual: H2Protocol, *, calls: int, is_welcome: bool) -> None:
        super().__init__(usual.handler, usual.config, usual.h2_config)
        self._calls, self._is_welcome, self.is_open = calls, is_welcome, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.is_open = self._is_welcome
        if not self._is_welcome:
            self.end()
        elif self._calls != CALLS:
            # The library has no other way to say it.
            self.connection._connection.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._calls})  # noqa: SLF001 - as said above.
            self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.is_open = False
        super().connection_lost(exc)

    def end(self) -> None:
        """Close it, if it was made already."""
        self.is_open = False
        if hasattr(self, "connection"):
            self.connection.close()
