"""Builds the node agent's objects and serves until it is told to stop. A stopping agent takes nothing away."""

import asyncio
import logging
import os

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.http.probe import ProbeServer
from donjon.adapters.kubeapi.client import KubeApi, in_cluster
from donjon.adapters.logs import say
from donjon.adapters.metrics.node import NodeMetrics
from donjon.admission.policies.guard import GuardExtent
from donjon.runtime.life import stop_signal
from donjon.runtime.patience import beside
from donjon.runtime.probes import routes
from donjon.services.node.devices import PluginLoop
from donjon.services.node.epc import EpcLoop
from donjon.services.node.guard import GuardLoop
from donjon.services.node.host import LOOK_EVERY, HostLoop
from donjon.services.node.nodeobject import NodeObjectLoop
from donjon.services.node.rights import RightsLook
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import AgentState
from donjon.services.node.truth import TruthLoop

LOG = logging.getLogger(__name__)

PATIENCE = 15.0  # seconds without a look after which the agent counts as stuck


def run(settings: NodeSettings) -> None:
    """Run the agent; returns when a signal stops it, raises `DonjonError` when only a new start can help."""
    asyncio.run(_serve(settings))


async def _serve(settings: NodeSettings) -> None:
    state, metrics = AgentState(), NodeMetrics(__version__)
    api = KubeApi(in_cluster(os.environ))
    host, plugin = HostLoop(settings, state, metrics), PluginLoop(settings, state, metrics)
    answers = routes(
        metrics.registry,
        alive=lambda: state.is_alive(clock.monotonic, PATIENCE),
        unready=state.trouble,
    )
    http = ProbeServer(answers, host=settings.listen_host, port=settings.listen_port)
    say(LOG, "node agent starts", version=__version__, node=settings.node_name)
    stopped = stop_signal()
    await http.start()
    loops = [
        asyncio.create_task(stopped.wait()),
        asyncio.create_task(_look(host, plugin, RightsLook(settings, state, metrics, api), state)),
        asyncio.create_task(NodeObjectLoop(settings, state, metrics, api).run()),
        asyncio.create_task(beside("the look at pods", TruthLoop(settings, metrics, api).run)),
    ]
    if settings.chart.extent is not GuardExtent.NONE:
        guard = GuardLoop(settings, state, metrics, api)
        loops.append(asyncio.create_task(beside("the look at Donjon's policies", guard.run)))
    if settings.meter:
        loops.append(asyncio.create_task(beside("the look at the meter", EpcLoop(settings, state, metrics, api).run)))
    try:
        done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await plugin.close()
        await http.close()
        await api.close()
        say(LOG, "node agent stopped", node=settings.node_name)


async def _look(host: HostLoop, plugin: PluginLoop, rights: RightsLook, state: AgentState) -> None:
    while True:
        await host.look()
        await plugin.look()
        rights.look()
        state.heartbeat = clock.monotonic()
        await asyncio.sleep(LOOK_EVERY)
