"""Asks the meter of each node how much EPC is in use there, every few seconds; a meter that lies or stalls is not believed.

Who is a meter the API server says: the pods of the agent in its own namespace. A report that speaks of another node is dropped.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from donjon.adapters.meters.client import MeterClient
from donjon.adapters.metrics.metricsapi import MetricsApiMetrics
from donjon.errors import DonjonError
from donjon.findings import codes
from donjon.formats.addresses import join
from donjon.kube.names import LABEL_COMPONENT, LABEL_NAME, METER_PORT, OURS
from donjon.metricsapi.use import NodeUse, PodSite, by_pod
from donjon.runtime.trouble import Trouble
from donjon.services.metrics.pods import Pods

AT_ONCE = 32
MAX_NODES = 5000
MAX_SILENT = 256  # that are asked in one round, of those that did not answer: each costs its patience, and the others wait
MAX_OF_A_NODE = 3
COMPONENT = "node"


class Meters:
    """What the meters said last, by node."""

    def __init__(self, pods: Pods, namespace: str, every: float, metrics: MetricsApiMetrics) -> None:
        self._pods, self._namespace, self._every, self._metrics = pods, namespace, every, metrics
        self._client = MeterClient()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._troubles: dict[str, Trouble] = {}
        self._nodes: dict[str, NodeUse] = {}
        self._silent: dict[str, None] = {}  # nodes whose meter has no figures; who was asked last is last
        self._idle: set[str] = set()  # of these, those without SGX
        self.there = asyncio.Event()

    async def run(self) -> None:
        """Ask all of them again and again."""
        await self._pods.there.wait()
        while True:
            await self.round()
            self.there.set()
            await asyncio.sleep(self._every)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def get(self, node: str) -> NodeUse | None:
        """What the node's meter said last, however old; `None` where it never answered."""
        return self._nodes.get(node)

    async def round(self) -> None:
        """Ask each once."""
        meters: dict[str, list[PodSite]] = {}
        for pod in self._pods.of(self._namespace).values():
            if _is_meter(pod):
                meters.setdefault(pod.node, []).append(pod)
        due = self._due(meters)
        await asyncio.gather(*(self._ask(node, meters[node]) for node in due))
        for table in (self._nodes, self._silent, self._troubles):
            for node in table.keys() - meters.keys():
                table.pop(node)
        self._idle &= self._silent.keys()
        silent, idle = len(self._silent), len(self._idle)
        self._metrics.tells_meters(silent=silent - idle, answers=len(meters) - silent, idle=idle)

    def _due(self, meters: Iterable[str]) -> list[str]:
        """Who is asked in this round: all but those that were silent, and as many of these as leave a round short."""
        nodes = dict.fromkeys(islice(meters, MAX_NODES))
        turn = set(islice((node for node in self._silent if node in nodes), MAX_SILENT))
        return [node for node in nodes if node not in self._silent or node in turn]

    async def _ask(self, node: str, pods: list[PodSite]) -> None:
        """Keep what the node's meter answers; what was known before stands as long as it is fresh.

        While one agent replaces another there are two of them, of which one answers.
        """
        trouble = self._troubles.setdefault(node, Trouble(f"meter of {node}"))
        for pod in pods[:MAX_OF_A_NODE]:
            try:
                async with self._gate:
                    report = await self._client.read(pod.node, join(pod.address, METER_PORT))
                self._nodes[node] = by_pod(report, datetime.fromisoformat(report.moment))
            except DonjonError as error:
                last_error = error
            else:
                trouble.clear()
                self._silent.pop(node, None)
                return
        self._silent.pop(node, None)
        self._silent[node] = None
        if codes.says_no_sgx(last_error.message):
            self._idle.add(node)
        else:
            self._idle.discard(node)
            trouble.report(last_error)


def _is_meter(pod: PodSite) -> bool:
    ours = pod.labels.get(LABEL_NAME) == OURS and pod.labels.get(LABEL_COMPONENT) == COMPONENT
    return ours and bool(pod.address) and bool(pod.node)
