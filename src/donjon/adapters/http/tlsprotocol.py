"""TLS below a protocol of asyncio's own, with memory that all connections share."""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable

from donjon.adapters.http.gate import SECOND
from donjon.adapters.http.limits import PIECE, Limits


class TlsProtocol(SSLProtocol):
    """TLS below one connection, which the gate knows from before the handshake on; it reads in the memory that all share."""

    max_size = PIECE

    def __init__(
        self,
        above: asyncio.Protocol,
        context: ssl.SSLContext,
        limits: Limits,
        buffer: bytearray,
        *,
        arrive: Callable[[asyncio.Transport], None],
        leave: Callable[[], None],
    ) -> None:
        """`arrive` is called before the handshake, and `leave` at the end, with or without one."""
        super().__init__(
            asyncio.get_running_loop(),
            above,
            context,
            None,  # type: ignore[arg-type] # Nobody waits for the handshake.
            server_side=True,
            ssl_handshake_timeout=limits.handshake,  # type: ignore[arg-type] # It may be a fraction.
            ssl_shutdown_timeout=SECOND,
        )
        self._ssl_buffer, self._ssl_buffer_view = buffer, memoryview(buffer)
        transport = self._app_transport  # The one that its user gets later, and could set the limits of only then.
        transport.set_read_buffer_limits(PIECE)
        transport.set_write_buffer_limits(PIECE)
        self._arrive, self._leave = arrive, leave

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # It is one that reads and writes.
        """Somebody has connected: the gate hears of it, and the handshake begins."""
        self._arrive(transport)
        super().connection_made(transport)

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        """Where there is no agreement, the client is told why before it is cut off."""
        if handshake_exc is not None:
            self._process_outgoing()  # type: ignore[attr-defined] # Of every Python that we run on.
        super()._on_handshake_complete(handshake_exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed, with or without a handshake."""
        self._leave()
        super().connection_lost(exc)
        self._arrive = self._leave = _nobody  # Else this, with all that OpenSSL keeps, would wait for a collection of cycles.


def _nobody(*_: asyncio.Transport) -> None:
    """There is nothing above any more."""
