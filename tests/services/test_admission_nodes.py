"""The largest node, followed by a watch: what joins, changes, goes, and an API server that is away."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.adapters.fakeapi import FakeApi

from donjon.adapters.kubeapi.client import KubeApi
from donjon.admission.nodes import LargestNode
from donjon.formats.json import JsonObject
from donjon.services.admission import nodes
from donjon.services.admission.nodes import Nodes

SOON = 5.0


def node(name: str, epc: str) -> JsonObject:
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "2", "sgx.intel.com/epc": epc}}}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not holds():  # noqa: ASYNC110 - what is waited for is another loop's state.
            await asyncio.sleep(0.01)


def test_the_largest_node_is_known_as_nodes_come_change_and_go(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "AGAIN", 0.1)

    async def story() -> None:
        api = FakeApi()
        await api.start()
        client = KubeApi(api.access(short))
        known = Nodes(client)
        following = asyncio.create_task(known.run())
        try:
            api.put("/api/v1/nodes/a", node("a", "1Gi"))
            await until(lambda: known.largest == LargestNode(name="a", epc=1 << 30, nodes_seen=1))
            api.put("/api/v1/nodes/b", node("b", "8Gi"))
            await until(lambda: known.largest == LargestNode(name="b", epc=8 << 30, nodes_seen=2))
            api.put("/api/v1/nodes/a", node("a", "16Gi"))
            await until(lambda: known.largest == LargestNode(name="a", epc=16 << 30, nodes_seen=2))
            api.delete("/api/v1/nodes/a")
            await until(lambda: known.largest == LargestNode(name="b", epc=8 << 30, nodes_seen=1))
            await api.stop()
            await until(lambda: known.largest is None)
            await api.start()
            await until(lambda: known.largest == LargestNode(name="b", epc=8 << 30, nodes_seen=1))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await client.close()
            await api.stop()

    asyncio.run(story())
