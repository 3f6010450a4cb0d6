"""A client for the HTTPS server, which can also say what no client says."""

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from tests.pki.certs import DAY, START

from donjon.adapters.http.tls import context
from donjon.pki.serving import Fresh, ServingCertificate, issue

HOST = "127.0.0.1"


def certificate(serial: int = 1, *, lifetime: timedelta = 36500 * DAY) -> ServingCertificate:
    """One for the loopback address, good whenever the test runs unless told otherwise."""
    keys = (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()))
    made = Fresh(authority_key=keys[0], key=keys[1], authority_serial=2 * serial, serial=2 * serial + 1)
    return issue((HOST,), made, START, lifetime)


SERVING = certificate()
CONTEXT = context(SERVING.certificate, SERVING.key)


def trusting(*authorities: bytes) -> ssl.SSLContext:
    """A client's context."""
    made = ssl.create_default_context(cadata=b"".join(authorities).decode())
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    statuses: list[int] = field(default_factory=list)

    @classmethod
    async def connected(cls, port: int, trust: ssl.SSLContext | None = None, source: str = HOST) -> "Client":
        """A connection after its handshake, from an address of this machine."""
        trust = trust or trusting(SERVING.authority.pem)
        reader, writer = await asyncio.open_connection(HOST, port, ssl=trust, local_addr=(source, 0))
        return cls(reader, writer)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def post(self, body: bytes, *, path: str = "/mutate", kind: str = "application/json") -> tuple[int, bytes, bool]:
        """Status, body, and whether the connection stays."""
        head = f"POST {path} HTTP/1.1\r\nHost: webhook\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        await self.say(head.encode() + body)
        return await self.answer()

    async def answer(self) -> tuple[int, bytes, bool]:
        """The next answer; raises `asyncio.IncompleteReadError` where there is none."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        body = await self.reader.readexactly(length)
        self.statuses.append(int(head.split(" ")[1]))
        return self.statuses[-1], body, "connection: close" not in head

    async def ended(self, within: float = 5) -> bool:
        """Whether the server has closed."""
        try:
            return await asyncio.wait_for(self.reader.read(1), within) == b""
        except OSError:
            return True

    def close(self) -> None:
        self.writer.transport.abort()
