"""What Prometheus and the kubelet's probes are answered."""

import asyncio
import logging
from pathlib import Path

import pytest
from tests.adapters.fakeapi import status
from tests.services.agent import GIB, World, settled, world

from donjon.adapters import clock
from donjon.adapters.http.probe import ProbeServer
from donjon.node.registration import stated_condition
from donjon.runtime.probes import routes
from donjon.services.node import devices, rights
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
        routes(here.metrics.registry, alive=alive, unready=here.state.trouble),
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


def test_a_kubelet_whose_socket_is_gone_is_the_one_cause_everywhere_and_takes_no_epc_away(
    short: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its restart is the mend, and ends running pods whose EPC the node does not offer."""
    monkeypatch.setattr(devices, "SOCKET_PATIENCE", 1.0)

    async def run() -> None:
        async with world(short) as here:
            await settled(here)
            for each in here.kubelet.plugins.iterdir():
                each.unlink()
            await asyncio.sleep(0.5)
            assert here.condition() == "True", "a kubelet that restarts takes its socket away, too"
            await here.until(lambda: here.condition() == "False")
            said = stated_condition(here.node)
            assert (said["reason"], here.epc()) == ("DJ053", (str(8 * GIB), str(8 * GIB)))
            assert f"no kubelet.sock in {here.kubelet.plugins}: " in str(said["message"])
            await served(
                here,
                [
                    ("/readyz", 503, f"kubelet: no kubelet.sock in {here.kubelet.plugins}: "),
                    ("/readyz", 503, "[DJ053]; restart the kubelet of this node"),
                    ("/metrics", 200, "donjon_node_ready 0.0"),
                    ("/metrics", 200, 'donjon_node_readiness_reasons{code="DJ053",severity="error"} 1.0'),
                ],
            )
            await here.new_kubelet()
            await settled(here)
            await here.until(here.state.is_ready)

    asyncio.run(run())
    assert [each.__dict__["fields"]["code"] for each in caplog.records if each.msg == "the kubelet's socket: trying again"] == [
        "DJ053"
    ]


def test_an_account_that_is_turned_away_is_the_one_cause_and_a_server_that_is_away_is_not(
    short: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rights, "REJECTION_PATIENCE", 1.0)
    caplog.set_level(logging.INFO)

    async def run() -> None:
        async with world(short) as here:
            await settled(here)
            await here.until(here.state.is_ready)
            await here.api.stop()
            await asyncio.sleep(2)
            await served(here, [("/readyz", 200, "ok"), ("/metrics", 200, "donjon_node_rejected 0.0")])
            here.api.answer = lambda _: status(403, 'nodes is forbidden: clusterrole "donjon-node" not found')
            await here.api.start()
            await here.until(lambda: not here.state.is_ready(), within=10)
            await served(
                here,
                [
                    ("/readyz", 503, "API server: turns the agent's account away: "),
                    ("/readyz", 503, '403 nodes is forbidden: clusterrole "donjon-node" not found: nobody keeps EPC'),
                    ("/readyz", 503, "; then kubectl rollout restart daemonset -n donjon donjon-node"),
                    ("/metrics", 200, "donjon_node_rejected 1.0"),
                    ("/metrics", 200, "donjon_node_ready 1.0"),
                ],
            )
            here.api.answer = lambda _: None
            await here.until(here.state.is_ready)
            await served(here, [("/metrics", 200, "donjon_node_rejected 0.0")])

    asyncio.run(run())
    said = [each.msg for each in caplog.records if str(each.msg).startswith("the agent's rights")]
    assert said == ["the agent's rights: not good", "the agent's rights: good again"]


def test_an_agent_that_has_not_looked_yet_is_neither_alive_nor_ready() -> None:
    state = AgentState()
    assert not state.is_ready()
    assert not state.is_alive(lambda: 1000.0, 15)
    state.heartbeat = 990.0
    assert state.is_alive(lambda: 1000.0, 15)
    assert not state.is_alive(lambda: 1005.0, 15)
