"""What the node agent knows at the moment, and who wants to hear of a change."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from donjon.findings import Finding
from donjon.node.facts import NodeFacts
from donjon.node.offer import NOTHING, Offer
from donjon.node.readiness import Readiness

DEVICES, EPC_WRITERS, KUBELET, METER = "devices", "epc", "kubelet", "meter"
"""Who finds what stands around the agent."""


@dataclass(slots=True, kw_only=True)
class AgentState:
    """Written by the loop that owns each part, read by the others in the same event loop."""

    facts: NodeFacts | None = None
    readiness: Readiness | None = None
    offer: Offer = NOTHING
    around: dict[str, tuple[Finding, ...]] = field(default_factory=dict)  # by who found them: rivals, a kubelet behind no socket
    gaps: tuple[Finding, ...] = ()  # what is amiss with what the chart put into the API server
    rejection: Finding | None = None  # the API server turns our account away
    node_is_true: bool = False
    registered: dict[str, bool] = field(default_factory=dict)
    heartbeat: float = 0.0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        """Wake whoever keeps the node object true."""
        self.news.set()

    def is_ready(self) -> bool:
        """Whether the agent does its work: host read, node object right, every offered device registered."""
        return not self.trouble()

    def trouble(self) -> str:
        """Why the agent does not do its work, the one cause where it is known; empty where it does."""
        if self.readiness is None:
            return "the node was not looked at yet; the log says more"
        if causes := self.around.get(KUBELET):
            return causes[0].sentence()
        if self.rejection is not None:
            return self.rejection.sentence()
        if not self.node_is_true:
            return "the node object does not say yet what it should; the log says more"
        late = [resource for resource, is_registered in self.registered.items() if not is_registered]
        return f"{', '.join(late)}: not registered with the kubelet yet; the log says more" if late else ""

    def is_alive(self, now: Callable[[], float], patience: float) -> bool:
        """Whether the loop over the host still turns."""
        return now() - self.heartbeat < patience
