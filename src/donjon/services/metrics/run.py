"""Builds the metrics server's objects and serves until it is told to stop, as the webhook does."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from typing import Any

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.http.probe import ProbeServer, Routes
from donjon.adapters.http.public import GuardedServer
from donjon.adapters.http.tls import Clients
from donjon.adapters.keda.scaler import ScalerServer
from donjon.adapters.kubeapi.client import KubeApi, in_cluster
from donjon.adapters.logs import say
from donjon.adapters.metrics.metricsapi import MetricsApiMetrics
from donjon.metricsapi.discovery import Group
from donjon.runtime.certificates import PresentedCertificate, SharedLoop
from donjon.runtime.life import stop_signal
from donjon.runtime.probes import routes
from donjon.services.metrics.apiservices import MetricsRegistration, release
from donjon.services.metrics.application import LIMITS, Knowledge, MetricsApi
from donjon.services.metrics.frontproxy import FrontProxyWatch
from donjon.services.metrics.meters import Meters
from donjon.services.metrics.pods import Pods
from donjon.services.metrics.rights import AccessReviews
from donjon.services.metrics.scaler import EpcScaler
from donjon.services.metrics.settings import MetricsSettings
from donjon.services.metrics.upstream import MetricsServer

LOG = logging.getLogger(__name__)

LAST_ANSWERS = 10.0  # seconds for who is being answered when we close


def run(settings: MetricsSettings) -> None:
    """Serve; returns when a signal stops it, raises `DonjonError` when only a new start can help."""
    asyncio.run(_until_signalled(settings))


def hand_back(settings: MetricsSettings) -> str:
    """Have metrics-server's API lead to it again; says what was done."""

    async def once() -> str:
        api = KubeApi(in_cluster(os.environ))
        try:
            return await release(api, settings.own)
        finally:
            await api.close()

    return asyncio.run(once())


async def _until_signalled(settings: MetricsSettings) -> None:
    api = KubeApi(in_cluster(os.environ))
    try:
        await Replica(settings, api).serve(stop_signal())
    finally:
        await api.close()


class Replica:
    """One replica of the metrics server."""

    def __init__(self, settings: MetricsSettings, api: KubeApi) -> None:
        self._settings = settings
        self._metrics = metrics = MetricsApiMetrics(__version__)
        self._presented = PresentedCertificate(metrics, clock.moment, self._clients)
        self._registration = registration = MetricsRegistration(
            api, settings.own, settings.metrics_server, settings.groups, metrics
        )
        self._pods = Pods(api, metrics)
        self._meters = Meters(self._pods, settings.namespace, settings.every, metrics=metrics)
        self._proxy = FrontProxyWatch(api, clock.moment, self._renew)
        account = (settings.namespace, settings.reader)
        self._upstream = MetricsServer(
            api, settings.metrics_server, account, trust=registration.trust_before, seconds=clock.monotonic
        )
        application = MetricsApi(
            self._proxy,
            AccessReviews(api, clock.monotonic),
            self._upstream if Group.RESOURCE in settings.groups else None,
            Knowledge(self._pods, self._meters, clock.moment),
            metrics=metrics,
            seconds=clock.monotonic,
        )
        self._server = GuardedServer(
            application,
            self._presented.context,
            host=settings.listen[0],
            port=settings.listen[1],
            limits=LIMITS,
            error_response=application.turn_away,
        )
        self._certificates = SharedLoop(
            settings.certificate, self._presented, api, registration, metrics=metrics, clock=clock.moment
        )
        answers = EpcScaler(self._pods, self._meters, clock.moment)
        self._scaler = settings.scaler and ScalerServer(answers, settings.scaler, count=metrics.count_call)
        metrics.count_connections(lambda: self._server.connections)

    async def serve(self, stopped: asyncio.Event) -> None:
        """Serve until it is to be stopped, and then as long as somebody still asks."""
        host, port = self._settings.probes
        probes = ProbeServer(self._probes(stopped), host=host, port=port)
        say(LOG, "metrics server starts", version=__version__)
        await probes.start()
        ending = asyncio.create_task(stopped.wait())
        loops = [asyncio.create_task(each) for each in self._loops()]
        try:
            await asyncio.wait([ending, *loops], return_when=asyncio.FIRST_COMPLETED)
            for loop in loops:
                if loop.done():
                    await loop  # Its error is ours.
            self._server.leave()
            await asyncio.sleep(self._settings.drain if self._server.listening else 0)
            await self._server.close(LAST_ANSWERS)
        finally:
            for task in (ending, *loops):
                task.cancel()
            await asyncio.gather(ending, *loops, return_exceptions=True)
            await self._server.close(0)
            if self._scaler is not None:
                await self._scaler.close()
            await self._meters.close()
            await self._upstream.close()
            await probes.close()
            say(LOG, "metrics server stopped")

    def _loops(self) -> tuple[Coroutine[Any, Any, None], ...]:
        of_apis = (self._certificates.run(), self._proxy.run(), self._listen()) if self._settings.groups else ()
        of_keda = (self._listen_to_keda(self._scaler),) if self._scaler else ()
        return (self._pods.run(), self._meters.run(), *of_apis, *of_keda)

    async def _listen(self) -> None:
        """Listen once there is something to show, and to know."""
        for event in (self._presented.there, self._proxy.there, self._pods.there, self._meters.there):
            await event.wait()
        await self._server.start()
        await asyncio.Event().wait()

    async def _listen_to_keda(self, scaler: ScalerServer) -> None:
        for event in (self._pods.there, self._meters.there):
            await event.wait()
        await scaler.start()
        await asyncio.Event().wait()

    def _renew(self) -> None:
        self._server.renew()

    def _clients(self) -> Clients:
        return self._proxy.clients

    def _listens(self) -> bool:
        of_apis = self._server.listening or not self._settings.groups
        return of_apis and (self._scaler is None or self._scaler.is_listening)

    def _caveat(self) -> str:
        absence = "" if self._registration.absence is None else str(self._registration.absence)
        return "; ".join(filter(None, (self._presented.caveat(), self._upstream.caveat(), absence)))

    def _thing(self, name: str) -> str:
        trouble = self._presented.trouble if name == "certificate" else None
        return name if trouble is None else f"{name} [{trouble.code}]"

    def _probes(self, stopped: asyncio.Event) -> Routes:
        waits = {"pods": self._pods.there, "meters": self._meters.there}
        if self._settings.groups:
            waits |= {"certificate": self._presented.there, "front proxy": self._proxy.there}

        def unready() -> str:
            if stopped.is_set():
                return "stopping"
            if missing := [name for name, event in waits.items() if not event.is_set()]:
                return f"not known yet: {', '.join(map(self._thing, missing))}; the log says why"
            return "" if self._listens() else "not listening yet"

        self._metrics.tells_readiness(lambda: not unready())
        return routes(self._metrics.registry, unready=unready, caveat=self._caveat)
