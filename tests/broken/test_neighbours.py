"""Kubelets and API servers that are broken in one way each, and an agent that goes on.

Clauses are those of "Bad input": a kubelet that answers nonsense or nothing, an API server away for a minute: an error with a
code, never a crash loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.adapters.fakeapi import FakeApi
from tests.adapters.fakekubelet import FakeKubelet
from tests.broken import warp
from tests.node.world import facts
from tests.services.agent import NODE, bare_node

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.kubelet import channel
from donjon.adapters.metrics.node import NodeMetrics
from donjon.errors import Unavailable
from donjon.formats.json import at
from donjon.kube.names import EPC
from donjon.node.offer import NOTHING, OfferSettings, renew
from donjon.node.readiness import assess
from donjon.services.node.devices import PluginLoop
from donjon.services.node.nodeobject import NodeObjectLoop
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import AgentState
from donjon.services.node.truth import TruthLoop

GIB = 1 << 30


def settings(folder: Path) -> NodeSettings:
    return NodeSettings(
        node_name="sgx-1",
        host_root=folder,
        kubelet_dir=folder,
        plugin_folder=folder / "device-plugins",
        listen_host="127.0.0.1",
        listen_port=0,
    )


def state() -> AgentState:
    """That of an agent which has read a healthy host."""
    known = facts()
    readiness = assess(known)
    return AgentState(facts=known, readiness=readiness, offer=renew(NOTHING, known, readiness, OfferSettings()))


Manner = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff" * 4096)
    await writer.drain()
    writer.close()


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)
    writer.close()


async def goodbye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def looks(loop: PluginLoop, count: int) -> None:
    for _ in range(count):
        await loop.look()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("manner", [nonsense, nothing, goodbye], ids=lambda manner: manner.__name__)
def test_a_kubelet_that_answers_nonsense_or_nothing(
    short: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, manner: Manner
) -> None:
    """kubelet.sock is served by something else. Refused with DJ030, told once a resource; the real kubelet is registered with."""
    monkeypatch.setattr(channel, "TIMEOUT", 0.2)

    async def story() -> None:
        folder = short / "device-plugins"
        folder.mkdir()
        now = state()
        loop = PluginLoop(settings(short), now, NodeMetrics("test"))
        async with await asyncio.start_unix_server(manner, folder / "kubelet.sock"):
            await looks(loop, 30)
        assert set(now.registered.values()) == {False}
        kubelet = FakeKubelet(short)
        await kubelet.start()
        await looks(loop, 15)
        assert set(now.registered.values()) == {True}
        await loop.close()
        await kubelet.stop()
        await asyncio.sleep(0.05)

    asyncio.run(story())
    troubles = [record.__dict__["fields"]["error"] for record in caplog.records if record.levelno == logging.WARNING]
    assert all("[DJ030]" in trouble for trouble in troubles)
    assert 2 <= len(troubles) <= 8, "told when it changes, not at every try"


def test_a_plugin_folder_that_is_not_there(short: Path) -> None:
    """The kubelet's folder is missing. Refused with DJ031 at the first look: only a new start of the container brings it."""

    async def story() -> None:
        with pytest.raises(Unavailable) as refused:
            await PluginLoop(settings(short), state(), NodeMetrics("test")).look()
        assert refused.value.code == "DJ031"

    asyncio.run(story())


def test_a_folder_where_our_socket_should_be(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    """donjon-enclave.sock is a folder. Refused with DJ031, told once, tried again: once it is gone, the device is registered."""

    async def story() -> None:
        kubelet = FakeKubelet(short)
        await kubelet.start()
        in_the_way = kubelet.plugins / "donjon-enclave.sock"
        in_the_way.mkdir()
        now = state()
        loop = PluginLoop(settings(short), now, NodeMetrics("test"))
        await looks(loop, 10)
        assert sorted(now.registered.values()) == [False, True]
        in_the_way.rmdir()
        await looks(loop, 10)
        assert set(now.registered.values()) == {True}
        await loop.close()
        await kubelet.stop()
        await asyncio.sleep(0.05)

    asyncio.run(story())
    troubles = [record.__dict__["fields"]["error"] for record in caplog.records if record.levelno == logging.WARNING]
    assert len(troubles) == 1
    assert "[DJ031]" in troubles[0]


def test_an_api_server_that_is_away_for_a_minute(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody listens for 60 s. Refused with DJ041, told once, tried again about every two seconds; then right within five."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, warp.WarpLoop)
        api = FakeApi()
        await api.start()
        api.put(NODE, bare_node())
        client = KubeApi(api.access(short))
        now = state()
        metrics = NodeMetrics("test")
        tasks = [
            asyncio.create_task(NodeObjectLoop(settings(short), now, metrics, client).run()),
            asyncio.create_task(TruthLoop(settings(short), metrics, client).run()),
        ]
        while not now.node_is_true:  # noqa: ASYNC110 - the loop under test says it so.
            await asyncio.sleep(0.02)
        await api.stop()
        tries = 0
        connect = loop.sock_connect

        async def counted(sock: object, address: object) -> None:
            nonlocal tries
            tries += 1
            await connect(sock, address)  # type: ignore[arg-type]  # Handed through as it came.

        loop.sock_connect = counted  # type: ignore[method-assign]  # The loop is the test's own.
        began = loop.time()
        await loop.pass_by(60)
        assert 60 <= loop.time() - began < 75
        assert not any(task.done() for task in tasks)
        assert 40 <= tries <= 100, "two watches, each tried about every two seconds at most"
        api.put(NODE, bare_node())
        await api.start()
        async with asyncio.timeout(5):
            while at(api.objects[NODE], "status", "capacity", EPC) != str(8 * GIB):  # noqa: ASYNC110 - as above.
                await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.close()
        await api.stop()
        await asyncio.sleep(0.05)

    caplog.set_level(logging.INFO)
    warp.run(story())
    lines = [record.message for record in caplog.records]
    assert 1 <= lines.count("watch of the node object: trying again") <= 5, "told when the trouble changes, not at every try"
    assert lines.count("watch of the node object: works again") == 1
