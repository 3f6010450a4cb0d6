"""Builds the webhook's objects and serves until it is told to stop.

To stop means: say that we are not ready, so that no new calls come; answer those that still come, each as the last of its
connection; and only when that had its time, close.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.http.probe import ProbeServer, Routes
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.kubeapi.client import KubeApi, in_cluster
from donjon.adapters.logs import say
from donjon.adapters.metrics.admission import AdmissionMetrics
from donjon.runtime.certificate_settings import SharedCertificate
from donjon.runtime.certificates import FilesLoop, PresentedCertificate, SharedLoop
from donjon.runtime.life import stop_signal
from donjon.runtime.probes import routes
from donjon.services.admission.calls import LIMITS, WebhookCalls
from donjon.services.admission.nodes import Nodes
from donjon.services.admission.registration import MUTATING, VALIDATING, WebhookRegistration
from donjon.services.admission.settings import AdmissionSettings
from donjon.services.admission.webhook import Webhook

if TYPE_CHECKING:
    from donjon.services.admission.enclaves.assembly import EnclaveComponent

LOG = logging.getLogger(__name__)

LAST_ANSWERS = 10.0  # seconds for who is being answered when we close


def run(settings: AdmissionSettings) -> None:
    """Run the webhook; returns when a signal stops it, raises `DonjonError` when only a new start can help."""
    asyncio.run(_until_signalled(settings))


async def _until_signalled(settings: AdmissionSettings) -> None:
    # With another program's certificate it also runs outside a cluster, where it knows no nodes to warn by.
    inside = isinstance(settings.certificate, SharedCertificate) or "KUBERNETES_SERVICE_HOST" in os.environ
    api = KubeApi(in_cluster(os.environ)) if inside else None
    try:
        await serve(settings, api, stop_signal())
    finally:
        if api is not None:
            await api.close()


async def serve(settings: AdmissionSettings, api: KubeApi | None, stopped: asyncio.Event) -> None:
    """Serve until it is to be stopped, and then as long as somebody still asks."""
    metrics = AdmissionMetrics(__version__)
    presented = PresentedCertificate(metrics, clock.moment)
    nodes = None if api is None else Nodes(api)
    webhook = Webhook(settings.rules, metrics, clock.monotonic, lambda: None if nodes is None else nodes.largest)
    component = _component(settings, api, metrics)
    calls = WebhookCalls(webhook, None if component is None else component.gate)
    host, port = settings.listen
    server = GuardedServer(calls, presented.context, host=host, port=port, limits=LIMITS, error_response=webhook.turn_away)
    metrics.count_connections(lambda: server.connections)
    unready = (lambda: "") if component is None else component.unready
    probes = ProbeServer(_probes(metrics, presented, server, stopped, unready), host=settings.probes[0], port=settings.probes[1])
    say(LOG, "webhook starts", version=__version__)
    await probes.start()
    loop = asyncio.create_task(_certificates(settings, presented, api, metrics))
    beside = [] if nodes is None else [nodes.run()]
    beside += [] if component is None else component.loops()
    tasks = [asyncio.create_task(each) for each in beside]
    try:
        await _first(loop, presented.there, stopped)
        if presented.there.is_set():
            await server.start()
            await _first(loop, stopped)
            server.leave()
            await asyncio.sleep(settings.drain)
            await server.close(LAST_ANSWERS)
    finally:
        for task in (loop, *tasks):
            task.cancel()
        await asyncio.gather(loop, *tasks, return_exceptions=True)
        if component is not None:
            await component.close()
        await server.close(0)
        await probes.close()
        say(LOG, "webhook stopped")


def _component(settings: AdmissionSettings, api: KubeApi | None, metrics: AdmissionMetrics) -> "EnclaveComponent | None":
    if settings.enclaves is None or api is None:
        return None
    from donjon.services.admission.enclaves.assembly import EnclaveComponent  # noqa: PLC0415 - libraries for it alone.

    return EnclaveComponent(settings.enclaves, api, metrics)


def _probes(
    metrics: AdmissionMetrics,
    presented: PresentedCertificate,
    server: GuardedServer,
    stopped: asyncio.Event,
    ignorant: Callable[[], str],
) -> Routes:
    def unready() -> str:
        if stopped.is_set():
            return "stopping"
        if not presented.trusted:
            why = "" if presented.trouble is None else f" [{presented.trouble.code}]"
            return f"no certificate yet that the API server trusts{why}; the log says why"
        return ignorant() if server.listening else "not listening yet"

    metrics.tells_readiness(lambda: not unready())
    return routes(metrics.registry, unready=unready, caveat=presented.caveat)


async def _first(loop: asyncio.Task[None], *events: asyncio.Event) -> None:
    """Wait for the first of the events; should the loop end instead, its error is ours."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait([loop, *waiting], return_when=asyncio.FIRST_COMPLETED)
        if loop.done():
            await loop
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _certificates(
    settings: AdmissionSettings, presented: PresentedCertificate, api: KubeApi | None, metrics: AdmissionMetrics
) -> None:
    if isinstance(settings.certificate, SharedCertificate) and api is not None:
        kinds = (MUTATING,) if settings.enclaves is None else (MUTATING, VALIDATING)
        registration = WebhookRegistration(api, settings.configuration, kinds)
        await SharedLoop(settings.certificate, presented, api, registration, metrics=metrics, clock=clock.moment).run()
    elif not isinstance(settings.certificate, SharedCertificate):
        await FilesLoop(settings.certificate, presented).run()
