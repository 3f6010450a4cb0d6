"""The loop of passes: read, give to pods, tell."""

import asyncio
import logging
from contextlib import suppress

from donjon.adapters import clock
from donjon.adapters.epc.processes import find_reclaimer, processor_seconds
from donjon.adapters.linux.host import read_host
from donjon.adapters.logs import say
from donjon.adapters.metrics.meter import MeterMetrics
from donjon.errors import Unavailable
from donjon.findings import codes
from donjon.formats.words import recite
from donjon.kube.epc_report import EpcReport, encode
from donjon.node.enclaves import EnclavePass
from donjon.node.epc import EpcAccount, NodeMoment, Peaks, account, renew
from donjon.node.facts import derive
from donjon.runtime.trouble import Trouble
from donjon.services.meter.passes import PassThread
from donjon.services.meter.settings import MeterSettings
from donjon.services.meter.sources import HolderSurvey, Source
from donjon.services.meter.state import MeterState

LOG = logging.getLogger(__name__)

PASS_SECONDS = 10.0  # a pass over very many processes takes half a second
LISTING = 10.0  # seconds in which the API server mostly names the pods
MOST_NAMED = 3  # pods in one line
HOST_EVERY = 60.0  # seconds; how much EPC there is changes at a boot
UNLISTED = Unavailable("DJ041", "meter: the API server has not named this node's pods yet")


class MeterLoop:
    """Reads a pass every some seconds, and tells what it found."""

    def __init__(self, settings: MeterSettings, state: MeterState, metrics: MeterMetrics, source: Source) -> None:
        self._settings, self._state, self._metrics, self._source = settings, state, metrics, source
        self._thread = PassThread()
        self._trouble, self._gap = Trouble("the meter's pass"), Trouble("processes that cannot be read")
        self._peaks = Peaks()
        self._host_at = float("-inf")
        self._total: int | None = None
        self._reclaimer: int | None = None
        self._source_told = ""
        self._is_idle = False

    async def run(self) -> None:
        """Look again and again, as long as the meter runs."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._state.is_listed.wait(), LISTING)
        while True:
            began = clock.monotonic()
            await self.look()
            self._state.heartbeat = clock.monotonic()
            await asyncio.sleep(max(self._settings.every - (self._state.heartbeat - began), 0.0))

    async def look(self) -> None:
        """One pass; where it fails, what was said before stays until it is too old."""
        began = clock.monotonic()
        try:
            if not self._state.is_listed.is_set():
                raise UNLISTED
            survey, outcome, text = await self._thread.run(self._count, PASS_SECONDS)
        except Unavailable as error:
            self._fail(error)
            return
        except OSError as error:  # Of /proc, which is the host's; no reason to end.
            self._fail(Unavailable("DJ706", f"meter: {error}"))
            return
        self._trouble.clear()
        self._warn(survey, outcome.report)
        self._tell(outcome, text, clock.monotonic() - began)

    def _count(self) -> tuple[EnclavePass, EpcAccount, bytes]:
        """The report, and as it is written: all beside the loop, which has probes and others to answer meanwhile."""
        reading = self._read()
        outcome = self._account(reading)
        return reading.survey, outcome, encode(outcome.report)

    def _read(self) -> HolderSurvey:
        if clock.monotonic() - self._host_at >= HOST_EVERY:
            self._total = derive(read_host(self._settings.host_root)).epc.value
            self._reclaimer = find_reclaimer()
            self._host_at = clock.monotonic()
        return self._source.read()

    def _account(self, reading: HolderSurvey) -> EpcAccount:
        pods = tuple(self._state.pods.values())  # In one step, since the loop goes on with them.
        moment = NodeMoment(
            node=self._settings.node_name,
            moment=clock.now(),
            total=self._total,
            reclaimer_seconds=None if self._reclaimer is None else processor_seconds(self._reclaimer),
        )
        return account(reading.survey, reading.places, pods, moment, self._peaks)

    def _tell(self, outcome: EpcAccount, text: bytes, seconds: float) -> None:
        report = outcome.report
        self._peaks = renew(self._peaks, report, self._state.pods.values())
        self._state.text, self._state.read_at, self._state.trouble = text, clock.monotonic(), None
        self._metrics.tell(report, len(outcome.strangers), seconds)
        if self._source_told != report.source:
            self._source_told = report.source
            why = "" if self._source.obstacle is None else str(self._source.obstacle)
            say(LOG, "EPC is measured", source=report.source.value, obstacle=why)

    def _warn(self, survey: EnclavePass, report: EpcReport) -> None:
        """Say what keeps autoscalers from taking this node's figures, or a pod's."""
        if survey.unreadable:
            words = f"meter: {survey.unreadable} processes could not be read: {recite(survey.obstacle)}"
            self._gap.report(Unavailable("DJ709", words))
        elif survey.partly:
            names = [f"{each.name.namespace}/{each.name.pod}" for each in report.containers if each.at_least]
            whose = ", ".join(names[:MOST_NAMED]) or "processes that ended"
            self._gap.report(Unavailable("DJ706", f"meter: of {whose} more enclaves are there than are counted of one container"))
        else:
            self._gap.clear()

    def _fail(self, error: Unavailable) -> None:
        self._state.trouble = error
        self._metrics.count_error(error.code)
        if error.code != codes.NO_DRIVER:
            self._trouble.report(error)
        elif not self._is_idle:  # A node without SGX is no trouble.
            self._is_idle = True
            say(LOG, "nothing to measure here", code=error.code, error=error.message)
        if not self._state.is_fresh(clock.monotonic()):
            self._metrics.forget()
