"""The attacks, each a client that does one hostile thing again and again until its time is over.

They run in a process of their own, of low priority, and come from addresses of their own (127.66.0.0/16), so that what is counted
by address is counted against them. Whatever the service answers, or that it hangs up, is fine with them.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count, cycle

from testbed import clock
from tests.siege import hostile
from tests.siege.target import NOBODYS, TENANT, Target

from donjon.maa import policies

HOST, VERSION = "127.0.0.1", "api-version=2020-10-01"
ATTEST = f"/{TENANT}/attest/SgxEnclave?{VERSION}"
DRAFT = "AttestationPolicy"
PATIENCE = 20.0  # seconds for one answer
NICENESS = 10
SITES = 16  # addresses from which strangers come
MEGABYTE = 1 << 20

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacker:
    """One process of attackers: what they attack, until when, and as whom they can speak TLS."""

    target: Target
    until: float
    stranger: ssl.SSLContext
    tenant: ssl.SSLContext

    def lasts(self) -> bool:
        """Whether there is time left."""
        return clock.now() < self.until

    @asynccontextmanager
    async def connected(
        self, site: int = 0, *, tls: "ssl.SSLContext | None" = None, probes: bool = False
    ) -> AsyncIterator[Streams]:
        """A connection from that site, to the instances or to the probes."""
        port, context = (self.target.probes, None) if probes else (self.target.port, tls or self.stranger)
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(HOST, port, ssl=context, local_addr=(address(site), 0)), PATIENCE
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def send(self, head: str, body: bytes, site: int = 0, *, tls: "ssl.SSLContext | None" = None) -> None:
        """One request, its answer read to its end."""
        async with self.connected(site, tls=tls) as (reader, writer):
            writer.write(request(head, body, "Connection: close\r\n"))
            await writer.drain()
            await asyncio.wait_for(reader.read(), PATIENCE)

    async def set_policy(self, text: str) -> None:
        """As the tenant may: the policy of its own instance."""
        head = f"PUT /{TENANT}/policies/SgxEnclave?{VERSION}"
        await self.send(head, policies.unsecured_token(text).encode(), tls=self.tenant)

    async def repeat(self, act: Callable[[], Awaitable[object]]) -> None:
        """Again and again; the service may hang up."""
        while self.lasts():
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError):
                await act()
            await asyncio.sleep(0)

    async def together(self, number: int, act: Callable[[int], Awaitable[object]]) -> None:
        """So many at once, each again and again."""
        await asyncio.gather(*(self.repeat(lambda each=each: act(each)) for each in range(number)))  # type: ignore[misc] # mypy cannot infer it.


def address(site: int) -> str:
    """Of one of the attackers' sites."""
    return f"127.66.{site // 250}.{1 + site % 250}"


def request(head: str, body: bytes, more: str = "", length: int | None = None) -> bytes:
    """Head and body; the body may be shorter than it says."""
    kind = "text/plain" if head.startswith("PUT") else "application/json"
    size = len(body) if length is None else length
    return f"{head} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n{more}Content-Length: {size}\r\n\r\n".encode() + body


def _with_policy(policy: Callable[[object], str], body: Callable[[Target], bytes], at_once: int = 4) -> "Attack":
    """The tenant's policy, anew every second; strangers attest by it, each from its own address."""

    async def attack(of: Attacker) -> None:
        note = count()

        async def renew() -> None:
            await of.set_policy(policy(next(note)))
            await asyncio.sleep(1)

        sent = body(of.target)
        attesting = of.together(at_once, lambda site: of.send(f"POST {ATTEST}", sent, site))
        await asyncio.gather(of.repeat(renew), attesting)

    return attack


def _plain(target: Target) -> bytes:
    return hostile.request(target.quote)


def _of_lists(target: Target) -> bytes:
    return hostile.request(target.quote_of_lists, runtimeData=hostile.runtime(hostile.lists()))


async def drafts(of: Attacker) -> None:
    """Twelve at once, each of another text."""
    note = count()

    async def draft(site: int) -> None:
        policy = hostile.many_queries(next(note))
        body = hostile.request(of.target.quote, draftPolicyForAttestation=policies.unsecured_token(policy))
        await of.send(f"POST {ATTEST}", body, site, tls=of.tenant)

    await of.together(12, draft)


async def slow_readers(of: Attacker) -> None:
    """Twelve who ask for tokens as large as they get, and hardly read."""
    await of.set_policy(hostile.large_token())

    async def read_slowly(site: int) -> None:
        async with of.connected(site) as (reader, writer):
            writer.write(request(f"POST {ATTEST}", _plain(of.target)))
            while of.lasts() and await reader.read(16):  # noqa: ASYNC110 - it waits for time to pass.
                await asyncio.sleep(1)

    await of.together(12, read_slowly)


def _half_bodies(sites: int, at_once: int) -> "Attack":
    """Bodies of nearly two megabytes, but for their last byte."""

    async def attack(of: Attacker) -> None:
        body = b" " * (2 * MEGABYTE - 100_000)

        async def wait(number: int) -> None:
            async with of.connected(number % sites) as (reader, writer):
                writer.write(request(f"POST {ATTEST}", body, length=len(body) + 1))
                await asyncio.wait_for(reader.read(1), PATIENCE)

        await of.together(at_once, wait)

    return attack


