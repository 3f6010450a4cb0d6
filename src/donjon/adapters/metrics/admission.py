"""The webhook's metrics, as Prometheus counts them."""

from collections.abc import Callable

from donjon.adapters.metrics.program import ProgramMetrics
from donjon.findings import Finding
from donjon.pki.intel import Window

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)


class AdmissionMetrics(ProgramMetrics):
    """The metrics of one replica."""

    def __init__(self, version: str) -> None:
        super().__init__("donjon_admission")
        self._gauge("info", "Version of the webhook; always 1.", "version").labels(version).set(1)
        self._ready = self._gauge("ready", "1 while the replica answers the API server and is trusted by it.")
        self._reviews = self._counter("reviews", "Pods that the API server asked about, by what becomes of them.", "outcome")
        self._findings = self._counter("findings", "What was to be said of these pods.", "code", "severity")
        self._errors = self._counter("errors", "Requests that were turned away.", "code")
        self._seconds = self._histogram("seconds", "Time to decide about one pod.", _BUCKETS)
        self._connections = self._gauge("connections", "Open connections.")
        self._begin = self._gauge(
            "certificate_begin_timestamp_seconds", "When the serving certificate began; 0 while there is none."
        )
        self._expiry = self._gauge(
            "certificate_expiry_timestamp_seconds", "When the serving certificate ends; 0 while there is none."
        )
        self._trouble = self._gauge(
            "certificate_trouble", "1 while the certificate cannot be looked after, nor renewed in time, by why.", "code"
        )
        self._rotations = self._counter("certificate_steps", "Steps of renewing the certificate taken by this replica.", "step")

    def tells_trouble(self, code: str) -> None:
        """From now on, the certificate cannot be looked after, by the code of why; without a code it can."""
        self._trouble.clear()
        if code:
            self._trouble.labels(code).set(1)

    def tells_readiness(self, is_ready: Callable[[], bool]) -> None:
        """From now on, who reads the figures is told whether the replica is ready."""
        self._ready.set_function(is_ready)

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

    def serves(self, window: Window) -> None:
        """The certificate that is served is good for that long."""
        self._begin.set(window.begins.timestamp())
        self._expiry.set(window.ends.timestamp())

    def count_step(self, step: str) -> None:
        """Count a step of renewing the certificate."""
        self._rotations.labels(step).inc()
