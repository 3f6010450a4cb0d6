"""Knows the largest node, by a watch, for the warning that no policy of the API server can give."""

import asyncio
from typing import Any

from donjon.adapters.kubeapi.client import KubeApi, Listing
from donjon.admission.nodes import LargestNode, largest
from donjon.errors import DonjonError
from donjon.formats.json import JsonObject, at
from donjon.kube.names import EPC_UNITS
from donjon.runtime.trouble import Trouble

AGAIN = 5.0  # seconds until another try


class Nodes:
    """The nodes with their EPC, and nothing else of them."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._nodes: dict[str, JsonObject] = {}
        self._trouble = Trouble("nodes")
        self.largest: LargestNode | None = None

    async def run(self) -> None:
        """Follow the nodes again and again; while they cannot be followed, nothing is warned about."""
        while True:
            try:
                await self._follow()
            except DonjonError as error:
                self.largest = None
                self._trouble.report(error)
                await asyncio.sleep(AGAIN)

    async def _follow(self) -> None:
        async for change in self._api.follow("/api/v1/nodes", "", _trim_to_epc):
            if isinstance(change, Listing):
                self._nodes = {_name(node): node for node in change.items}
            elif change.is_deleted:
                self._nodes.pop(_name(change.item), None)
            else:
                self._nodes[_name(change.item)] = change.item
            self.largest = largest(self._nodes.values())
            self._trouble.clear()


def _trim_to_epc(node: JsonObject) -> JsonObject:
    offered: Any = at(node, "status", "allocatable") or {}
    epc: JsonObject = {name: offered[name] for name in EPC_UNITS if name in offered}
    return {"metadata": {"name": _name(node)}, "status": {"allocatable": epc}}


def _name(node: JsonObject) -> str:
    return str(at(node, "metadata", "name"))
