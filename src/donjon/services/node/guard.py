"""The loop over what the chart put into the API server: each object there, as it was printed, and our own leash felt.

Every agent looks, so what a look costs the API server is bounded for all of them together: in a large cluster each looks the more
seldom the more of them there are, and those whose turn it is say it for the others.

An upgrade gives agents and objects other values, not at one moment: Helm writes the policies last. An agent that its DaemonSet is
about to replace says nothing, one that has just begun takes its time, and a gap counts when two looks in a row agree.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.kubeapi.client import ApiRefusal, KubeApi
from donjon.adapters.logs import say
from donjon.adapters.metrics.node import NodeMetrics
from donjon.admission.policies.gaps import gap, idle_leash
from donjon.admission.policies.guard import AGENT, LEASH, chart_values, guard, path
from donjon.errors import Unavailable
from donjon.findings import Finding
from donjon.findings.codes import GUARD_UNKNOWN
from donjon.formats.json import JsonObject, at
from donjon.kube.names import EVENT_GUARD_GAP, EVENT_GUARD_WHOLE
from donjon.runtime.trouble import Trouble
from donjon.services.node.events import announce, of_node
from donjon.services.node.leash import is_leashed
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import AgentState

LOG = logging.getLogger(__name__)

LOOK_EVERY = 25.0  # seconds at most between two looks of as many agents as are enough
LOOK_AGAIN = 5.0  # seconds until a gap is looked at once more, before it is believed
LEAST = 0.6  # of LOOK_EVERY; between that and all of it each agent chooses at random, so that they do not look at once
ENOUGH = 100  # agents that look so often; of more, each looks the more seldom


class GuardLoop:
    """Looks after what the chart put into the API server, and tells of gaps."""

    def __init__(self, settings: NodeSettings, state: AgentState, metrics: NodeMetrics, api: KubeApi) -> None:
        self._settings, self._state, self._metrics, self._api = settings, state, metrics, api
        self._guard = guard(settings.chart)
        self._node = f"/api/v1/nodes/{settings.node_name}"
        self._agents = 1
        self._suspects: dict[str, Finding] = {}  # by object, at the last look
        self._gaps: dict[str, Finding] = {}  # those of which the look before said so, too
        self._trouble = Trouble("the look at Donjon's policies")

    async def run(self) -> None:
        """Look again and again, as long as the agent runs."""
        await self._try(self._count)
        pause = self._pause()
        while True:
            await asyncio.sleep(pause)
            await self._try(self._look)
            pause = LOOK_AGAIN if self._suspects.keys() - self._gaps.keys() else self._pause()

    def _pause(self) -> float:
        most = longest_pause(self._agents)
        return random.uniform(LEAST * most, most)  # noqa: S311 - it spreads requests, and guards nothing.

    async def _try(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look; where that cannot be done, say once that nothing is known, and say it where the metric was."""
        try:
            await look()
        except Unavailable as error:
            self._suspects = {}
            self._metrics.tell_guard({})
            self._trouble.report(error)

    async def _count(self) -> None:
        self._agents = _agents(await self._daemon_set())

    async def _look(self) -> None:
        version = self._settings.chart.version
        if version != __version__:
            words = f"this agent is of version {__version__}, the chart of {version or 'none that it knows'}"
            raise Unavailable(GUARD_UNKNOWN, f"{words}: each prints the policies in its own way, so they cannot be compared")
        daemon_set = await self._daemon_set()
        self._agents = _agents(daemon_set)
        if chart_values(daemon_set) != self._settings.chart:
            self._suspects = {}
            self._metrics.tell_guard({})
            return
        suspects = {name: finding for name, original in self._guard.items() if (finding := await self._judge(name, original))}
        self._trouble.clear()
        await self._take({name: finding for name, finding in suspects.items() if name in self._suspects})
        self._suspects = suspects

    async def _judge(self, name: str, original: JsonObject) -> Finding | None:
        """What is amiss with that object."""
        try:
            live = await self._ask(path(original))
        except ApiRefusal as error:
            if not error.missing:
                raise
            live = None
        finding = gap(name, original, live, self._settings.chart.namespace)
        if finding is None and name == LEASH and not await is_leashed(self._api, self._node):
            return idle_leash(name)
        return finding

    async def _daemon_set(self) -> JsonObject:
        return await self._ask(f"/apis/apps/v1/namespaces/{self._settings.chart.namespace}/daemonsets/{AGENT}")

    async def _ask(self, path: str) -> JsonObject:
        """An object as the API server's cache has it, which costs it little and is a moment old at most."""
        return await self._api.get(f"{path}?resourceVersion=0")

    async def _take(self, gaps: dict[str, Finding]) -> None:
        """Make these gaps the ones that are told, and say what changed."""
        self._metrics.tell_guard({name: name not in gaps for name in self._guard})
        if gaps == self._gaps:
            return
        self._gaps = gaps
        self._state.gaps = tuple(gaps.values())
        self._state.tell()
        sentences = [finding.sentence() for finding in gaps.values()]
        if gaps:
            say(LOG, "Donjon's policies have a gap", level=logging.WARNING, findings=sentences)
        else:
            say(LOG, "Donjon's policies are whole again")
        await self._announce("; ".join(sentences))

    async def _announce(self, gaps: str) -> None:
        try:
            node = await self._api.get(self._node)
        except Unavailable:
            node = {"metadata": {"name": self._settings.node_name}}
        body = of_node(
            node,
            reason=EVENT_GUARD_GAP if gaps else EVENT_GUARD_WHOLE,
            message=gaps or "all of Donjon's policies are in the API server again, as they were printed",
            warning=bool(gaps),
            moment=clock.now(),
        )
        await announce(self._api, body)


def longest_pause(agents: int) -> float:
    """How many seconds each of so many agents lets pass at most between two looks."""
    return LOOK_EVERY * max(1.0, agents / ENOUGH)


def _agents(daemon_set: JsonObject) -> int:
    count = at(daemon_set, "status", "desiredNumberScheduled")
    return count if isinstance(count, int) else 1
