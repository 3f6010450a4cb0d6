"""What KEDA is told: of the pods that its trigger chooses, what their nodes' meters said last."""

from collections.abc import Callable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Protocol

from donjon.adapters.keda.scaler import ScaleTrigger
from donjon.errors import Malformed
from donjon.metricsapi.triggers import EpcTrigger, parse_trigger, total
from donjon.metricsapi.use import NodeUse, PodSite, choose, use_of


class KnownPods(Protocol):
    """Which pods there are."""

    def of(self, namespace: str) -> Mapping[str, PodSite]:
        """Those of a namespace, by name."""


class KnownMeters(Protocol):
    """What meters said."""

    def get(self, node: str) -> NodeUse | None:
        """What the node's said last; `None` where it never answered."""


class EpcScaler:
    """The answers of one replica."""

    def __init__(self, pods: KnownPods, meters: KnownMeters, now: Callable[[], datetime]) -> None:
        self._pods, self._meters, self._now = pods, meters, now

    def target(self, trigger: ScaleTrigger) -> tuple[str, float]:
        """The figure's name, and how much of it each pod may have; raises `Malformed` DJ761."""
        read = _read(trigger)
        return read.series.value, float(read.target)

    def amount(self, trigger: ScaleTrigger, name: str) -> float:
        """How much of it all pods have together; raises `Malformed` DJ761, `Unavailable` DJ762."""
        read = _read(trigger)
        if name != read.series:
            raise Malformed("DJ761", f"{read.subject}: asked for {name[:60]!r}, and its metric is {read.series}")
        return float(self._total(read))

    def is_active(self, trigger: ScaleTrigger) -> bool:
        """Whether that is more than the trigger's `activation`; raises as `amount` does."""
        read = _read(trigger)
        return self._total(read) > read.activation

    def _total(self, read: EpcTrigger) -> Fraction:
        now = self._now()
        pods = choose(read.selector, self._pods.of(read.namespace).values())
        return total(read, ((each, use_of(each, self._meters.get(each.node), now)) for each in pods))


def _read(trigger: ScaleTrigger) -> EpcTrigger:
    return parse_trigger(trigger.namespace, trigger.name, trigger.metadata)
