"""The metrics of the program that serves the Kubernetes metrics APIs, as Prometheus counts them."""

from collections.abc import Callable

from donjon.adapters.metrics.program import ProgramMetrics
from donjon.pki.intel import Window

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)


class MetricsApiMetrics(ProgramMetrics):
    """The metrics of one replica."""

    def __init__(self, version: str) -> None:
        super().__init__("donjon_metrics")
        self._gauge("info", "Version of the metrics server; always 1.", "version").labels(version).set(1)
        self._ready = self._gauge("ready", "1 while the replica answers and knows pods, meters and its own certificate.")
        self._requests = self._counter(
            "requests", "Requests, by what was asked for and the status of the answer.", "kind", "status"
        )
        self._errors = self._counter("errors", "Requests that were turned away, by why.", "code")
        self._calls = self._counter("scaler_calls", "Questions of KEDA, by their name and the code of a no.", "call", "code")
        self._seconds = self._histogram("seconds", "Time to answer one request.", _BUCKETS)
        self._connections = self._gauge("connections", "Open connections.")
        self._meters = self._gauge("meters", "Nodes, by whether their meter answered last; idle: without SGX.", "answer")
        self._pods = self._gauge("pods", "Pods that run and are known, and those beyond the bound, which are not.", "state")
        self._owned = self._gauge("registered", "1 while the API of that name leads to us.", "api")
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

    def tells_readiness(self, is_ready: Callable[[], bool]) -> None:
        """From now on, who reads the figures is told whether the replica is ready."""
        self._ready.set_function(is_ready)

    def count_connections(self, count: Callable[[], int]) -> None:
        """From now on, who reads the figures is told how many connections are open."""
        self._connections.set_function(count)

    def count_request(self, kind: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(kind, str(status)).inc()
        self._seconds.observe(seconds)

    def count_error(self, code: str) -> None:
        """Count a request that was turned away."""
        self._errors.labels(code).inc()

    def count_call(self, call: str, code: str) -> None:
        """Count a question of KEDA, by the code of why it got a no."""
        self._calls.labels(call, code).inc()

    def tells_meters(self, silent: int, answers: int, idle: int) -> None:
        """How many meters answered in the last round, how many did not, and how many have no SGX to measure."""
        self._meters.labels("yes").set(answers)
        self._meters.labels("no").set(silent)
        self._meters.labels("idle").set(idle)

    def tells_pods(self, count: int, beyond: int) -> None:
        """How many pods are known, and how many are too many to be."""
        self._pods.labels("known").set(count)
        self._pods.labels("beyond").set(beyond)

    def tells_registration(self, api: str, *, ours: bool) -> None:
        """Whether an API leads to us."""
        self._owned.labels(api).set(ours)

    def serves(self, window: Window) -> None:
        """The certificate that is served is good for that long."""
        self._begin.set(window.begins.timestamp())
        self._expiry.set(window.ends.timestamp())

    def tells_trouble(self, code: str) -> None:
        """From now on, the certificate cannot be looked after, by the code of why; without a code it can."""
        self._trouble.clear()
        if code:
            self._trouble.labels(code).set(1)

    def count_step(self, step: str) -> None:
        """Count a step of renewing the certificate."""
        self._rotations.labels(step).inc()
