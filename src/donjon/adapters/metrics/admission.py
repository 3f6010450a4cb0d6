"""The webhook's metrics, as Prometheus counts them."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from donjon.findings import Finding

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
_PREFIX = "donjon_admission"


class AdmissionMetrics:
    """The metrics of one replica."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge(f"{_PREFIX}_info", "Version of the webhook; always 1.", ("version",), registry=self.registry).labels(version).set(1)
        self._reviews = self._counter("reviews", "Pods that the API server asked about, by what becomes of them.", "outcome")
        self._findings = self._counter("findings", "What was to be said of these pods.", "code", "severity")
        self._errors = self._counter("errors", "Requests that were turned away.", "code")
        self._seconds = Histogram(f"{_PREFIX}_seconds", "Time to decide about one pod.", buckets=_BUCKETS, registry=self.registry)
        self._connections = Gauge(f"{_PREFIX}_connections", "Open connections.", registry=self.registry)
        self._expiry = Gauge(
            f"{_PREFIX}_certificate_expiry_timestamp_seconds", "When the serving certificate ends.", registry=self.registry
        )
        self._rotations = self._counter("certificate_steps", "Steps of renewing the certificate taken by this replica.", "step")

    def count_review(self, outcome: str, findings: tuple[Finding, ...], seconds: float) -> None:
        """Count a pod that the API server asked about: outcome, findings and time."""
        self._reviews.labels(outcome).inc()
        self._seconds.observe(seconds)
        for finding in findings:
            self._findings.labels(finding.code, finding.severity.value).inc()

    def count_error(self, code: str) -> None:
        """Count a request that was turned away, by the code of why."""
        self._errors.labels(code).inc()

    def count_connections(self, count: Callable[[], int]) -> None:
        """From now on, who reads the figures is told how many connections are open."""
        self._connections.set_function(count)

    def serves(self, ends: datetime) -> None:
        """The certificate that is served ends then."""
        self._expiry.set(ends.timestamp())

    def count_step(self, step: str) -> None:
        """Count a step of renewing the certificate."""
        self._rotations.labels(step).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
