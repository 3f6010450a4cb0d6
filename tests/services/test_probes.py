"""What Prometheus and the kubelet's probes are answered."""

import asyncio
from pathlib import Path

import pytest
from tests.services.agent import World, settled, world

from donjon.adapters import clock
from donjon.adapters.http.probe import ProbeServer
from donjon.runtime.probes import routes
from donjon.services.node.state import AgentState
from donjon.simulation import host

pytestmark = pytest.mark.usefixtures("quick")


async def get(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split(" ")[1]), body


async def served(here: World, story: list[tuple[str, int, str]]) -> None:
    """Ask each path, and expect its status and a piece of its body."""
    alive = lambda: here.state.is_alive(clock.monotonic, 15)  # noqa: E731 - as run.py has it.
    server = ProbeServer(
        routes(here.metrics.registry, alive=alive, unready=lambda: "" if here.state.is_ready() else "not yet"),
        host="127.0.0.1",
        port=0,
    )
    await server.start()
    assert server._server is not None
    port = server._server.sockets[0].getsockname()[1]
    try:
        for path, status, piece in story:
            answered, body = await get(port, path)
            assert (path, answered) == (path, status), body
            assert piece in body
    finally:
        await server.close()
        await asyncio.sleep(0.02)


def test_an_agent_that_does_its_work_is_alive_and_ready_and_tells_its_figures(short: Path) -> None:
    async def run() -> None:
        async with world(short) as here:
            await settled(here)
            await here.until(here.state.is_ready)
            await served(
                here,
                [
                    ("/healthz", 200, "ok"),
                    ("/readyz", 200, "ok"),
                    ("/metrics", 200, "donjon_node_epc_allocatable_bytes 8.589934592e+09"),
                    ("/metrics", 200, "donjon_node_ready 1.0"),
                    ("/metrics", 200, 'donjon_node_registrations_total{resource="sgx.intel.com/enclave"} 1.0'),
                    ("/metrics", 200, "process_resident_memory_bytes"),
                    ("/", 404, "/metrics"),
                ],
            )

    asyncio.run(run())


def test_a_node_that_is_not_ready_has_an_agent_that_is(short: Path) -> None:
    """Readiness of the agent is whether it does its work; restarting it would mend no driver."""

    async def run() -> None:
        async with world(short) as here:
            await settled(here)
            host.remove_devices(here.root)
            await here.until(lambda: here.is_true(epc=0))
            await served(
                here,
                [
                    ("/healthz", 200, "ok"),
                    ("/readyz", 200, "ok"),
                    ("/metrics", 200, "donjon_node_ready 0.0"),
                    ("/metrics", 200, 'donjon_node_readiness_reasons{code="DJ004",severity="error"} 1.0'),
                ],
            )

    asyncio.run(run())


def test_an_agent_that_has_not_looked_yet_is_neither_alive_nor_ready() -> None:
    state = AgentState()
    assert not state.is_ready()
    assert not state.is_alive(lambda: 1000.0, 15)
    state.heartbeat = 990.0
    assert state.is_alive(lambda: 1000.0, 15)
    assert not state.is_alive(lambda: 1005.0, 15)
