"""The agent tells what its node's meter says: each thing once, on the pod, in metrics and in the node's condition."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.fakeapi import FakeApi
from tests.kube.epc import container, held, report
from tests.node.world import NO_DEVICES, cpuid, facts
from tests.ports import free_port

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.metrics.node import NodeMetrics
from donjon.formats.json import JsonObject, at
from donjon.kube.epc_report import EpcReport, encode
from donjon.services.node import epc as loop
from donjon.services.node.epc import EpcLoop
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import METER, AgentState


class Node:
    """An agent's look at a meter that says what the test wants, `None` for nothing."""

    def __init__(self, api: FakeApi, folder: Path, address: str, *, evict: bool = False) -> None:
        self.api, self.report = api, report()
        self.says: EpcReport | None = self.report
        self.state, self.metrics, self.client = AgentState(), NodeMetrics("test"), KubeApi(api.access(folder))
        settings = NodeSettings(
            node_name="sgx-1", host_root=folder, listen_host="127.0.0.1", listen_port=0, meter=address, evict_over_request=evict
        )
        self.loop = EpcLoop(settings, self.state, self.metrics, self.client)

    async def look(self, says: EpcReport | None) -> None:
        self.says = says
        await self.loop.look()

    def reasons(self) -> list[str]:
        return [f"{at(event, 'involvedObject', 'name')} {event['reason']}" for event in self.api.events]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"donjon_node_{name}", labels)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = encode(self.says) if self.says is not None else b"no pass yet"
        status = b"200 OK" if self.says is not None else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()


def lived(folder: Path, story: Callable[[Node], Awaitable[None]], *, evict: bool = False) -> None:
    async def run() -> None:
        api = FakeApi()
        await api.start()
        port = free_port()
        node = Node(api, folder, f"127.0.0.1:{port}", evict=evict)
        server = await asyncio.start_server(node.answer, "127.0.0.1", port)
        try:
            await story(node)
        finally:
            await node.client.close()
            await node.loop._meter.close()
            server.close()
            await api.stop()
            await asyncio.sleep(0.05)

    asyncio.run(run())


def test_each_thing_is_told_once_on_its_pod_and_again_when_the_server_has_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(node: Node) -> None:
        says = report(container(10, held(20)), container(0, held(1), pod="quiet"), container(10, held(5), pod="good"))
        for _ in range(3):
            await node.look(says)
        assert node.reasons() == ["app-1 EPCOverRequest", "quiet EPCWithoutRequest"]
        assert (node.metric("epc_containers", code="DJ780"), node.metric("epc_containers", code="DJ782")) == (1, 0)
        await node.look(report(container(10, held(5))))
        assert node.metric("epc_containers", code="DJ780") == 0
        await node.look(says)
        assert len(node.reasons()) == 2, "what comes and goes is told once in a while"
        monkeypatch.setattr(loop, "NEW_AFTER", 0.0)
        await node.look(report(container(10, held(5))))
        await node.look(says)
        assert node.reasons()[2:] == ["app-1 EPCOverRequest", "quiet EPCWithoutRequest"], "it was over, and is new"
        monkeypatch.setattr(loop, "TELL_AGAIN", 0.0)
        await node.look(says)
        assert len(node.reasons()) == 6

    lived(tmp_path, story)


def test_so_many_events_in_one_look_and_the_others_in_the_next(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        says = report(*(container(10, held(20), pod=f"p{number}") for number in range(25)))
        await node.look(says)
        assert len(node.api.events) == loop.MAX_EVENTS
        await node.look(says)
        assert sorted(node.reasons()) == sorted(f"p{number} EPCOverRequest" for number in range(25))

    lived(tmp_path, story)


def test_who_makes_many_containers_keeps_no_other_namespace_waiting(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        many = [container(10, held(20), namespace="a", pod=f"p{number}") for number in range(loop.MAX_EVENTS + 5)]
        await node.look(report(*many, container(0, held(1), namespace="bank", pod="quiet")))
        assert "quiet EPCWithoutRequest" in node.reasons()
        assert len(node.api.events) == loop.MAX_EVENTS

    lived(tmp_path, story)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_debug_enclave_is_told_where_the_namespace_does_not_allow_it(tmp_path: Path, *, allowed: bool) -> None:
    async def story(node: Node) -> None:
        labels: JsonObject = {"donjon.dev/debug-enclaves": "allowed" if allowed else "no"}
        node.api.put("/api/v1/namespaces/shop", {"metadata": {"name": "shop", "labels": labels}})
        await node.look(report(container(10, held(5, debug=1))))
        assert node.reasons() == ([] if allowed else ["app-1 DebugEnclave"])

    lived(tmp_path, story)


def test_while_the_meter_is_away_nothing_is_said_of_anybody(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        await node.look(report(container(10, held(20))))
        assert node.metric("meter_up", source="bpf") == 1
        await node.look(None)
        assert (node.metric("meter_up", source=""), node.metric("meter_up", source="bpf")) == (0, None)
        assert (node.metric("epc_containers", code="DJ781"), node.metric("epc_containers", code="DJ780")) == (None, None)
        await node.look(replace(report(container(10, held(20))), node="another"))
        assert node.metric("meter_up", source="") == 0
        assert len(node.api.events) == 1

    lived(tmp_path, story)


def test_a_node_that_evicts_says_so_in_its_condition_for_some_minutes(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        await node.look(report(evicted=0))
        assert not node.state.around.get(METER)
        await node.look(report(evicted=5))
        (first,) = node.state.around[METER]
        assert first.code == "DJ783"
        assert node.state.news.is_set()
        await node.look(report(evicted=9))
        await node.look(None)
        assert node.state.around[METER] == (first,), "the first words stay, and a meter that is away ends nothing"
        node.loop._evicting_until = 0.0
        await node.look(report(evicted=9))
        assert node.state.around[METER] == ()

    lived(tmp_path, story)


@pytest.mark.parametrize("evict", [True, False])
def test_a_pod_is_evicted_only_where_that_is_wanted_and_only_while_the_node_evicts(tmp_path: Path, *, evict: bool) -> None:
    async def story(node: Node) -> None:
        node.api.put(
            "/api/v1/namespaces/shop/pods/app-1",
            {"metadata": {"name": "app-1", "uid": "uid-app-1"}, "spec": {"nodeName": "sgx-1"}, "status": {"phase": "Running"}},
        )
        await node.look(report(container(10, held(20))))
        assert [each.path for each in node.api.requests if "eviction" in each.path] == []
        await node.look(report(container(10, held(20)), evicted=5))
        evictions = [each.path for each in node.api.requests if "eviction" in each.path]
        assert evictions == (["/api/v1/namespaces/shop/pods/app-1/eviction"] if evict else [])

    lived(tmp_path, story, evict=evict)


def test_on_a_node_without_sgx_no_meter_is_missed(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        await node.look(None)
        assert node.metric("meter_up", source="") == 0
        node.state.facts = facts(devices=NO_DEVICES, cpuid=cpuid(sgx=False))
        await node.look(None)
        assert node.metric("meter_up", source="") is None

    lived(tmp_path, story)
