"""Eight honest clients, and the kubelet's probe: whatever others do, each of their calls is answered."""

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Event

import httpx2
from testbed import clock
from tests.siege import hostile
from tests.siege.cell import PRIORITY
from tests.siege.target import HONEST, Target

CLIENTS = 8
PACE = 0.2  # seconds between two calls of one client
PATIENCE = 10.0  # seconds that a client waits for an answer
KEPT = 10  # calls on one connection
PROBE_PACE, PROBE_PATIENCE = 0.03, 1.0  # seconds; the patience is the kubelet's own default
VERSION = {"api-version": "2020-10-01"}


@dataclass(slots=True, kw_only=True)
class Record:
    """The calls that were made: how long each took, in seconds, and what became of those that were lost."""

    took: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def slowest(self, share: float) -> float:
        """Of the quickest share of them, the slowest; a lost one took for ever."""
        ordered = sorted(self.took) + [float("inf")] * len(self.lost)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def call(target: Target, seconds: float, to: Connection) -> None:
    """The whole of a process with the eight; its record goes to the connection."""
    record = Record()
    asyncio.run(_call(target, clock.now() + seconds, record))
    to.send(record)


async def _call(target: Target, until: float, record: Record) -> None:
    await asyncio.gather(*(_client(target, number, until, record) for number in range(CLIENTS)))


async def _client(target: Target, number: int, until: float, record: Record) -> None:
    """One of them, from its own address: it attests, and reads keys, its policy and collateral."""
    context = ssl.create_default_context(cadata=target.authority.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    await asyncio.sleep(PACE * number / CLIENTS)
    while clock.now() < until:
        transport = httpx2.AsyncHTTPTransport(verify=context, local_address=f"127.77.0.{1 + number}")
        address = f"https://127.0.0.1:{target.port}"
        async with httpx2.AsyncClient(transport=transport, base_url=address, timeout=PATIENCE) as client:
            for turn in range(KEPT):
                await _one(client, target, turn, record)
                await asyncio.sleep(PACE)


async def _one(client: httpx2.AsyncClient, target: Target, turn: int, record: Record) -> None:
    calls = (
        client.build_request("POST", f"/{HONEST}/attest/SgxEnclave", params=VERSION, content=hostile.request(target.quote)),
        client.build_request("GET", f"/{HONEST}/certs"),
        client.build_request("GET", f"/{HONEST}/policies/SgxEnclave", params=VERSION),
        client.build_request("GET", "/sgx/certification/v4/tcb", params={"fmspc": target.fmspc}),
    )
    request = calls[turn % len(calls)]
    if request.method == "POST":
        request.headers["content-type"] = "application/json"
    began = clock.now()
    try:
        answer = await client.send(request)
    except httpx2.HTTPError as error:
        record.lost.append(f"{request.method} {request.url.path}: {error!r} after {clock.now() - began:.1f} s")
        return
    if answer.is_success:
        record.took.append(clock.now() - began)
    else:
        record.lost.append(f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:200]}")


def probe(target: Target, ended: Event, record: Record) -> None:
    """As the kubelet asks for /healthz, each time on a new connection, until the end; in a thread of its own."""
    os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)  # Of this thread alone, as Linux has it: what it waits for is the service.
    while not ended.is_set():
        began = clock.now()
        try:
            _healthy(target.probes)
        except (OSError, AssertionError) as error:
            record.lost.append(f"/healthz: {error!r} after {clock.now() - began:.2f} s")
        else:
            record.took.append(clock.now() - began)
        ended.wait(PROBE_PACE)


def _healthy(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), PROBE_PATIENCE, source_address=("127.88.0.1", 0)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = connection.recv(1024)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
