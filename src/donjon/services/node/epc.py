"""The loop over what our node's meter says: containers that hold more than they asked for, and a node that evicts.

The meter is a container beside the agent's, with powers that the agent has not; the agent judges what it says, and tells it.
"""

import asyncio
import logging

from donjon.adapters import clock
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.logs import say
from donjon.adapters.meters.client import MeterClient
from donjon.adapters.metrics.node import NodeMetrics
from donjon.errors import Unavailable
from donjon.formats.json import at
from donjon.kube.epc_findings import ContainerFinding, evicting, in_turn, judge_containers
from donjon.kube.epc_report import EpcReport, PodContainer
from donjon.kube.names import DEBUG_ALLOWED, LABEL_DEBUG
from donjon.runtime.trouble import Trouble
from donjon.services.node.events import announce, event
from donjon.services.node.eviction import Evictor
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import METER, AgentState

LOG = logging.getLogger(__name__)

FIRST = 10.0  # seconds until the first question: the meter beside us starts with us
ASK_EVERY = 15.0  # as often as the meter counts
PRESSURE_LASTS = 300.0  # seconds after the last eviction, so that a condition does not come and go
TELL_AGAIN = 3000.0  # seconds; the API server forgets an Event after an hour
NEW_AFTER = (
    300.0  # seconds after which what was over is new when it is true again; a tenant can have it come and go at every look
)
MAX_EVENTS = 20  # of one look; those left are told at the next ones


class EpcLoop:
    """Asks the meter, and tells what is to be said of its report."""

    def __init__(self, settings: NodeSettings, state: AgentState, metrics: NodeMetrics, api: KubeApi) -> None:
        self._settings, self._state, self._metrics, self._api = settings, state, metrics, api
        self._meter = MeterClient()
        self._latest: EpcReport | None = None
        self._evicting_until = 0.0
        self._events: dict[tuple[PodContainer, str], float] = {}  # when each was last told, by container and code
        self._evictor = Evictor(settings.node_name, api) if settings.evict_over_request else None
        self._trouble = Trouble("the node's meter")

    async def run(self) -> None:
        """Ask again and again, as long as the agent runs."""
        try:
            await asyncio.sleep(FIRST)
            while True:
                await self.look()
                await asyncio.sleep(ASK_EVERY)
        finally:
            await self._meter.close()

    async def look(self) -> None:
        """One look; what is unknown is told of nobody, and a node without SGX has nothing to be counted."""
        if self._state.facts is not None and not self._state.facts.has_sgx:
            self._metrics.forget_meter()
            return
        try:
            report = await self._meter.read(self._settings.node_name, self._settings.meter)
        except Unavailable as error:
            self._trouble.report(error)
            self._metrics.tell_no_meter()
            self._take_pressure(None)
            return
        self._trouble.clear()
        findings = judge_containers(report, await self._debug_namespaces(report))
        self._metrics.tell_meter(report.source, [each.finding.code for each in findings])
        is_evicting = self._take_pressure(report)
        await self._tell(findings)
        if is_evicting and self._evictor is not None:
            await self._evictor.relieve(report)

    async def _debug_namespaces(self, report: EpcReport) -> frozenset[str] | None:
        """Which namespaces may have enclaves in debug mode; asked for only where there is one."""
        if not any(each.use.debug for each in report.containers):
            return frozenset()
        try:
            names = await self._api.all(
                "/api/v1/namespaces", lambda item: str(at(item, "metadata", "name")), labels=f"{LABEL_DEBUG}={DEBUG_ALLOWED}"
            )
        except Unavailable as error:
            say(LOG, "namespaces that allow debug enclaves are unknown", level=logging.WARNING, error=str(error))
            return None
        return frozenset(names)

    def _take_pressure(self, report: EpcReport | None) -> bool:
        """Whether the node evicts now; it stands in its condition for some minutes, by its first words: so it is written once."""
        earlier, self._latest = self._latest, report
        finding = evicting(report, earlier) if report is not None and earlier is not None else None
        now = clock.monotonic()
        if finding is not None:
            self._evicting_until = now + PRESSURE_LASTS
        before = self._state.around.get(METER, ())
        lasts = now < self._evicting_until
        after = (before or ((finding,) if finding is not None else ())) if lasts else ()
        if before != after:
            self._state.around[METER] = after
            words = [each.sentence() for each in after]
            say(LOG, "the node evicts EPC" if after else "the node evicts no EPC any more", findings=words)
            self._state.tell()
        return finding is not None

    async def _tell(self, findings: tuple[ContainerFinding, ...]) -> None:
        now = clock.monotonic()
        keys = {(each.name, each.finding.code) for each in findings}
        lasts = {True: TELL_AGAIN, False: NEW_AFTER}
        self._events = {key: moment for key, moment in self._events.items() if now - moment < lasts[key in keys]}
        due = [each for each in findings if (each.name, each.finding.code) not in self._events]
        for each in in_turn(due)[:MAX_EVENTS]:
            self._events[each.name, each.finding.code] = now
            await self._announce(each)

    async def _announce(self, each: ContainerFinding) -> None:
        name = each.name
        say(
            LOG,
            "to be said of a container",
            level=logging.WARNING,
            pod=f"{name.namespace}/{name.pod}",
            finding=each.finding.sentence(),
        )
        body = event(
            kind="Pod",
            namespace=name.namespace,
            name=name.pod,
            uid=name.pod_uid,
            reason=each.reason,
            message=each.finding.sentence(),
            warning=True,
            moment=clock.now(),
            host=self._settings.node_name,
        )
        await announce(self._api, body)
