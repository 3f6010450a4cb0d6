"""A node agent with everything around it: a stand-in host, a fake kubelet and a fake API server, in one short folder.

The loops are those of `donjon.services.node.run`; only what a pod finds around itself (account, signals) is put together here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.fakeapi import FakeApi
from tests.adapters.fakekubelet import FakeKubelet
from tests.adapters.trees import written
from tests.node.patches import strategically_merged

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.metrics.node import NodeMetrics
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import ENCLAVE, EPC, PROVISION
from donjon.node.offer import OfferSettings
from donjon.node.registration import stated_condition
from donjon.services.node.devices import PluginLoop
from donjon.services.node.host import HostLoop
from donjon.services.node.nodeobject import NodeObjectLoop
from donjon.services.node.rights import RightsLook
from donjon.services.node.run import _look
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import AgentState
from donjon.services.node.truth import TruthLoop
from donjon.simulation import host

PROMISED = 5.0  # seconds to be back at the truth, whatever happened
NODE = "/api/v1/nodes/sgx-1"
GIB = 1 << 30


def bare_node(**annotations: str) -> JsonObject:
    """A node as its kubelet registers it."""
    return {
        "metadata": {"name": "sgx-1", "uid": "n1", "labels": {"kubernetes.io/os": "linux"}, "annotations": {**annotations}},
        "status": {"capacity": {"cpu": "8"}, "allocatable": {"cpu": "8"}, "conditions": [{"type": "Ready", "status": "True"}]},
    }


@dataclass
class World:
    """What a test sees and touches."""

    folder: Path
    api: FakeApi
    kubelet: FakeKubelet
    settings: NodeSettings
    state: AgentState = field(default_factory=AgentState)
    metrics: NodeMetrics = field(default_factory=lambda: NodeMetrics("test"))
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.settings.host_root

    @property
    def node(self) -> JsonObject:
        return self.api.objects[NODE]

    def epc(self) -> tuple[Json, Json]:
        """Capacity and allocatable of EPC, as the node object says them."""
        return at(self.node, "status", "capacity", EPC), at(self.node, "status", "allocatable", EPC)

    def condition(self) -> Json:
        return stated_condition(self.node).get("status")

    def is_registered(self) -> bool:
        """Whether the kubelet that is there now lists healthy devices of both resources."""
        return all(self.kubelet.health(resource) == {"Healthy"} for resource in (ENCLAVE, PROVISION))

    def is_true(self, epc: int = 8 * GIB) -> bool:
        return self.epc() == (str(epc), str(epc)) and self.condition() == ("True" if epc else "False")

    def events(self, reason: str) -> list[JsonObject]:
        return [event for event in self.api.events if event.get("reason") == reason]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"donjon_node_{name}", labels)

    async def until(self, condition: Callable[[], bool], *, within: float = PROMISED) -> None:
        """Wait for it; a `TimeoutError` is a promise that was not kept, and a loop that ends is a failure at once."""
        async with asyncio.timeout(within):
            while not condition():
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)

    async def new_kubelet(self) -> None:
        """The kubelet's process ends and another starts: every socket of its folder is wiped."""
        await self.kubelet.stop()
        self.kubelet = FakeKubelet(self.kubelet.folder, held=self.kubelet.held)
        await self.kubelet.start()


@asynccontextmanager
async def world(
    folder: Path,
    *,
    machine: str = "dc2ds-v3",
    offer: OfferSettings | None = None,
    node: JsonObject | None = None,
    plugin_folder: Path | None = None,
) -> AsyncIterator[World]:
    """An agent that runs in its world until the block ends; a loop of its that fails is a failure of the test."""
    api, kubelet = FakeApi(), FakeKubelet(folder / "k")
    root = written(folder / "h", host.host(machine))
    await api.start()
    await kubelet.start()
    api.put(NODE, node or bare_node())
    settings = NodeSettings(
        node_name="sgx-1",
        host_root=root,
        kubelet_dir=folder / "k",
        plugin_folder=plugin_folder or kubelet.plugins,
        listen_host="127.0.0.1",
        listen_port=0,
        offer=offer or OfferSettings(),
    )
    here = World(folder=folder, api=api, kubelet=kubelet, settings=settings)
    client = KubeApi(api.access(folder))
    plugin = PluginLoop(settings, here.state, here.metrics)
    rights = RightsLook(settings, here.state, here.metrics, client)
    here.tasks = [
        asyncio.create_task(_look(HostLoop(settings, here.state, here.metrics), plugin, rights, here.state)),
        asyncio.create_task(NodeObjectLoop(settings, here.state, here.metrics, client).run()),
        asyncio.create_task(TruthLoop(settings, here.metrics, client).run()),
    ]
    try:
        yield here
        for task in here.tasks:
            if task.done():
                task.result()
    finally:
        for task in here.tasks:
            task.cancel()
        await asyncio.gather(*here.tasks, return_exceptions=True)
        await plugin.close()
        await client.close()
        await api.stop()
        await here.kubelet.stop()
        await asyncio.sleep(0.02)  # Connections that were cut are told so at the next turn of the loop.


Story = Callable[[World], Awaitable[None]]


def told(
    story: Story, folder: Path, *, machine: str = "dc2ds-v3", offer: OfferSettings | None = None, node: JsonObject | None = None
) -> None:
    async def run() -> None:
        async with world(folder, machine=machine, offer=offer, node=node) as here:
            await story(here)

    asyncio.run(run())


async def settled(here: World) -> None:
    await here.until(lambda: here.is_registered() and here.is_true())


def overwritten(node: JsonObject, amount: str) -> JsonObject:
    return strategically_merged(node, {"status": {"capacity": {EPC: amount}, "allocatable": {EPC: amount}}})