def _half_heads(sites: int, at_once: int) -> "Attack":
    """Requests that begin and do not go on."""

    async def attack(of: Attacker) -> None:
        async def wait(number: int) -> None:
            async with of.connected(number % sites) as (reader, writer):
                writer.write(b"GET /aa/certs HTTP/1.1\r\nX: ")
                await asyncio.wait_for(reader.read(1), PATIENCE)

        await of.together(at_once, wait)

    return attack


async def unread_answers(of: Attacker) -> None:
    """A thousand requests in one breath, from each of 64, and none of the answers read."""

    async def ask(number: int) -> None:
        async with of.connected(number % SITES) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined] # A stream's transport can.
            writer.write(b"GET /aa/certs HTTP/1.1\r\nHost: h\r\n\r\n" * 1000)
            await asyncio.sleep(5)

    await of.together(64, ask)


async def no_handshakes(of: Attacker) -> None:
    """2,000 connections that say nothing, or half of a handshake."""
    hello = bytes.fromhex("1603010200010001fc0303")

    async def wait(number: int) -> None:
        _, writer = await asyncio.open_connection(HOST, of.target.port, local_addr=(address(number % SITES), 0))
        writer.write(hello[: number % len(hello)])
        await asyncio.sleep(5)
        writer.transport.abort()

    await of.together(2000, wait)


def _layouts(certificate: int) -> "Attack":
    """True quotes whose certificates are laid out anew each time, with data that they do not hold: refused, every one."""

    async def attack(of: Attacker) -> None:
        made = hostile.layouts(of.target.quote, certificate)
        wrong = hostile.runtime("{}")

        async def ask(site: int) -> None:
            async with of.connected(site) as (reader, writer):
                while of.lasts():
                    writer.write(request(f"POST {ATTEST}", hostile.request(next(made), runtimeData=wrong)))
                    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).lower()
                    await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))

        await of.together(SITES, ask)

    return attack


async def much_of_nothing(of: Attacker) -> None:
    """A megabyte of JSON that is nothing but values, five times a second from each of two addresses."""
    bodies: Iterator[bytes] = hostile.values(MEGABYTE - 100)

    async def ask(site: int) -> None:
        await of.send(f"POST {ATTEST}", next(bodies), site)
        await asyncio.sleep(0.2)

    await of.together(2, ask)


def _probing(sites: int, at_once: int) -> "Attack":
    """Whoever can connect to the port of the probes, as fast as that goes, and holds on to it."""

    async def attack(of: Attacker) -> None:
        async def hold(number: int) -> None:
            async with of.connected(number % sites, probes=True) as (reader, _):
                await asyncio.wait_for(reader.read(1), PATIENCE)

        await of.together(at_once, hold)

    return attack


async def metrics(of: Attacker) -> None:
    """The metrics, as fast as they come."""

    async def ask(site: int) -> None:
        async with of.connected(site, probes=True) as (reader, writer):
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            await asyncio.wait_for(reader.read(), PATIENCE)

    await of.together(8, ask)


async def unknown_platforms(of: Attacker) -> None:
    """Asks the cache for what nobody has; the upstream sends a byte every now and then."""
    number = cycle(range(1 << 16))

    async def ask(site: int) -> None:
        await of.send(f"GET /sgx/certification/v4/tcb?fmspc={NOBODYS}{next(number):08x}", b"", site)

    await of.together(SITES, ask)


Attack = Callable[[Attacker], Awaitable[None]]

ATTACKS: dict[str, Attack] = {
    "a policy that makes many queries": _with_policy(hostile.many_queries, _plain),
    "a policy that reads much JSON": _with_policy(hostile.much_json, _of_lists),
    "a policy that issues a large token": _with_policy(hostile.large_token, _plain),
    "a policy of 64 KB, anew every second": _with_policy(hostile.large_policy, _plain),
    "drafts that cost, twelve at once": drafts,
    "tokens that are read slowly": slow_readers,
    "400 half bodies of one address": _half_bodies(1, 400),
    "400 half bodies of 16 addresses": _half_bodies(SITES, 400),
    "1,100 half requests of one address": _half_heads(1, 1100),
    "1,100 half requests of 16 addresses": _half_heads(SITES, 1100),
    "answers that nobody reads": unread_answers,
    "2,000 connections without a handshake": no_handshakes,
    "quotes, the PCK certificate laid out anew": _layouts(0),
    "quotes, the CA's certificate laid out anew": _layouts(1),
    "JSON that is nothing but values": much_of_nothing,
    "probes: 150 who connect": _probing(1, 150),
    "probes: 600 who connect, of 16 addresses": _probing(SITES, 600),
    "metrics as fast as they come": metrics,
    "platforms that nobody has": unknown_platforms,
}


def run(name: str, target: Target, seconds: float) -> None:
    """The whole of such a process."""
    os.nice(NICENESS)
    tenant = _trusting(target)
    tenant.load_cert_chain(target.tenant)
    attacker = Attacker(target=target, until=clock.now() + seconds, stranger=_trusting(target), tenant=tenant)
    asyncio.run(_ended(ATTACKS[name](attacker), seconds + PATIENCE))


async def _ended(attack: Awaitable[None], seconds: float) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # What it says of those who were hung up on.
    with suppress(TimeoutError):
        await asyncio.wait_for(attack, seconds)


def _trusting(target: Target) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=target.authority.decode())
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made
