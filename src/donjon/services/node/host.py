"""The loop over the host: devices several times a second, everything else now and then; what changed is told once."""

import asyncio
import logging

from donjon.adapters import clock
from donjon.adapters.linux.host import read_devices, read_host
from donjon.adapters.logs import say
from donjon.adapters.metrics.node import NodeMetrics
from donjon.findings import Finding
from donjon.node.facts import NodeFacts, derive
from donjon.node.offer import renew
from donjon.node.readiness import Readiness, assess
from donjon.node.readings import DeviceNode
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import AgentState

LOG = logging.getLogger(__name__)

LOOK_EVERY = 0.5  # seconds
READ_ALL_EVERY = 10.0


class HostLoop:
    """Keeps facts, readiness and offer of the state up to date."""

    def __init__(self, settings: NodeSettings, state: AgentState, metrics: NodeMetrics) -> None:
        self._settings = settings
        self._state = state
        self._metrics = metrics
        self._devices: tuple[DeviceNode, ...] = ()
        self._read_at = float("-inf")
        self._around: tuple[Finding, ...] = ()
        self._last_verdict: tuple[tuple[str, str, str], ...] | None = None

    async def look(self) -> None:
        """One look: everything is read again when a device changed or some seconds went by."""
        devices = read_devices(self._settings.host_root)
        now = clock.monotonic()
        around = tuple(finding for findings in self._state.around.values() for finding in findings)
        if (devices, around) == (self._devices, self._around) and now - self._read_at < READ_ALL_EVERY:
            return
        self._devices, self._around, self._read_at = devices, around, now
        facts = derive(await asyncio.to_thread(read_host, self._settings.host_root))
        self._take(facts, assess(facts))

    def _take(self, facts: NodeFacts, readiness: Readiness) -> None:
        """Make the new facts the state's own, and say what changed."""
        state = self._state
        # What stands around the agent takes nothing of the offer away: a kubelet that restarts, which may be the mend, refuses
        # running pods the EPC that their node does not offer.
        offer = renew(state.offer, facts, readiness, self._settings.offer)
        readiness = Readiness(findings=(*readiness.findings, *self._around))
        changed = (facts, readiness, offer) != (state.facts, state.readiness, state.offer)
        state.facts, state.readiness, state.offer = facts, readiness, offer
        if not changed:
            return
        self._metrics.tell_offer(offer)
        self._metrics.tell_node(
            driver="" if facts.driver.value is None else str(facts.driver.value.kind),
            capacity=facts.epc.value or 0,
            ready=readiness.ready,
            codes=[(finding.code, str(finding.severity)) for finding in readiness.findings],
        )
        self._say(facts, readiness)
        state.tell()

    def _say(self, facts: NodeFacts, readiness: Readiness) -> None:
        """One line for a verdict that differs from the last one that was logged."""
        verdict = tuple((finding.code, finding.subject, finding.observation) for finding in readiness.findings)
        if verdict == self._last_verdict:
            return
        self._last_verdict = verdict
        if not facts.has_sgx:
            say(LOG, "no SGX here", node=self._settings.node_name, source=facts.cpu.source)
            return
        say(
            LOG,
            "ready" if readiness.ready else "not ready",
            level=logging.INFO if readiness.ready else logging.WARNING,
            node=self._settings.node_name,
            epc=self._state.offer.epc,
            findings=[finding.sentence() for finding in readiness.findings],
        )
