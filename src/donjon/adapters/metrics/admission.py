"""The webhook's metrics, as Prometheus counts them."""

from collections.abc import Callable, Sequence

from donjon.adapters.metrics.program import ProgramMetrics
from donjon.findings import Finding
from donjon.pki.intel import Window

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
_ENCLAVE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)  # The last are of registries.


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
        self._enclaves = self._counter("enclave_reviews", "Pods judged by the enclaves in their images.", "judgement")
        self._enclave_seconds = self._histogram("enclave_seconds", "Time to judge one pod by its images.", _ENCLAVE_BUCKETS)
        self._images = self._gauge("images_known", "Images of which the replica knows what they hold.")
        self._looking = self._gauge("images_running", "Images that are being looked into.")
        self._policies = self._gauge("enclave_policies", "Policies on enclaves that the replica knows.")
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

    def count_enclaves(self, judgement: str, findings: Sequence[Finding]) -> None:
        """Count a pod that was judged by its images: admitted or refused, and why."""
        self._enclaves.labels(judgement).inc()
        for finding in findings:
            self._findings.labels(finding.code, finding.severity.value).inc()

    def time_enclaves(self, seconds: float) -> None:
        """Count how long one judgement took."""
        self._enclave_seconds.observe(seconds)

    def tell_images(self, images: Callable[[], int], running: Callable[[], int], policies: Callable[[], int]) -> None:
        """From now on, who reads the figures is told of images and policies."""
        self._images.set_function(images)
        self._looking.set_function(running)
        self._policies.set_function(policies)

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
