"""Builds the meter's objects and serves until it is told to stop."""

import asyncio
import logging
import os

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.http.probe import ProbeServer, Routes
from donjon.adapters.kubeapi.client import KubeApi, in_cluster
from donjon.adapters.logs import say
from donjon.adapters.metrics.meter import MeterMetrics
from donjon.runtime.life import stop_signal
from donjon.runtime.probes import once_in, routes
from donjon.services.meter.loop import MeterLoop
from donjon.services.meter.pods import PodsLoop
from donjon.services.meter.settings import MeterSettings
from donjon.services.meter.sources import Source
from donjon.services.meter.state import MeterState

LOG = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds without a look after which the meter counts as stuck


def run(settings: MeterSettings) -> None:
    """Run the meter; returns when a signal stops it, raises `DonjonError` when only a new start can help."""
    asyncio.run(_serve(settings))


async def _serve(settings: MeterSettings) -> None:
    state, metrics = MeterState(), MeterMetrics(__version__)
    api, source = KubeApi(in_cluster(os.environ)), Source(settings.host_root)
    http = ProbeServer(_routes(state, metrics), host=settings.listen_host, port=settings.listen_port)
    say(LOG, "meter starts", version=__version__, node=settings.node_name)
    stopped = stop_signal()
    await http.start()
    loops = [
        asyncio.create_task(stopped.wait()),
        asyncio.create_task(MeterLoop(settings, state, metrics, source).run()),
        asyncio.create_task(PodsLoop(settings, state, api).run()),
    ]
    try:
        done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await http.close()
        await api.close()
        say(LOG, "meter stopped", node=settings.node_name)


def _routes(state: MeterState, metrics: MeterMetrics) -> Routes:
    probes = routes(
        metrics.registry,
        alive=lambda: clock.monotonic() - state.heartbeat < PATIENCE,
        unready=lambda: state.unready(clock.monotonic()),
        caveat=lambda: state.caveat(clock.monotonic()),
    )
    return {
        **probes,
        "/metrics": once_in(probes["/metrics"], 1.0, clock.monotonic),
        "/epc": lambda: state.answer(clock.monotonic()),
    }
