"""What the metrics of every program have in common: a registry of its own, and what is in it as a page can print it."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFamily:
    """All series of one name, which says the unit at its end (`_bytes`, `_seconds`); `text` is what they mean."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class ProgramMetrics:
    """The registry of one program; its metrics' names begin with the prefix."""

    def __init__(self, prefix: str) -> None:
        self.registry = CollectorRegistry()
        self.families: list[MetricFamily] = []
        self._prefix = prefix
        ProcessCollector(registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(self._note(name, "gauge", text, labels), text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(self._note(f"{name}_total", "counter", text, labels), text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(self._note(name, "histogram", text, ()), text, buckets=buckets, registry=self.registry)

    def _note(self, name: str, kind: str, text: str, labels: tuple[str, ...]) -> str:
        full_name = f"{self._prefix}_{name}"
        self.families.append(MetricFamily(name=full_name, kind=kind, labels=labels, text=text))
        return full_name
