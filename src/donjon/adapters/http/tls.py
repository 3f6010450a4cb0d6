"""TLS over a stream, with buffers of a few KiB: asyncio's own takes a quarter of a MiB for every connection, spoken on or not."""

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from donjon.errors import Malformed

CHUNK = 16 << 10  # bytes; a TLS record holds as many
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all good
PROTOCOLS = ["http/1.1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The authorities, in PEM, whose client certificates are asked for, and whether nobody is let in without one."""

    authorities: bytes
    required: bool


def context(certificate: bytes, key: bytes, clients: Clients | None = None) -> ssl.SSLContext:
    """A server's context for a certificate chain and its key in PEM; raises `Malformed` DJ146 or DJ555.

    Python reads them from files alone, so they go through one that exists in memory only.
    """
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.minimum_version = ssl.TLSVersion.TLSv1_2
    server_context.set_ciphers(CIPHERS)
    server_context.set_alpn_protocols(PROTOCOLS)
    server_context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
    server_context.num_tickets = 0  # The API server resumes no session, and keeps its connections.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(certificate + b"\n" + key)
        server_context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise Malformed("DJ146", f"certificate: {error}") from error
    finally:
        os.close(descriptor)
    if clients is not None:
        _ask(server_context, clients)
    return server_context


def _ask(server_context: ssl.SSLContext, clients: Clients) -> None:
    """TLS 1.3 alone: a session of 1.2 could be resumed, and its certificate would not be looked at again."""
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    server_context.verify_mode = ssl.CERT_REQUIRED if clients.required else ssl.CERT_OPTIONAL
    try:
        server_context.load_verify_locations(cadata=clients.authorities.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise Malformed("DJ555", f"client authorities: {error}") from error


def _no_password() -> str:
    """Without it, Python would ask for the password of an encrypted key at the terminal."""
    return ""


Contexts = Callable[[], ssl.SSLContext]
"""The context for the next connection."""


class Secured:
    """The server's side of one connection; `ssl.SSLError` and `ConnectionError` are an `OSError` each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server_context: ssl.SSLContext) -> None:
        self._reader, self._writer = reader, writer
        writer.transport.set_write_buffer_limits(0)  # Only what the system has taken counts as written.
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server_context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Agree on keys with the client; raises `OSError` where there is no agreement."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._feed():
                    raise ConnectionResetError from None
            except ssl.SSLError:
                await self._flush()  # The client is told why.
                raise
            else:
                await self._flush()
                return

    async def read(self) -> bytes:
        """What the client says next; nothing when it has ended."""
        while True:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._feed():
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def write(self, data: bytes) -> None:
        """Say that; returns when the system has all of it."""
        self._tls.write(data)
        await self._flush()

    def close(self) -> None:
        """Say that nothing follows, as far as that still goes, and close."""
        with suppress(OSError, ValueError):  # Before the handshake, after an error, or where the client has not said it yet.
            self._tls.unwrap()
        self._writer.write(self._outgoing.read())
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()  # The client does not read, so there is nobody to wait for.
        self._writer.close()

    async def _feed(self) -> bool:
        data = await self._reader.read(CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return bool(data)

    async def _flush(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
            await self._writer.drain()
