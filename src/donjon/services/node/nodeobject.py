"""The loop over our own node object: EPC, labels and condition as the facts want them, again whenever they are lost."""

import asyncio
import logging

from donjon.adapters import clock
from donjon.adapters.kubeapi.client import Changed, KubeApi, Listing, PatchType
from donjon.adapters.logs import say
from donjon.adapters.metrics.node import NodeMetrics
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at
from donjon.kube.names import EPC, EVENT_NOT_READY, EVENT_READY
from donjon.node.labels import labels
from donjon.node.offer import Advertise
from donjon.node.registration import Desired, condition, epc_is_anothers, plan, stated_condition
from donjon.node.rivals import rival_epc
from donjon.runtime.patience import Patience
from donjon.services.node.events import announce, of_node
from donjon.services.node.leash import is_leashed
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import EPC_WRITERS, AgentState

LOG = logging.getLogger(__name__)

POLICY_SETTLES = 2.0  # seconds; the API server takes up to one to apply what was created at the same moment
MAX_REST = 5.0
REST = 0.5  # seconds between two rounds of patches, so that a fight over a field stays a slow one


class NodeObjectLoop:
    """Keeps EPC, labels and condition of the node object as the host has them."""

    def __init__(self, settings: NodeSettings, state: AgentState, metrics: NodeMetrics, api: KubeApi) -> None:
        self._settings = settings
        self._state = state
        self._metrics = metrics
        self._api = api
        self._node: JsonObject | None = None
        self._path = f"/api/v1/nodes/{settings.node_name}"
        self._following = Patience("watch of the node object")
        self._patching = Patience("patch of the node object")

    async def follow(self) -> None:
        """Take in every change of the node object until the watch ends."""
        selector = f"metadata.name={self._settings.node_name}"
        async for change in self._api.follow("/api/v1/nodes", selector, lambda node: node):
            self._following.clear()
            match change:
                case Listing(items):
                    self._node = items[0] if items else None
                case Changed(item, is_deleted):
                    self._node = None if is_deleted else item
            if self._node is None:
                self._state.node_is_true = False
            self._state.tell()

    async def run(self) -> None:
        """Follow and put right, as long as the agent runs."""
        if self._settings.wait_for_policy:
            await self._wait_for_policy()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._following.forever(self.follow))
            group.create_task(self._patching.forever(self._put_right))

    async def _wait_for_policy(self) -> None:
        """Wait until our leash is felt.

        Helm makes kinds that it does not know last, policies among them. An agent that offered EPC before they are in force would
        let a pod start that nobody gave its device.
        """
        waiting, rest = Patience("the chart's policies"), REST
        while True:
            try:
                if await is_leashed(self._api, self._path):
                    break
                waiting.report(Unavailable("DJ043", "not in force yet: a patch that they forbid was accepted (as a dry run)"))
            except Unavailable as error:
                waiting.report(error)
            await asyncio.sleep(rest)
            rest = min(2 * rest, MAX_REST)
        waiting.clear()
        await asyncio.sleep(POLICY_SETTLES)

    async def _put_right(self) -> None:
        await self._state.news.wait()
        self._state.news.clear()
        try:
            await self._reconcile()
        except Unavailable:
            self._state.node_is_true = False
            self._state.tell()
            raise
        self._patching.clear()
        await asyncio.sleep(REST)

    async def _reconcile(self) -> None:
        node, desired = self._node, self._desired()
        if node is None or desired is None:
            return
        original = node
        patches = plan(node, desired, moment=clock.now())
        if patches.node is not None:
            node = await self._api.patch(self._path, patches.node, PatchType.MERGE)
            self._tell("labels", patches.node)
        if patches.status is not None:
            status_changes = _status_changes(node, desired)
            node = await self._api.patch(f"{self._path}/status", patches.status, PatchType.STRATEGIC)
            self._tell("status", patches.status)
            if status_changes:
                await self._announce(node, desired)
        if self._node is original:  # What the watch brought meanwhile is newer, or is followed by what we wrote.
            self._node = node
        self._state.node_is_true = True

    def _desired(self) -> Desired | None:
        """What the node object must say; nothing while the host was not read, and nothing new on a node without SGX."""
        facts, readiness, node = self._state.facts, self._state.readiness, self._node
        if facts is None or readiness is None or node is None:
            return None
        advertise = self._settings.offer.advertise
        theirs = epc_is_anothers(node)
        self._state.around[EPC_WRITERS] = (rival_epc(),) if theirs and Advertise.EPC in advertise else ()
        epc = self._state.offer.epc if Advertise.EPC in advertise and not theirs else None
        says = condition(readiness, self._state.gaps) if facts.has_sgx or stated_condition(node) else None
        return Desired(epc=epc, labels=labels(facts) if Advertise.LABELS in advertise else {}, condition=says)

    def _tell(self, what: str, patch: JsonObject) -> None:
        self._metrics.count_reassertion(what)
        epc, changed = at(patch, "status", "capacity", EPC), at(patch, "metadata", "labels")
        say(LOG, f"node object: {what} put right", node=self._settings.node_name, epc=epc, labels=changed)

    async def _announce(self, node: JsonObject, desired: Desired) -> None:
        """An Event for a change of readiness; that it is lost with the API server's trouble is no reason to try again."""
        if desired.condition is None:
            return
        body = of_node(
            node,
            reason=EVENT_READY if desired.condition.status else EVENT_NOT_READY,
            message=desired.condition.message,
            warning=not desired.condition.status,
            moment=clock.now(),
        )
        await announce(self._api, body)


def _status_changes(node: JsonObject, desired: Desired) -> bool:
    """Whether the condition's status changes."""
    target = desired.condition
    return target is not None and stated_condition(node).get("status") != target.state
