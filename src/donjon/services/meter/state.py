"""What the meter knows at the moment, and for how long that may be said."""

import asyncio
from dataclasses import dataclass, field

from donjon.adapters.http import Response
from donjon.errors import DonjonError
from donjon.findings import codes
from donjon.node.tenants import TenantPod
from donjon.services.meter.settings import FRESH

_OK, _NOTHING = 200, 503


@dataclass(slots=True, kw_only=True)
class MeterState:
    """Written by the loops, read by who asks, in one event loop."""

    pods: dict[str, TenantPod] = field(default_factory=dict)  # by uid
    is_listed: asyncio.Event = field(default_factory=asyncio.Event)  # the API server named them once
    text: bytes = b""  # the last report
    read_at: float = float("-inf")
    trouble: DonjonError | None = None  # of the last pass
    heartbeat: float = 0.0

    def is_fresh(self, now: float) -> bool:
        """Whether the last report may still be said."""
        return now - self.read_at < FRESH

    def answer(self, now: float) -> Response:
        """The last report, or why there is none that is young enough."""
        if self.is_fresh(now):
            return Response(status=_OK, body=self.text, content_type="application/json")
        return Response(status=_NOTHING, body=f"{self.why()}\n".encode("utf-8", "backslashreplace"))

    def why(self) -> str:
        """Why there is no report, as a sentence with its code."""
        cause = "the first pass has not ended yet" if self.trouble is None else str(self.trouble)
        since = "yet" if self.read_at == float("-inf") else f"within the last {FRESH:g} s"
        return f"meter: no pass {since} [DJ708]: {cause}"

    def unready(self, now: float) -> str:
        """Why the meter does not do its work; empty where it does, and where this node has nothing for it to do."""
        return "" if self.is_fresh(now) or self._is_idle else self.why()

    def caveat(self, now: float) -> str:
        """What a reader of a yes must know."""
        return "" if self.is_fresh(now) else self.why()

    @property
    def _is_idle(self) -> bool:
        return self.trouble is not None and self.trouble.code in codes.NO_METER
